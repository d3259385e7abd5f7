"""What API threads read of a project, beside the engine: answers from a read-only connection, opened for each call.

An answer is of one instant: all that one call reads is one transaction, and the engine goes on meanwhile. Nothing here
loads a whole table for a page. A journal that does not exist yet, or whose tables do not, knows nothing: the answers
are empty.
"""

from __future__ import annotations

import shlex
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path as FilePath

from dorkyd import schema
from dorkyd.core.artifact import Artifact
from dorkyd.core.audit import EVERYTHING, Filter
from dorkyd.core.ignore import IgnoreRules
from dorkyd.core.model import Path
from dorkyd.core.paths import ConflictName, parse, parse_conflict
from dorkyd.core.picking import FilePage, Picked
from dorkyd.core.report import ConflictItem, FileItem, LogItem, ProblemItem, TrashItem, TreeItem, Why
from dorkyd.core.settings import Mode, Project
from dorkyd.errors import PathProblem, Refused
from dorkyd.reading_artifacts import artifacts_of
from dorkyd.reading_rows import (
    SIDES,
    TABLES,
    Row,
    conflict_copies,
    copies_of,
    count_below,
    history_of,
    is_apart,
    is_sealed,
    is_sent,
    joined,
    last_of,
    log_of,
    page_of,
    paths_of,
    problem_of,
    rfc3339,
    rows_of,
)
from dorkyd.reading_tree import Tree

SLICE = 2000
"""So many rows are in memory at a time."""
MOST_PASSED = 50_000
"""So many are looked at for one page of what is picked."""


@dataclass(frozen=True, slots=True)
class PendingItem:
    """A dirty path and what it waits for, as far as the journal can tell before it is looked at."""

    path: Path
    waits: str
    """Goes on a sentence that begins with the path: `was edited here and waits to be uploaded`."""


