from __future__ import annotations

import hashlib
import unicodedata
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from dorkyd.core import paths
from dorkyd.core.model import Digest, Path
from dorkyd.errors import PathProblem

DIGEST = Digest("sha256:" + "3fa9c1d2" * 8)
MTIME_NS = 1_793_715_330_999_999_999  # 2026-11-03 14:15:30 UTC, and nearly one second more
PART = "(conflict pc 20261103-141530 3fa9c1)"

names = st.text(st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=80).filter(
    lambda name: name not in {".", ".."} and not paths.is_reserved(name)
)
some_keys = st.text("ab./~\0\n é-", max_size=6) | st.sampled_from(["a/b", "x" * 255, "x" * 256, "d/.env", ".git/x"])
some_paths = st.lists(names, min_size=1, max_size=3).map("/".join).filter(lambda path: paths.key_problem(path) is None)


def conflict(path: str, device: str = "pc", mtime_ns: int = MTIME_NS, digits: int = 6) -> Path:
    """The name of a copy of losing bytes with `DIGEST`."""
    return paths.conflict_name(Path(path), device=device, mtime_ns=mtime_ns, digest=DIGEST, digits=digits)


@pytest.mark.parametrize(
    "text",
    [
        "f",
        "a/b c",
        " lead",
        "trail ",
        "tab\tx",
        "line\nbreak",
        "🦊",
        "...",
        "a.git",
        ".git-blame-ignore-revs",
        "git~2",
        "backup~",
        "..git",
        "\u200cgit",
        "a:.git",
        ".gitignore",
        ".dorkyignore",
        "a\\b",
    ],
)
def test_what_a_file_system_holds_is_kept_exactly(text: str) -> None:
    """A path that a Linux folder can hold comes out of `parse` as it went in (J08)."""
    assert paths.parse(text) == text


def test_both_unicode_forms_are_two_paths() -> None:
    """NFC and NFD forms of a name stay apart; only `fold` joins them (J04)."""
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    assert paths.parse(composed) != paths.parse(decomposed) == decomposed
    assert paths.fold(composed) == paths.fold(decomposed)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "bad-path"),
        ("/etc/passwd", "bad-path"),
        ("../x", "bad-path"),
        ("a/../x", "bad-path"),
        ("a/./x", "bad-path"),
        ("a//x", "bad-path"),
        ("a/", "bad-path"),
        ("a\0b", "bad-path"),
        (".git/config", "reserved-name"),
        ("a/.GIT/hooks/x", "reserved-name"),
        ("a/.Dorky", "reserved-name"),
        (".dor\u212ay/x", "reserved-name"),  # the Kelvin sign folds to k
        ("a/.g\u200cit/x", "reserved-name"),  # HFS+ passes over what is invisible
        ("\ufeff.GIT/x", "reserved-name"),
        (".git::$INDEX_ALLOCATION/x", "reserved-name"),  # a stream of NTFS
        (".git:x", "reserved-name"),
        (".git . ", "reserved-name"),  # NTFS drops these
        ("GIT~1/config", "reserved-name"),  # its short name
        ("x/dorky~1", "reserved-name"),
        (".git\\hooks\\x", "reserved-name"),
        ("bad\udcff", "bad-name"),
        ("\0\ud800", "bad-name"),
        (".git/\udcff", "bad-name"),
        ("/../\udcff", "bad-name"),
        ("x" * 256, "name-too-long"),
        ("é" * 128, "name-too-long"),
        ("/".join(["x" * 200] * 6), "name-too-long"),
    ],
)
def test_what_cannot_be_a_path_is_refused_with_a_code(text: str, code: str) -> None:
    """Each kind of bad path raises `PathProblem` with its stable code, and so does the key, traversal as unsafe."""
    with pytest.raises(PathProblem) as raised:
        paths.parse(text)
    problem = paths.key_problem(text)
    assert raised.value.code == code
    assert raised.value.path == text
    assert problem is not None
    assert problem.code == ("unsafe-key" if code in {"bad-path", "bad-name"} else code)
    assert problem.path.isascii() or problem.path.encode(), "a database and a terminal take it"


def test_the_longest_names_and_keys_are_good() -> None:
    """255 bytes a name and 1024 bytes a key are still allowed."""
    assert paths.parse("x" * 255)
    assert paths.parse("/".join(["x" * 204] * 5)) == "/".join(["x" * 204] * 5)
    assert len("/".join(["x" * 204] * 5)) == 1024


