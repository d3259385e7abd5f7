"""What a real journal holds, as API threads are told it."""

from __future__ import annotations

import os
import pathlib
import sqlite3
import tracemalloc
from typing import Any

import pytest

from dorkyd import reading
from dorkyd.core.ignore import IgnoreRules
from dorkyd.core.model import Base, Digest, Op, Path, Problem, Remote, StatTuple, Version
from dorkyd.core.picking import picked
from dorkyd.core.report import FileItem
from dorkyd.core.settings import Mode, Project
from dorkyd.errors import Refused
from dorkyd.journal import Journal
from dorkyd.ledger import Displaced, Event, Intent
from dorkyd.ports import Known
from dorkyd.reading import Reader
from dorkyd.reading_tree import Tree

A, B = Digest("sha256:" + "a" * 64), Digest("sha256:" + "b" * 64)
RULES = IgnoreRules(("*.tmp",), "/build/\n")
COPY = "d/notes (conflict laptop-7 20261103-141530 3fa9c1).txt"


class Fixture:
    """A journal with one writer, and a reader beside it."""

    def __init__(self, root: pathlib.Path, mode: Mode = Mode.TWO_WAY) -> None:
        self.journal = Journal(root / "replica.db")
        self.reader = Reader(root / "replica.db", Project("api", str(root), "memory://", mode), "here")

    def local(self, path: str, digest: Digest = A, size: int = 5) -> None:
        self.journal.set_known(Path(path), Known(StatTuple(size, 1, 1, 1), digest, 9))

    def base(self, path: str, digest: Digest = A, version: str = "1", size: int = 5) -> None:
        self.journal.set_base(Path(path), Base(digest, size, Version(version), 0o644))

    def remote(self, path: str, digest: Digest | None = A, version: str = "1", size: int = 5) -> None:
        self.journal.set_remote(Path(path), Remote(Version(version), size, digest, looked=digest is not None))

    def synced(self, *paths: str) -> None:
        for path in paths:
            self.local(path)
            self.base(path)
            self.remote(path)

    def dirty(self, *paths: str, remote: bool = False) -> None:
        self.journal.mark([Path(path) for path in paths], remote=remote)

    def files(self, prefix: str = "", after: str = "", limit: int = 100, *, remote: bool = False) -> list[FileItem]:
        return self.reader.files(prefix, after, limit, remote=remote)

    def names(self, prefix: str = "", after: str = "", limit: int = 100) -> list[str]:
        return [item.path for item in self.files(prefix, after, limit)]

    def explained(self, path: str, stopped: str = "") -> tuple[str, str]:
        told = self.reader.why(path, RULES, {Path("bad"): 30.4}, stopped=stopped)
        return told.state, told.explanation


@pytest.fixture
def at(tmp_path: pathlib.Path) -> Fixture:
    """An empty journal."""
    return Fixture(tmp_path)


# --- what is picked ---------------------------------------------------------------------------------------------------


def test_picked(at: Fixture) -> None:
    """By patterns, sizes and state, each alone and together; pages go on where one ended."""
    at.synced("a.csv", "d/b.csv", "d/c.bin", "e/f.csv")
    at.local("new.csv", B, 7)

    def all_of(**wanted: Any) -> list[str]:
        told = {"patterns": (), "at_least": None, "at_most": None, "state": None} | wanted
        found, after = list[str](), ""
        while True:
            page = at.reader.page("", after, 2, remote=False, pick=picked(**told))
            found += [item.path for item in page.items]
            if page.next is None:
                return found
            after = page.next

    sizes = {item.path: item.size for item in at.files()}
    assert all_of() == sorted(sizes)
    assert all_of(patterns=("*.csv",)) == ["a.csv", "d/b.csv", "e/f.csv", "new.csv"]
    assert all_of(patterns=("/d/", "!*.bin")) == ["d/b.csv", "d/c.bin"]
    assert all_of(patterns=("*.csv",), state="synced") == ["a.csv", "d/b.csv", "e/f.csv"]
    assert all_of(state="local") == ["new.csv"]
    assert all_of(at_least=max(sizes.values()) + 1) == []
    assert all_of(at_most=min(sizes.values())) == [path for path, size in sizes.items() if size == min(sizes.values())]
    for wrong in ({"state": "lost"}, {"patterns": ("[[:digit:]]",)}):
        with pytest.raises(Refused):
            all_of(**wrong)