class Reader:
    """See the module. From any thread, several at once.

    Answers to the reading half of `dorkyd.control.ProjectControl`. Where `rules` are given, what they ignore is left
    out: rows of paths that became ignored may outlive that.
    """

    def __init__(self, journal_file: FilePath, project: Project, device: str) -> None:
        self._file = journal_file
        self._project = project
        self._device = device

    # --- lists ------------------------------------------------------------------------------------------------------

    def files(
        self, prefix: str, after: str, limit: int, *, remote: bool, rules: IgnoreRules | None = None
    ) -> list[FileItem]:
        """At most `limit` paths beginning with `prefix`, in order, after `after` ("": from the first).

        `remote`: what the bucket is known to hold, with the bucket's digest, size and version. Otherwise what either
        side is known to hold, as last agreed on where it was. `Refused` for a prefix that no path can have.
        """
        return self.page(prefix, after, limit, remote=remote, rules=rules).items

    def page(
        self,
        prefix: str,
        after: str,
        limit: int,
        *,
        remote: bool,
        rules: IgnoreRules | None = None,
        pick: Picked | None = None,
    ) -> FilePage:
        """The same, and what the following page comes after. `pick`: of these only what it takes; after `MOST_PASSED` paths the
        page ends, however few it has.
        """
        _check_prefix(prefix)
        _check_text(after)
        found: list[FileItem] = []
        passed = 0
        with self._reading() as conn:
            while conn is not None and passed < MOST_PASSED:
                # One more than is told shows whether anything follows.
                want = SLICE if pick is not None else min(SLICE, limit + 1 - len(found))
                place = ("remote",) if remote else SIDES, prefix, after, want
                if pick is None or pick.patterns is None:
                    rows = page_of(conn, *place)
                    paths = [row.path for row in rows]
                else:
                    # Of what no pattern picks nothing else need be known.
                    paths = paths_of(conn, *place)
                    rows = rows_of(conn, [path for path in paths if pick.patterns.picks(path)])
                for row in rows:
                    item = row.item(row.remote if remote else row.agreed)
                    if item is None or (pick is not None and not pick.takes(item)):
                        continue
                    if rules is not None and rules.skip(row.path, False):
                        continue
                    if len(found) == limit:
                        return FilePage(found, found[-1].path)
                    found.append(item)
                if len(paths) < want:
                    return FilePage(found)
                after = paths[-1]
                passed += len(paths) if pick is not None else 0
        return FilePage(found, after if conn is not None else None)

    def tree(
        self,
        folder: str,
        after: str,
        limit: int,
        rules: IgnoreRules,
        *,
        match: str = "",
        unsettled: bool = False,
        clashes: bool = True,
    ) -> list[TreeItem]:
        """At most `limit` entries of one folder ("": the root), after the entry `after`; with `match` or `unsettled`, files at any
        depth below it, as `Tree.find` says. `clashes` False: it is known that there is no conflict. `Refused` for what can
        be no folder.
        """
        folder = f"{folder.rstrip('/')}/" if folder else ""
        _check_prefix(folder)
        _check_text(after)
        _check_text(match)
        with self._reading() as conn:
            if conn is None:
                return []
            tree = Tree(conn, rules, clashes)
            if match or unsettled:
                return tree.find(folder, after, limit, match, unsettled=unsettled)
            return tree.level(folder, after, limit)

    def artifacts(self, prefix: str, after: str, limit: int, having: Mapping[str, str]) -> list[Artifact]:
        """As `artifacts_of`. `Refused` for a prefix that no path can have."""
        _check_prefix(prefix)
        _check_text(after)
        with self._reading() as conn:
            return [] if conn is None else artifacts_of(conn, prefix, after, limit, having)

    def history_of(self, path: Path) -> list[LogItem]:
        """What was done to a path, newest first."""
        with self._reading() as conn:
            return [] if conn is None else history_of(conn, path)

    def conflicts(self, *, rules: IgnoreRules | None = None) -> list[ConflictItem]:
        """Conflict copies that wait for a person, in order."""
        with self._reading() as conn:
            if conn is None:
                return []
            return [
                ConflictItem(named.original, copy, named.device, _date(named), side.digest, side.size, side.version)
                for copy, named in conflict_copies(conn, rules)
                for row in joined(conn, "SELECT ? AS path", (copy,))
                if (side := row.agreed) is not None
            ]

    def conflict_count(self, *, rules: IgnoreRules | None = None) -> int:
        """How many `conflicts` there are: three scans inside SQLite, of which only the copies come out."""
        with self._reading() as conn:
            return len(conflict_copies(conn, rules)) if conn is not None else 0

    def problems(self, next_try: Mapping[Path, float]) -> list[ProblemItem]:
        """Paths that cannot sync, in order. `next_try`: seconds until each is tried again, where that is planned."""
        with self._reading() as conn:
            if conn is None:
                return []
            rows = joined(conn, "SELECT path FROM problems", ())
        return [item for row in rows if (item := problem_of(row, next_try)) is not None]

    def log(self, after: int, limit: int, wanted: Filter = EVERYTHING) -> list[LogItem]:
        """History with seq above `after`, oldest first; `after` -1: the last `limit` of it. `wanted`: only this."""
        with self._reading() as conn:
            return [] if conn is None else log_of(conn, after, limit, wanted)

    def trash(self) -> list[TrashItem]:
        """What can be restored, newest first."""
        with self._reading() as conn:
            if conn is None:
                return []
            rows = conn.execute(
                "SELECT name, path, size, at_ns, digest, version FROM displaced ORDER BY at_ns DESC, name DESC"
            ).fetchall()
        return [
            TrashItem(id_, path, size, rfc3339(at_ns), digest, version)
            for id_, path, size, at_ns, digest, version in rows
        ]

    def pending_rows(self, limit: int) -> list[PendingItem]:
        """The longest dirty paths and what each waits for, in the order of paths."""
        with self._reading() as conn:
            if conn is None:
                return []
            rows = joined(conn, "SELECT path FROM dirty ORDER BY mark, path LIMIT ?", (limit,))
        return [PendingItem(row.path, _waits(row, self._project.mode)) for row in rows]

    # --- one path ---------------------------------------------------------------------------------------------------

    def why(
        self,
        path: str,
        rules: IgnoreRules,
        next_try: Mapping[Path, float],
        *,
        stopped: str = "",
        covers: Callable[[Path], bool] = lambda _: False,
    ) -> Why:
        """Everything known about one path. A closing `/` asks about a folder.

        `covers`: what leaves this machine encrypted only.

        `stopped` says why nothing moves at present (`the project is paused`), "" when things do. `Refused` for what
        can be no path.
        """
        asked = _parsed(path.removesuffix("/") if path != "/" else path)
        row, last, sent, inside, sealed = Row(asked), None, False, 0, False
        differs = False
        copies: list[Path] = []
        with self._reading() as conn:
            if conn is not None:
                (row,) = joined(conn, "SELECT ? AS path", (asked,))
                last = last_of(conn, asked)
                sent = is_sent(conn, asked)
                sealed = is_sealed(conn, asked)
                differs = is_apart(conn, asked)
                inside = 0 if row.known else count_below(conn, asked)
                copies = copies_of(conn, asked) if row.known else []
        folder = not row.known and (path.endswith("/") or inside > 0)
        ignored_by = rules.rule(asked, folder)
        problem = problem_of(row, next_try)
        named = parse_conflict(asked) if row.known else None
        if ignored_by is not None:
            state, text = "ignored", _ignored(row, ignored_by)
        elif problem is not None:
            state, text = "problem", _cannot(problem)
        elif folder:
            state, text = "unknown", self._folder(asked, inside)
        elif named is not None:
            state, text = "conflict", self._copy(named)
        elif copies:
            state, text = "conflict", self._original(asked, copies)
        elif row.base is not None and not (row.dirty or sent or differs):
            state, text = "synced", self._synced(last)
        elif row.known or row.dirty or sent:
            state, text = "pending", self._pending(row, sent=sent, stopped=stopped)
        else:
            state, text = "unknown", self._unknown(last)
        encrypted = "yes" if sealed else "when-sent" if ignored_by is None and not folder and covers(asked) else None
        sides = (row.item(row.local), row.item(row.base), row.item(row.remote))
        return Why(asked, state, ignored_by, *sides, problem, last, text, encrypted)

    def _folder(self, path: Path, inside: int) -> str:
        return (
            "A folder: folders are not synced themselves, only the files in them. Files known below it: "
            f"{inside}; `dorkyctl ls {self._name} {shlex.quote(f'{path}/')}` lists them."
        )

    def _copy(self, named: ConflictName) -> str:
        return (
            f"A conflict copy: what {named.device} had as {named.original!r} when another edit won the name. "
            f"`{self._resolve(named.original)}` settles it."
        )

    def _original(self, path: Path, copies: Sequence[Path]) -> str:
        beside = repr(copies[0]) if len(copies) == 1 else f"{len(copies)} copies beside it"
        return f"Edited on two sides at once: what lost the name is in {beside}. `{self._resolve(path)}` settles it."

    def _synced(self, last: LogItem | None) -> str:
        since = "" if last is None else f" since {last.at} ({last.verb} by {self._who(last)})"
        return f"In sync{since}: the folder and the bucket hold the same content."

    def _pending(self, row: Row, *, sent: bool, stopped: str) -> str:
        waits = "is being written to the bucket" if sent else _waits(row, self._project.mode)
        return f"Not in sync yet: it {waits}.{f' Nothing moves now: {stopped}.' if stopped else ''}"

    def _unknown(self, last: LogItem | None) -> str:
        if last is not None:
            return f"On neither side now. The last that was done to it: {last.verb} by {self._who(last)} at {last.at}."
        return (
            "Never seen, neither in the folder nor in the bucket: check the spelling (upper and lower case differ), "
            f"or look at both sides now with `dorkyctl sync {self._name}`."
        )

    def _who(self, item: LogItem) -> str:
        return "this device" if item.device == self._device else item.device

    def _resolve(self, original: Path) -> str:
        return f"dorkyctl resolve {shlex.quote(f'{self._project.name}:{original}')} --keep mine|theirs|both"

    @property
    def _name(self) -> str:
        return shlex.quote(self._project.name)

    # --- inside -----------------------------------------------------------------------------------------------------

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """A connection that sees one instant; None: there is no journal yet."""
        try:
            conn = schema.connect_readonly(self._file)
        except sqlite3.OperationalError:
            if self._file.exists():
                raise
            yield None
            return
        with closing(conn):
            conn.execute("BEGIN")
            # The engine makes the file first and the tables after.
            made = {name for (name,) in conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            yield conn if made.issuperset(TABLES) else None


# --- texts from outside ----------------------------------------------------------------------------------------------


def _parsed(text: str) -> Path:
    try:
        return parse(text)
    except PathProblem as exc:
        raise Refused(f"{text!r}: {exc}", code=exc.code, hint=exc.hint) from exc


def _check_text(text: str) -> None:
    """What no file system can hold, and SQLite cannot be asked for."""
    if "\0" in text or not _is_utf8(text):
        raise Refused(f"{text!r} is the beginning of no path: it holds a NUL character or is not UTF-8")


def _check_prefix(prefix: str) -> None:
    """Its last component may be a beginning (`.gi`, `..`); those before it are whole."""
    _check_text(prefix)
    folder, slash, _ = prefix.rpartition("/")
    if slash:
        _parsed(folder or prefix)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


# --- sentences -------------------------------------------------------------------------------------------------------


def _date(named: ConflictName) -> str:
    """As in the name: `%Y` alone would not pad."""
    return f"{named.at.year:04d}{named.at:%m%d-%H%M%S}"


def _ignored(row: Row, rule: str) -> str:
    left = " The object in the bucket is left as it is." if row.remote is not None else ""
    return f"Ignored by `{rule}`: neither sent nor fetched nor deleted.{left}"


def _cannot(problem: ProblemItem) -> str:
    again = "when it changes" if problem.next_try_s is None else f"in {max(problem.next_try_s, 0):.0f} s"
    hint = f" What to do: {problem.hint}." if problem.hint else ""
    tried = "once" if problem.attempts == 1 else f"{problem.attempts} times"
    return f"Cannot sync because {problem.detail}.{hint} Tried {tried} so far, next {again}."


def _waits(row: Row, mode: Mode) -> str:
    """What keeps a path from being in sync, by what is known of its sides. What is known may be old: looking decides."""
    base, local, remote = row.base, row.local, row.remote
    up = {
        Mode.PULL: "stays here, for `mode: pull` never writes the bucket",
        Mode.MANUAL: "waits for `dorkyctl stage` and `dorkyctl push`",
    }.get(mode, "waits to be uploaded")
    down = {
        Mode.PUSH: "stays there, for `mode: push` never writes the folder",
        Mode.MANUAL: "waits for `dorkyctl pull`",
    }.get(mode, "waits to be downloaded")
    if base is None:
        if local is not None and remote is not None:
            return "is on both sides, which were never compared, and waits for that"
        if local is not None:
            return f"is only in the folder and {up}"
        return f"is only in the bucket and {down}" if remote is not None else "waits to be looked at for the first time"
    here = local is not None and local.digest != base.digest
    there = remote is not None and base.version is not None and remote.version != base.version
    if here and there:
        return "was edited on both sides and waits for both versions to be kept"
    if here:
        return (
            f"was edited here and {up}" if remote is not None else "was edited here, is gone there and waits for a look"
        )
    if there:
        return f"was edited in the bucket and {down}"
    if remote is None:
        return "is gone from the bucket and waits until that is proven"
    if row.ask:
        return "may have changed in the bucket and waits until that is asked"
    return "may have changed in the folder and waits to be looked at"