def test_a_good_key_has_no_problem() -> None:
    """`key_problem` of an ordinary key is None."""
    assert paths.key_problem("data/a.csv") is None


def test_another_projects_own_objects_are_not_to_be_renamed() -> None:
    """A project at a prefix inside this one's: whoever follows the hint for other names would break it."""
    inner, other = paths.key_problem("sub/.dorky/log/000000000001.json"), paths.key_problem("sub/.git/config")
    assert inner is not None
    assert other is not None
    assert (inner.code, other.code) == ("reserved-name", "reserved-name")
    assert "prefix" in inner.hint
    assert "rename" not in inner.hint
    assert "rename" in other.hint


@given(st.lists(some_keys, max_size=4))
def test_a_plain_page_has_nothing_to_be_asked(keys: list[str]) -> None:
    """`are_plain` never says so of a key that is no path, or a folder marker; of ordinary keys it does."""
    if paths.are_plain(keys):
        assert not any(paths.key_problem(key) or paths.is_folder_marker(key) for key in keys)
    ordinary = [key for key in keys if key.isalpha() and key.isascii() and len(key) < 256]
    assert paths.are_plain(ordinary)
    assert paths.are_plain(["data/a.csv", "a b/c-d_e.f"])


def test_folder_markers_end_in_a_slash() -> None:
    """Only keys that end in `/` are folder markers."""
    assert paths.is_folder_marker("photos/")
    assert not paths.is_folder_marker("photos")


def test_parts_of_a_path() -> None:
    """Ancestors come outermost first; the root has no name of its own."""
    path = Path("a/b/c")
    assert list(paths.ancestors(path)) == ["a", "a/b"]
    assert list(paths.ancestors(Path("c"))) == []
    assert paths.parent(path) == "a/b"
    assert paths.parent(Path("c")) is None
    assert paths.name(path) == "c"


def test_under_means_below_a_whole_component() -> None:
    """`ab` is not under `a`, and a folder is not under itself."""
    assert paths.is_under(Path("a/b"), Path("a"))
    assert not paths.is_under(Path("ab"), Path("a"))
    assert not paths.is_under(Path("a"), Path("a"))


@given(some_paths)
def test_folding_is_stable(path: str) -> None:
    """Folding twice is folding once, and Unicode forms of a name fold alike."""
    folded = paths.fold(path)
    assert paths.fold(folded) == folded
    assert paths.fold(unicodedata.normalize("NFD", path)) == folded


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("notes.txt", f"notes {PART}.txt"),
        ("d/foo.tar.gz", f"d/foo {PART}.tar.gz"),
        ("foo.TAR.XZ", f"foo {PART}.TAR.XZ"),
        ("rows.csv.gz", f"rows {PART}.csv.gz"),
        ("v1.2.gz", f"v1.2 {PART}.gz"),
        (".bashrc", f".bashrc {PART}"),
        (".env.local", f".env {PART}.local"),
        ("tar.gz", f"tar {PART}.gz"),
        ("Makefile", f"Makefile {PART}"),
        ("Chapter 1. The end", f"Chapter 1. The end {PART}"),
        ("x.", f"x. {PART}"),
    ],
)
def test_a_conflict_copy_keeps_stem_and_extension(path: str, expected: str) -> None:
    """The part goes between stem and extension, in the same folder (J11)."""
    assert conflict(path) == expected


def test_a_long_name_is_trimmed_at_a_character() -> None:
    """A 255-byte name gives a copy of at most 255 bytes with its extension, cut between characters (J11)."""
    copy = conflict("é" * 125 + "x.json")
    assert len(copy.encode()) <= 255
    assert copy.endswith(f"é {PART}.json")
    assert paths.parse(copy) == copy


def test_a_long_path_is_trimmed_to_a_key() -> None:
    """A copy of a 1024-byte path still fits a key."""
    folder = "/".join(["d" * 199] * 4) + "/"
    copy = conflict(folder + "x" * (1024 - len(folder)))
    assert len(copy) == 1024
    assert paths.parse(copy) == copy