def test_a_look_for_what_is_rare_is_bounded(at: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page ends after so many paths, however few it has, and says where the next begins."""
    monkeypatch.setattr(reading, "SLICE", 3)
    monkeypatch.setattr(reading, "MOST_PASSED", 6)
    at.synced(*(f"{number:02}" for number in range(14)))
    pick = picked(("12",), None, None, None)
    pages = [("", [], "05"), ("05", [], "11"), ("11", ["12"], None)]
    for after, items, following in pages:
        page = at.reader.page("", after, 10, remote=False, pick=pick)
        assert ([item.path for item in page.items], page.next) == (items, following)


def test_a_million_files_in_little_memory(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a folder is, going through it costs the memory of a page: 5,000 files, with DORKY_FULL=1 a million."""
    full = bool(os.environ.get("DORKY_FULL"))
    count, limit, most = (1_000_000, 1000, 8 * 2**20) if full else (5000, 100, 2**20)
    if not full:
        monkeypatch.setattr(reading, "SLICE", 200)
    at = Fixture(tmp_path)
    paths = [Path(f"d{number // 1000:04}/f{number:07}") for number in range(count)]
    with at.journal.atomic():
        at.journal.set_bases((path, Base(A, 5, Version("1"), 0o644)) for path in paths)
        at.journal.set_remotes((path, Remote(Version("1"), 5, A)) for path in paths)
    del paths
    for pick in (None, picked(("f*9",), None, None, None)):
        seen, after = 0, ""
        tracemalloc.start()
        try:
            while True:
                page = at.reader.page("", after, limit, remote=False, pick=pick)
                seen += len(page.items)
                if page.next is None:
                    break
                after = page.next
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert seen == count // (1 if pick is None else 10)
        assert peak < most


# --- a journal that is not there --------------------------------------------------------------------------------------


def answers(reader: Reader) -> list[object]:
    """Every list there is to ask for."""
    return [
        reader.files("", "", 10, remote=False),
        reader.files("", "", 10, remote=True),
        reader.conflicts(),
        reader.problems({}),
        reader.log(-1, 10),
        reader.trash(),
        reader.pending_rows(10),
    ]


def test_no_journal(tmp_path: pathlib.Path) -> None:
    """Without a journal every answer is empty, and no file is made."""
    reader = Reader(tmp_path / "none.db", Project("api", "/p", "memory://"), "here")
    assert not any(answers(reader))
    assert reader.conflict_count() == 0
    assert reader.why("a", RULES, {}).state == "unknown"
    assert list(tmp_path.iterdir()) == []


def test_no_tables_yet(tmp_path: pathlib.Path) -> None:
    """The engine makes the file before the tables: until they are there, nothing is known."""
    (tmp_path / "new.db").touch()
    assert not any(answers(Reader(tmp_path / "new.db", Project("api", "/p", "memory://"), "here")))


def test_corrupt_journal_is_no_empty_one(tmp_path: pathlib.Path) -> None:
    """Damage is not taken for *nothing known*."""
    (tmp_path / "bad.db").write_bytes(b"no database at all" * 1000)
    with pytest.raises(sqlite3.DatabaseError):
        Reader(tmp_path / "bad.db", Project("api", "/p", "memory://"), "here").conflicts()


def test_journal_closed(at: Fixture) -> None:
    """A journal that no engine has open can still be read."""
    at.synced("a")
    at.journal.close()
    assert at.names() == ["a"]


def test_uncommitted_is_unseen(at: Fixture) -> None:
    """A reader waits for no transaction of the engine's and sees nothing of an unfinished one."""
    with at.journal.atomic():
        at.synced("a")
        assert at.names() == []
    assert at.names() == ["a"]


# --- files ------------------------------------------------------------------------------------------------------------


def test_states(at: Fixture) -> None:
    """A path's state: agreed and clean, agreed and dirty, on one side only, on both unmet, with a problem."""
    at.synced("agreed", "dirty", "wrong")
    at.dirty("dirty", "here", "both")
    at.local("here")
    at.remote("there")
    at.local("both")
    at.remote("both")
    at.journal.ledger.set_problem(Problem(Path("wrong"), "unreadable", "wrong: unreadable"))
    assert {item.path: item.state for item in at.files()} == {
        "agreed": "synced",
        "dirty": "changing",
        "here": "local",
        "there": "remote",
        "both": "changing",
        "wrong": "problem",
    }


def test_item_is_of_one_state(at: Fixture) -> None:
    """A file edited since is shown as agreed on, so that digest, size and version belong together."""
    at.synced("f")
    at.local("f", B, size=9)
    at.dirty("f")
    assert at.files() == [FileItem(Path("f"), A, 5, Version("1"), 0o644, "changing")]


def test_remote_items(at: Fixture) -> None:
    """The bucket's files have the bucket's values; a listing's missing digest is known for the state agreed on."""
    at.synced("same", "newer")
    at.remote("same", None, "1")
    at.remote("newer", None, "2", size=7)
    at.local("here")
    assert [(i.path, i.digest, i.size, i.version) for i in at.files(remote=True)] == [
        ("newer", None, 7, "2"),
        ("same", A, 5, "1"),
    ]


def test_pages(at: Fixture) -> None:
    """Pages follow each other without gap or repetition, in UTF-8 order, over all sides."""
    paths = ["B", "a", "a/b", "a/b0", "a0", "zz", "é", "\uff46", "\U0001f600", "\U0010ffff", "\U0010ffffx"]
    for index, path in enumerate(paths):
        (at.local, at.base, at.remote)[index % 3](path)
    got: list[str] = []
    while page := at.names(after=got[-1] if got else "", limit=2):
        got += page
    assert got == sorted(paths, key=str.encode)


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("d", ["d", "d/a", "d/b", "d0", "d\U0010ffff"]),
        ("d/", ["d/a", "d/b"]),
        ("d/b", ["d/b"]),
        ("D", []),
        ("d\U0010ffff", ["d\U0010ffff"]),
        ("\U0010ffff", ["\U0010ffff!"]),
        (".gi", [".gitignore"]),
        (".", [".gitignore"]),
        ("\ud7ff", ["\ud7ff1"]),
        ("%", ["%"]),
    ],
)
def test_prefix(at: Fixture, prefix: str, expected: list[str]) -> None:
    """A prefix is exact text; no character of it is a pattern, and the last characters of Unicode are like others."""
    at.synced("c", "d", "d/a", "d/b", "d0", "d\U0010ffff", "e", ".gitignore", "\ud7ff1", "\ue000", "%", "\U0010ffff!")
    assert at.names(prefix) == expected


