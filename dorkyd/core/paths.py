"""Names: what a path may be, and the names that sync itself makes.

Paths keep their exact form. `é` as one character and `e` with a combining accent are two paths, since a Linux folder
and a bucket can hold both (docs/decisions/0001-paths-keep-their-form.md). Only `fold` maps them to one, for file
systems that cannot.

Three names are ours, all readable, all made of nothing but what every device knows, so that every device makes the same:

    notes (conflict laptop-7 20261103-141530 3fa9c1).txt    bytes that lost a conditional write (`conflict_name`)
    notes (kept laptop-7 20261103-141530 3fa9c1).txt        the same once a person decided to keep both (`kept_name`)
    f (conflict 3fa9c1)/x                                   children of a folder whose name a file won (`step_aside`)
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dorkyd.core.metadata import hex_of
from dorkyd.core.model import Digest, Path, Problem
from dorkyd.errors import PathProblem

RESERVED = frozenset({".git", ".dorky"})
"""Components never written or read, in any case and disguise: git's own folder and ours."""

_SHORT_NAMES = frozenset({"git~1", "dorky~1"})
"""What FAT and NTFS call them in eight characters."""

_INVISIBLE = dict.fromkeys([*range(0x200C, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF], None)
"""Characters that HFS+ passes over when it compares names (Apple's Technical Note 1150, "Unicode Subtleties")."""

NAME_BYTES = 255
"""Longest component, in UTF-8 (NAME_MAX of every file system we know)."""

KEY_BYTES = 1024
"""Longest path, in UTF-8 (the longest key of S3 and GCS; the bucket's prefix counts too, and there the store answers)."""

DEVICE_BYTES = 32
"""Longest device part of a name that we make, in UTF-8."""

_PART = r" \((?:{word}) (?P<device>[^()\s/]+) (?P<date>[0-9]{{8}}-[0-9]{{6}}) (?P<digits>[0-9a-f]{{6,64}})\)"
_EXTENSIONS = r"(?P<ext>(?:\.[^\s.()/]{1,16}){0,2})\Z"
_CONFLICT = re.compile("(?P<stem>.+)" + _PART.format(word="conflict") + _EXTENSIONS, re.DOTALL)
_LAST_PART = re.compile("(?P<stem>.+)" + _PART.format(word="conflict|kept") + _EXTENSIONS, re.DOTALL)
_CONFLICT_WORD = re.compile(r" \(conflict(?= [^()\s/]+ [0-9]{8}-[0-9]{6} [0-9a-f]{6,64}\))")
_ASIDE = re.compile(r"(?P<stem>.+) \(conflict [0-9a-f]{6,64}\)", re.DOTALL)
_EXTENSION = re.compile(r"\.[^\s.()/]{1,16}\Z")
_COMPRESSED = re.compile(
    r"\.(?:tar|cpio|csv|tsv|txt|json|jsonl|ndjson|sql|xml)\.(?:gz|bz2|xz|zst|lz|lz4|lzma|br|Z)\Z", re.IGNORECASE
)
_NOT_IN_DEVICE = re.compile(r"[\s()/\\<>:\"|?*]+")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_S = -62_135_596_800  # 0001-01-01, the first second a date can name
_LAST_S = 253_402_300_799  # 9999-12-31 23:59:59, the last


# --- what a path may be ----------------------------------------------------------------------------------------------


def parse(text: str) -> Path:
    """Read a path that came from outside: a folder's listing, a bucket, the API.

    Everything that a file system can hold is kept byte-exact: newlines, tabs, emoji, spaces at either end. Raises
    `PathProblem`: `bad-path` for what is no relative path, `reserved-name`, `name-too-long`, `bad-name` for a name
    that is not UTF-8 (it cannot be a key).

    >>> parse("data/a b.txt")
    'data/a b.txt'
    """
    problem = _fault(text)
    if problem is not None:
        code, detail, hint = problem
        raise PathProblem(text, detail, code=code, hint=hint)
    return Path(text)


def key_problem(key: str) -> Problem | None:
    """Why a key of a bucket listing cannot be a path here, None when it can. The rules of `parse`; a key that would
    leave the folder, names nothing in it or is no UTF-8 has the code `unsafe-key`.

    Folder markers are no paths either: ask `is_folder_marker` first.
    """
    problem = _fault(key)
    if problem is None:
        return None
    code, detail, hint = problem
    if code == "bad-name":
        # Shown in escapes: neither a database nor a terminal takes it as it is.
        key, detail = key.encode(errors="backslashreplace").decode(), "the key is not valid UTF-8, as every path is"
    if code in {"bad-path", "bad-name"}:
        return Problem(Path(key), "unsafe-key", detail, "rename the object in the bucket; dorkyd never touches it")
    if code == "reserved-name" and "/.dorky/" in key:
        # Renaming would break the project whose it is.
        detail = "another project's own object: its prefix lies inside this project's"
        hint = "leave it; let one of the two have another prefix, and `dorkyctl add` it there"
    return Problem(Path(key), code, detail, hint)


def is_folder_marker(key: str) -> bool:
    """The key is a folder as some consoles draw it (`photos/`): not a file, never a path."""
    return key.endswith("/")


def is_reserved(component: str) -> bool:
    """Some file system would take the component for one of `RESERVED`: by case or Unicode form, by characters that it
    passes over, by its short name, or as a stream of it (`.git::$INDEX_ALLOCATION`). Folders are carried from one file
    system to another, so that this one's own habits prove nothing.
    """
    if component[:1] != "." and component.isascii() and "~" not in component:
        return False
    seen = seen_as(component)
    return seen in RESERVED or seen in _SHORT_NAMES


def seen_as(component: str) -> str:
    """A name as the most careless file systems see it: HFS+ passes over what is invisible, NTFS over dots and spaces at
    the end and over what follows a colon (a stream), Windows takes a backslash for a slash, all of them fold.
    """
    return re.split(r"[:\\]", fold(component.translate(_INVISIBLE)), maxsplit=1)[0].rstrip(" .")


def _plain(text: str) -> bool:
    """As most paths are: short ASCII without a component that is empty or begins with a dot. It breaks no rule."""
    return (
        0 < len(text) <= NAME_BYTES
        and text.isascii()
        and text[0] not in "./"
        and text[-1] != "/"
        and "/." not in text
        and "//" not in text
        and "\0" not in text
        and "~" not in text
    )


def are_plain(keys: Sequence[str]) -> bool:
    """Every one of them is a path and no folder marker, as nearly all pages of a listing are. Asked of all at once, which
    costs a fiftieth of asking each. False proves nothing.
    """
    text = "\n".join(("", *keys, ""))
    return (
        text.count("\n") == len(keys) + 1
        and text.isascii()
        and not any(odd in text for odd in _ODD)
        and max(map(len, keys), default=0) <= NAME_BYTES
    )


_ODD = ("\n\n", "\n.", "\n/", "/\n", "/.", "//", "\0", "~")
"""What `_plain` looks for, with a line's end for the beginning and the end of a path."""


def _fault(text: str) -> tuple[str, str, str] | None:
    """Code, detail and hint of the first rule that the text breaks."""
    if _plain(text):
        return None
    if not text:
        return "bad-path", "the path is empty", ""
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        # Before all else: what tells of another fault would quote it.
        return "bad-name", "the name is not valid UTF-8, so it cannot be a key", "rename it to UTF-8"
    if "\0" in text:
        return "bad-path", "the path holds a NUL character, which no file system can hold", ""
    if text[0] == "/":
        return "bad-path", "the path is absolute; only paths inside the folder are synced", ""
    components = text.split("/")
    for component in components:
        if component in {"", ".", ".."}:
            what = f"a `{component}` component" if component else "an empty component"
            return "bad-path", f"the path has {what}", ""
        if is_reserved(component):
            return "reserved-name", f"`{component}` is reserved and never synced", "rename it to sync it"
    # Short texts cannot hold a long component: the usual path costs one encoding.
    if size > NAME_BYTES and any(len(component.encode()) > NAME_BYTES for component in components):
        return "name-too-long", f"a name is over {NAME_BYTES} bytes", "shorten it"
    if size > KEY_BYTES:
        return "name-too-long", f"the path has {size} bytes, a key may have {KEY_BYTES}", "shorten it"
    return None


# --- parts of a path -------------------------------------------------------------------------------------------------


def ancestors(path: Path) -> Iterator[Path]:
    """The folders above a path, outermost first: `a`, `a/b` for `a/b/c`. Nothing for `c`."""
    end = path.find("/")
    while end >= 0:
        yield Path(path[:end])
        end = path.find("/", end + 1)


def parent(path: Path) -> Path | None:
    """The folder that holds the path; None: the project's root."""
    head, slash, _ = path.rpartition("/")
    return Path(head) if slash else None


def name(path: Path) -> str:
    """The last component."""
    return path[path.rfind("/") + 1 :]


def is_under(path: Path, folder: Path) -> bool:
    """The path lies somewhere below the folder. A folder is not under itself."""
    return path.startswith(folder + "/")


def fold(path: str) -> str:
    """One text for all names that a folding file system may hold to be the same: NFC and case-folded.

    It folds more than some file systems do (`ß` and `ss`), so an equal fold means *may clash*, and the folder is asked.
    """
    if path.isascii():
        return path.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def split_extension(component: str) -> tuple[str, str]:
    """Stem and extension of a name. The dots that a name begins with belong to its stem, and a compression's
    extension keeps the one below it.

    >>> split_extension("a.b.txt"), split_extension("foo.tar.gz"), split_extension(".bashrc")
    (('a.b', '.txt'), ('foo', '.tar.gz'), ('.bashrc', ''))
    """
    dots = len(component) - len(component.lstrip("."))
    body = component[dots:]
    found = _COMPRESSED.search(body) or _EXTENSION.search(body)
    if found is None or found.start() == 0:
        # `.tar.gz` after the leading dots are off is `tar.gz`: stem `tar`. A stem is never empty.
        return component, ""
    cut = dots + found.start()
    return component[:cut], component[cut:]


# --- conflict copies -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ConflictName:
    """What the name of a conflict copy says."""

    original: Path
    """The path whose content lost, the copy's name with its last conflict part removed. Of a name that had to be
    trimmed, the trimmed form.
    """
    device: str
    """Whose bytes these are, as far as a name can hold it."""
    at: datetime
    """Modification time of the losing file, UTC, to the second."""
    digits: str
    """The first digits of the losing content's digest."""


def conflict_name(path: Path, *, device: str, mtime_ns: int, digest: Digest, digits: int = 6) -> Path:
    """The name of the copy that keeps losing bytes: `stem (conflict DEVICE DATE HASH).ext` in the same folder.

    Deterministic, so that a retry makes the same name. When it is taken by other bytes, ask for more `digits`.
    A stem too long for it is trimmed at a character, the extension never.

    >>> conflict_name(Path("a/foo.tar.gz"), device="my pc", mtime_ns=0, digest=Digest("sha256:3fa9c1d2"))
    'a/foo (conflict my-pc 19700101-000000 3fa9c1).tar.gz'
    """
    stem, extension = split_extension(name(path))
    part = f" (conflict {_device_part(device)} {_date_part(mtime_ns)} {hex_of(digest)[:digits]})"
    return _beside(path, stem, part + extension)


def parse_conflict(path: Path) -> ConflictName | None:
    """What a conflict copy's name says; None: the name is no conflict copy's (an aside folder's is not).

    Of a copy of a copy the last part counts: its original is the first copy. Undoes `conflict_name`:
    `parse_conflict(conflict_name(p, ...)).original == p` unless the stem was trimmed.
    """
    last = name(path)
    found = _CONFLICT.fullmatch(last) if " (conflict " in last else None
    if found is None:
        return None
    try:
        at = datetime.strptime(found["date"], "%Y%m%d-%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None  # month 13: a person's own name that looks like ours
    original = path[: len(path) - len(last)] + found["stem"] + found["ext"]
    return ConflictName(Path(original), found["device"], at, found["digits"])


def kept_name(path: Path) -> Path:
    """The name a conflict copy gets when a person keeps both: `(kept ...)` for `(conflict ...)`, so that it is an
    ordinary file again. A path that is no conflict copy stays as it is.
    """
    if parse_conflict(path) is None:
        return path
    last = name(path)
    return Path(path[: len(path) - len(last)] + _CONFLICT_WORD.sub(" (kept", last))


def without_conflict(path: Path) -> Path:
    """The path that rules apply to: no conflict or kept part in its name, no component set aside.

    A copy of a secret is a secret, a copy of an ignored file is ignored, whatever sync called it.

    >>> without_conflict(Path("f (conflict 3fa9c1)/.env (kept pc 20261103-141530 3fa9c1)"))
    'f/.env'
    """
    if " (" not in path:
        return path
    components = path.split("/")
    while (found := _LAST_PART.fullmatch(components[-1])) is not None:
        components[-1] = found["stem"] + found["ext"]
    return Path("/".join(_without_aside(component) for component in components))


# --- folders that step aside -----------------------------------------------------------------------------------------


def aside_folder(path: Path) -> Path:
    """Where a folder goes whose name a file won: `f (conflict HASH)`, HASH from the path `f` alone, so that every
    holder of a child makes the same name.
    """
    digits = hashlib.sha256(path.encode()).hexdigest()[:6]
    return _beside(path, name(path), f" (conflict {digits})")


def step_aside(child: Path, folder: Path) -> Path:
    """The new place of a child: `f/x/y` goes to `f (conflict HASH)/x/y`. The child must be under the folder."""
    if not is_under(child, folder):
        raise ValueError(f"{child!r} is not under {folder!r}")
    return Path(aside_folder(folder) + child[len(folder) :])


def is_aside(component: str) -> bool:
    """The component is one that `aside_folder` made."""
    return _ASIDE.fullmatch(component) is not None


def _without_aside(component: str) -> str:
    while (found := _ASIDE.fullmatch(component)) is not None:
        component = found["stem"]
    return component


def _beside(path: Path, stem: str, tail: str) -> Path:
    """`stem + tail` in the path's folder, the stem trimmed to what a name and a key may have.

    At least one character of the stem stays. In a folder whose own path nearly fills a key the result may then be too
    long, and `parse` says so.
    """
    folder = path[: path.rfind("/") + 1]
    room = min(NAME_BYTES, KEY_BYTES - len(folder.encode())) - len(tail.encode())
    return Path(folder + (_trimmed(stem, room) or stem[:1]) + tail)


def _trimmed(text: str, room: int) -> str:
    """The longest beginning of the text that has at most `room` bytes and ends at a character."""
    return text.encode()[: max(room, 0)].decode(errors="ignore")


def _device_part(device: str) -> str:
    """A device's name as one word: what a name or our own form cannot hold becomes `-`, what is invisible goes."""
    visible = "".join(c for c in device if c.isspace() or unicodedata.category(c)[0] != "C")
    word = _NOT_IN_DEVICE.sub("-", unicodedata.normalize("NFC", visible)).strip("-")
    return _trimmed(word, DEVICE_BYTES) or "device"


def _date_part(mtime_ns: int) -> str:
    at = _EPOCH + timedelta(seconds=min(max(mtime_ns // 1_000_000_000, _FIRST_S), _LAST_S))
    return f"{at.year:04d}{at:%m%d-%H%M%S}"