@given(some_paths, st.text(st.characters(codec="utf-8"), max_size=60), st.integers(-(2**63), 2**63), st.integers(6, 64))
def test_parsing_undoes_naming(path: str, device: str, mtime_ns: int, digits: int) -> None:
    """Whatever the path, device and date: the copy's name can be parsed and gives the original, unless trimmed."""
    copy = conflict(path, device, mtime_ns, digits)
    parsed = paths.parse_conflict(copy)
    assert parsed is not None
    assert parsed.digits == paths.hex_of(DIGEST)[:digits]
    assert len(parsed.device.encode()) <= paths.DEVICE_BYTES
    assume(len(paths.name(copy).encode()) < 250)
    assert parsed.original == path


def test_the_parts_of_a_conflict_name() -> None:
    """A copy's name tells original, device, time in UTC and digits."""
    assert paths.parse_conflict(conflict("a/b.txt", digits=8)) == paths.ConflictName(
        Path("a/b.txt"), "pc", datetime(2026, 11, 3, 14, 15, 30, tzinfo=UTC), "3fa9c1d2"
    )


@pytest.mark.parametrize(
    ("device", "word"),
    [
        ("joe's (old)\tlap/top", "joe's-old-lap-top"),
        ("\u202epc\x07", "pc"),
        ("", "device"),
        ("()", "device"),
        ("é" * 40, "é" * 16),
    ],
)
def test_a_device_becomes_one_word(device: str, word: str) -> None:
    """Parentheses, slashes, blanks and invisible characters of a device's name never reach a file's name."""
    parsed = paths.parse_conflict(conflict("f", device))
    assert parsed is not None
    assert parsed.device == word


@pytest.mark.parametrize(
    "text",
    [
        "f.txt",
        "f (conflict).txt",
        "f (conflict 3fa9c1)",
        f"f {PART} notes.txt",
        "f (conflict pc 20261399-000000 3fa9c1)",
    ],
)
def test_other_names_are_no_conflict_copies(text: str) -> None:
    """Names that only look like ours, aside folders among them, are not taken for conflict copies."""
    assert paths.parse_conflict(Path(text)) is None
    assert paths.kept_name(Path(text)) == text


def test_a_copy_of_a_copy_parses_to_the_first_copy() -> None:
    """The last conflict part counts; rules see the name without any."""
    first = conflict("f.txt")
    second = conflict(first, device="other")
    parsed = paths.parse_conflict(second)
    assert parsed is not None
    assert (parsed.original, parsed.device) == (first, "other")
    assert paths.without_conflict(second) == "f.txt"


@given(some_paths)
def test_rules_see_the_original(path: str) -> None:
    """Conflict copies, kept copies and children set aside are, for rules, their original."""
    assume(" (" not in path)
    copy = conflict(path)
    assume(len(paths.name(copy).encode()) < 250)
    assert paths.without_conflict(Path(path)) == path
    assert paths.without_conflict(copy) == path
    assert paths.without_conflict(paths.kept_name(copy)) == path
    inside = Path("f/" + path)
    assume(paths.key_problem(inside) is None)
    assert paths.without_conflict(paths.step_aside(inside, Path("f"))) == inside


def test_a_kept_copy_is_an_ordinary_file() -> None:
    """After `kept_name` no conflict is left, however many parts the name had, and the time and device still show."""
    kept = paths.kept_name(conflict(conflict("d/f.txt"), device="other"))
    assert kept == "d/f (kept pc 20261103-141530 3fa9c1) (kept other 20261103-141530 3fa9c1).txt"
    assert paths.parse_conflict(kept) is None


def test_children_step_aside_to_one_name_on_every_device() -> None:
    """The aside folder's name comes from the folder's path alone and is no conflict copy."""
    aside = paths.aside_folder(Path("d/f"))
    assert paths.step_aside(Path("d/f/x/y"), Path("d/f")) == f"{aside}/x/y"
    assert aside == f"d/f (conflict {hashlib.sha256(b'd/f').hexdigest()[:6]})"
    assert paths.is_aside(paths.name(aside))
    assert paths.parse_conflict(aside) is None
    with pytest.raises(ValueError, match="not under"):
        paths.step_aside(Path("d/fx"), Path("d/f"))


def test_a_plain_folder_is_not_aside() -> None:
    """`is_aside` knows our form only, and never a conflict copy."""
    assert not paths.is_aside("f")
    assert not paths.is_aside("f (conflict me)")
    assert not paths.is_aside(conflict("f"))


def test_a_long_folder_steps_aside_within_255_bytes() -> None:
    """The aside name of a 255-byte folder is trimmed to fit."""
    assert len(paths.aside_folder(Path("é" * 127)).encode()) <= 255