def test_after_with_prefix(at: Fixture) -> None:
    """`after` before, inside and behind the prefix."""
    at.synced("a", "d/a", "d/b", "e")
    assert at.names("d/", "b") == ["d/a", "d/b"]
    assert at.names("d/", "d/a") == ["d/b"]
    assert at.names("d/", "e") == []
    assert at.names("d/a", "d/a") == []


@pytest.mark.parametrize("prefix", ["/", "/etc/", "a//", "../", "a/../b", ".git/", "a\0", "\udcff"])
def test_prefix_refused(at: Fixture, prefix: str) -> None:
    """A prefix that no path can have is refused, not answered with nothing."""
    with pytest.raises(Refused):
        at.files(prefix)


def test_ignored_left_out(at: Fixture) -> None:
    """With rules, ignored paths are left out and the page is filled with those that follow."""
    at.synced("a", "build/x", "build/y", "f.tmp", "g", "h", "i")
    found = at.reader.files("", "", 3, remote=False, rules=RULES)
    assert [item.path for item in found] == ["a", "g", "h"]


def test_one_instant(at: Fixture) -> None:
    """What the engine writes while an answer is read is not in it."""

    class Meanwhile(IgnoreRules):
        def skip(self, path: Path, is_folder: bool) -> bool:
            at.synced("c")
            return path == "a"

    at.synced("a", "b")
    assert [item.path for item in at.reader.files("", "", 2, remote=False, rules=Meanwhile())] == ["b"]
    assert at.names() == ["a", "b", "c"]


def test_pages_are_read_by_key(at: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page costs a page, not the table: no scan, and no sort of more than what was found."""
    at.synced("a")
    asked: list[str] = []
    conn = sqlite3.connect(at.journal.file)
    conn.set_trace_callback(asked.append)
    monkeypatch.setattr("dorkyd.schema.connect_readonly", lambda _file: conn)
    at.files("d/", "d/a", 10)
    (query,) = [text for text in asked if text.startswith("WITH")]
    with sqlite3.connect(at.journal.file) as again:
        plan = [row[3] for row in again.execute(f"EXPLAIN QUERY PLAN {query}")]
    again.close()
    assert sum(step.startswith("SEARCH") for step in plan) >= 8, plan
    assert [step for step in plan if step.startswith("SCAN")] == ["SCAN p"], plan


# --- the tree ---------------------------------------------------------------------------------------------------------


def tree(at: Fixture, folder: str = "", after: str = "", limit: int = 100, **wanted: object) -> list[tuple[str, str]]:
    """Entries with their states."""
    found = at.reader.tree(folder, after, limit, RULES, **wanted)  # type: ignore[arg-type]
    return [(item.path, item.state) for item in found]


def test_one_level(at: Fixture) -> None:
    """Entries of one folder in order, a folder once, with how much lies in it and the worst that does; ignored ones left out."""
    at.synced("a", "d/e/f", "d/e/g", "d/h", "d0", "d-1", "build/x", "t.tmp", "d/s.tmp")
    at.remote("d/only-there", None, "9")
    at.local("only-here")
    at.journal.ledger.set_problem(Problem(Path("d/link"), "symlink", "is a link"))
    assert tree(at) == [("a", "synced"), ("d-1", "synced"), ("d/", "problem"), ("d0", "synced"), ("only-here", "local")]
    assert tree(at, "d") == tree(at, "d/")
    assert tree(at, "d") == [("d/e/", "synced"), ("d/h", "synced"), ("d/link", "problem"), ("d/only-there", "remote")]
    items = {item.path: item for item in at.reader.tree("d", "", 100, RULES)}
    assert (items[Path("d/e/")].files, items[Path("d/e/")].size, items[Path("d/h")].size) == (2, None, 5)
    assert tree(at, "nothing/here") == []
    at.dirty("d/e/f")
    assert tree(at, "d", limit=1) == [("d/e/", "changing")]
    with pytest.raises(Refused):
        tree(at, "../x")


def test_level_in_pages(at: Fixture) -> None:
    """Whatever a page ends with, the next goes on behind it; a folder's files are no part of the level."""
    at.synced("a/1", "a/2", "a0", "b", "c/d/e", "f")
    whole = [path for path, _ in tree(at)]
    assert whole == ["a/", "a0", "b", "c/", "f"]
    for size in (1, 2, 3):
        found: list[str] = []
        while page := tree(at, after=found[-1] if found else "", limit=size):
            found += [path for path, _ in page]
        assert found == whole


def test_states_of_the_tree(at: Fixture) -> None:
    """A conflict is one on both its names and in the folder above; what is being sent says so, until its outcome is recorded."""
    at.synced("d/notes.txt", COPY, "up")
    at.dirty("up")
    assert tree(at) == [("d/", "conflict"), ("up", "changing")]
    assert dict(tree(at, "d")) == {"d/notes.txt": "conflict", COPY: "conflict"}
    at.journal.ledger.intend([Intent(Op("op"), Path("up"), "put", A, 5, None, None, False, 0)])
    assert tree(at)[-1] == ("up", "sending")


def test_paths_are_found(at: Fixture) -> None:
    """By a part of them, A-Z in either case, at any depth below a folder; or those that are not in sync."""
    at.synced("a/Report.csv", "b/c/report-2.csv", "x%y", "xzy", "d/notes.txt", COPY)
    assert [path for path, _ in tree(at, match="REPORT")] == ["a/Report.csv", "b/c/report-2.csv"]
    assert [path for path, _ in tree(at, "b", match="report")] == ["b/c/report-2.csv"]
    assert [path for path, _ in tree(at, match="report", after="a/Report.csv")] == ["b/c/report-2.csv"]
    assert [path for path, _ in tree(at, match="x%y")] == ["x%y"]
    assert tree(at, match="report", limit=1) == [("a/Report.csv", "synced")]
    at.local("new")
    at.remote("there", None, "9")
    at.dirty("xzy")
    at.journal.ledger.set_problem(Problem(Path("bad"), "unreadable", "no"))
    unsettled = {"bad": "problem", "new": "local", "there": "remote", "xzy": "changing"}
    assert dict(tree(at, unsettled=True)) == {**unsettled, "d/notes.txt": "conflict", COPY: "conflict"}
    assert tree(at, unsettled=True, match="NEW") == [("new", "local")]


def test_a_level_costs_its_entries(at: Fixture) -> None:
    """From one folder SQLite seeks to what is behind it: ten thousand files inside are not stepped over."""
    with at.journal.atomic():
        for number in range(10_000):
            at.journal.set_base(Path(f"d{number % 2}/e/{number}"), Base(A, 1, Version("1"), 0))
    conn = sqlite3.connect(at.journal.file)
    steps: list[int] = []
    level = Tree(conn, RULES)
    conn.set_progress_handler(lambda: steps.append(100) or 0, 100)  # type: ignore[func-returns-value]
    assert level._next(("path > ?", ""), b"") == "d0/e/0"
    assert level._next(("path >= ?", "d00"), b"") == "d1/e/1"
    assert sum(steps) < 1000
    conn.close()


# --- conflicts, problems, log, trash -----------------------------------------------------------------------------------


def test_conflicts(at: Fixture) -> None:
    """Conflict copies of every side count once; a person's own name that looks alike does not."""
    other = "x (conflict pc 20200101-000000 abcdef)"
    at.synced(COPY, "d/notes.txt", "my (conflict of interest).txt", "y (conflict pc 20201301-000000 abcdef)")
    at.synced("f (conflict 3fa9c1)/x", "Z (CONFLICT pc 20200101-000000 abcdef)")
    at.remote(other, None, "7", size=3)
    first, second = at.reader.conflicts()
    assert (first.path, first.copy, first.device, first.at) == ("d/notes.txt", COPY, "laptop-7", "20261103-141530")
    assert (first.digest, first.size, first.version) == (A, 5, "1")
    assert (second.path, second.copy, second.digest, second.size, second.version) == ("x", other, None, 3, "7")
    assert at.reader.conflict_count() == 2


def test_ignored_conflicts(at: Fixture) -> None:
    """A copy of what is ignored by now waits for nobody."""
    at.local("build/notes (conflict pc 20200101-000000 abcdef).txt")
    assert at.reader.conflict_count() == 1
    assert at.reader.conflict_count(rules=RULES) == 0
    assert at.reader.conflicts(rules=RULES) == []


def test_problems(at: Fixture) -> None:
    """Problems with what is known of the path, and the seconds to the next try where one is planned."""
    at.synced("b")
    for path in ("b", "a", "b"):
        at.journal.ledger.set_problem(Problem(Path(path), "unreadable", f"{path}: unreadable", "chmod u+r"))
    a, b = at.reader.problems({Path("b"): 12.5})
    assert (a.path, a.attempts, a.next_try_s, a.digest, a.size, a.version) == ("a", 1, None, None, None, None)
    assert (b.path, b.attempts, b.next_try_s, b.digest, b.size, b.version) == ("b", 2, 12.5, A, 5, "1")
    assert (b.code, b.detail, b.hint) == ("unreadable", "b: unreadable", "chmod u+r")


def test_log(at: Fixture) -> None:
    """Oldest first; after a number, or the last so many."""
    for index in range(5):
        at.journal.ledger.log(
            index * 1_500_000_000, [Event("upload", Path(f"f{index}"), "pc", A, 5, Version("1"), "x")]
        )
    assert [item.path for item in at.reader.log(-1, 2)] == ["f3", "f4"]
    assert [item.path for item in at.reader.log(0, 2)] == ["f0", "f1"]
    second = at.reader.log(1, 1)[0]
    assert (second.seq, second.at, second.verb, second.device, second.detail) == (
        2,
        "1970-01-01T00:00:01.500Z",
        "upload",
        "pc",
        "x",
    )
    assert (second.digest, second.size, second.version) == (A, 5, "1")
    assert at.reader.log(5, 10) == []


def test_trash(at: Fixture) -> None:
    """Newest first, with the time as text."""
    for name, at_ns in (("one", 1), ("three", 3_000_000_000), ("two", 2)):
        at.journal.ledger.displace(Displaced(name, Path("f"), A, 5, Version("1"), at_ns, 0))
    newest, *rest = at.reader.trash()
    assert (newest.name, newest.path, newest.size, newest.at) == ("three", "f", 5, "1970-01-01T00:00:03.000Z")
    assert (newest.digest, newest.version) == (A, "1")
    assert [item.name for item in rest] == ["two", "one"]


# --- why --------------------------------------------------------------------------------------------------------------


def test_why_synced(at: Fixture) -> None:
    """All sides, the last that was done, and since when."""
    at.synced("f")
    at.journal.ledger.log(0, [Event("upload", Path("f"), "here"), Event("download", Path("f"), "pc")])
    told = at.reader.why("f", RULES, {})
    assert told.local is not None
    assert told.base is not None
    assert told.remote is not None
    assert told.last is not None
    assert told.last.verb == "download"
    assert (told.state, told.ignored_by, told.problem) == ("synced", None, None)
    assert "In sync since 1970-01-01T00:00:00.000Z (download by pc)" in told.explanation


def test_why_installed(at: Fixture) -> None:
    """A file that was installed and not hashed again is on this side all the same."""
    at.base("f")
    at.remote("f")
    told = at.reader.why("f", RULES, {})
    assert told.local == FileItem(Path("f"), A, 5, None, 0o644, "synced")


def test_why_encrypted(at: Fixture) -> None:
    """An object that is encrypted, whatever covers it; a file that will be when it is sent; neither."""
    for path in ("f", "g", "h", "build/x"):
        at.synced(path)
    with at.journal.atomic():
        at.journal._conn.execute("UPDATE remote SET sealed = 'e1 x' WHERE path = 'f'")
    covers = lambda path: path != "g"
    told = {path: at.reader.why(path, RULES, {}, covers=covers).encrypted for path in ("f", "g", "h", "build/x")}
    assert told == {"f": "yes", "g": None, "h": "when-sent", "build/x": None}


def test_why_ignored(at: Fixture) -> None:
    """The rule is named; for a folder too, though only its files are known."""
    at.remote("build/x")
    told = at.reader.why("build/x", RULES, {})
    assert (told.state, told.ignored_by) == ("ignored", ".dorkyignore:1: /build/")
    assert "Ignored by `.dorkyignore:1: /build/`" in told.explanation
    assert "object in the bucket is left" in told.explanation
    assert at.explained("build")[0] == at.explained("build/")[0] == "ignored"


def test_why_problem(at: Fixture) -> None:
    """The reason, what to do, how often it was tried and when it is again."""
    at.journal.ledger.set_problem(Problem(Path("bad"), "unreadable", "bad: unreadable", "run `chmod u+r` on it"))
    at.journal.ledger.set_problem(Problem(Path("link"), "symlink", "link is a symlink"))
    state, text = at.explained("bad")
    assert state == "problem"
    assert text == (
        "Cannot sync because bad: unreadable. What to do: run `chmod u+r` on it. Tried once so far, next in 30 s."
    )
    assert at.explained("link")[1].endswith("next when it changes.")


def test_why_conflict(at: Fixture) -> None:
    """Both the copy and the path it is of say how to settle it; a clean name beside them does not."""
    at.synced("d/notes.txt", COPY, "d/notes", "d/notes (conflict")
    for path in ("d/notes.txt", COPY):
        state, text = at.explained(path)
        assert state == "conflict"
        assert "dorkyctl resolve api:d/notes.txt --keep mine|theirs|both" in text
    assert at.explained("d/notes")[0] == "synced"


def test_why_unknown(at: Fixture) -> None:
    """Never seen, and seen once but gone, are told apart."""
    state, text = at.explained("nothing")
    assert state == "unknown"
    assert "Never seen" in text
    at.journal.ledger.log(0, [Event("delete-local", Path("gone"), "pc")])
    state, text = at.explained("gone")
    assert state == "unknown"
    assert "delete-local by pc" in text


def test_why_folder(at: Fixture) -> None:
    """A folder is no file that sync forgot."""
    at.synced("d/a", "d/b", "d0")
    for path in ("d", "d/"):
        state, text = at.explained(path)
        assert state == "unknown"
        assert "known below it: 2" in text


def test_why_pending(at: Fixture) -> None:
    """Each way of not being in sync says what it waits for."""
    at.synced("up", "down", "both", "gone", "ask", "look")
    at.local("new")
    at.remote("coming")
    at.local("unmet")
    at.remote("unmet")
    at.local("up", B)
    at.remote("down", B, "2")
    at.local("both", B)
    at.remote("both", A, "2")
    at.journal.set_remote(Path("gone"), None)
    at.dirty("up", "down", "both", "gone", "look", "first")
    at.dirty("ask", remote=True)
    expected = {
        "new": "only in the folder and waits to be uploaded",
        "coming": "only in the bucket and waits to be downloaded",
        "unmet": "on both sides",
        "up": "edited here and waits to be uploaded",
        "down": "edited in the bucket and waits to be downloaded",
        "both": "edited on both sides",
        "gone": "gone from the bucket",
        "ask": "may have changed in the bucket",
        "look": "may have changed in the folder",
        "first": "for the first time",
    }
    for path, text in expected.items():
        state, told = at.explained(path)
        assert state == "pending", path
        assert text in told, path
    assert at.explained("new", "the project is paused")[1].endswith("Nothing moves now: the project is paused.")
    waits = {item.path: item.waits for item in at.reader.pending_rows(100)}
    assert set(waits) == {"up", "down", "both", "gone", "look", "first", "ask"}
    assert "waits to be uploaded" in waits[Path("up")]
    assert [item.path for item in at.reader.pending_rows(1)] == ["both"]


def test_why_sent(at: Fixture) -> None:
    """A write whose outcome is not recorded is under way."""
    at.synced("f")
    at.journal.ledger.intend([Intent(Op("op"), Path("f"), "put", A, 5, None, None, False, 0)])
    assert at.explained("f") == ("pending", "Not in sync yet: it is being written to the bucket.")


@pytest.mark.parametrize(
    ("mode", "path", "text"),
    [(Mode.PULL, "new", "never writes the bucket"), (Mode.PUSH, "old", "never writes the fold")],
)
def test_why_one_way(tmp_path: pathlib.Path, mode: Mode, path: str, text: str) -> None:
    """What the mode keeps on one side waits for nothing."""
    at = Fixture(tmp_path, mode)
    at.local("new")
    at.remote("old")
    assert text in at.explained(path)[1]


@pytest.mark.parametrize("path", ["", "/", "/etc/passwd", "../x", "a//b", "a\0b", ".git/config", "\udcff", "x" * 300])
def test_why_refused(at: Fixture, path: str) -> None:
    """What can be no path is refused with a text that can be printed."""
    with pytest.raises(Refused) as refused:
        at.reader.why(path, RULES, {})
    assert str(refused.value).encode()
