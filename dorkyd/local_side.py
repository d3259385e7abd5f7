"""The folder as the engine sees it: is it really there, what changed in it, and what has settled.

Marks come from the watcher, from scans and from the engine itself; all are hints. Used from the engine's thread only.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from dorkyd.core.ignore import IgnoreRules
from dorkyd.core.metadata import sha256
from dorkyd.core.model import Digest, Local, Path, Problem, StatTuple
from dorkyd.core.paths import is_under
from dorkyd.core.settings import Project
from dorkyd.errors import Blocked, PathProblem, Stale, Transient
from dorkyd.journal import RACY_NS, Journal
from dorkyd.ports import ABSENT, Entry, Folder, Known, Marks, Observation, Watcher

IGNORE_FILE = Path(".dorkyignore")
_IGNORE_BYTES = 1024 * 1024
"""An ignore file is read no further."""
_CHUNK_BYTES = 1024 * 1024
_CROWD = 256
"""Of more marks at once it is not asked which of them tell of what is known already."""
RESCAN_UNWATCHED_S = 15.0
"""How often folders that the system refuses to watch are scanned."""


@dataclass(slots=True)
class _Quiet:
    """When a path was first and last seen changing, monotonic seconds."""

    first: float
    last: float


@dataclass(frozen=True, slots=True)
class Scanned:
    """How a scan ended."""

    files: int
    unknown: tuple[Problem, ...]
    """What it met that is no file we sync; for a folder, all below it is unknown."""


@dataclass(slots=True)
class LocalSide:
    """See the module."""

    folder: Folder
    journal: Journal
    project: Project
    make_watcher: Callable[[Callable[[Path, bool], bool]], Watcher | None]
    rules: IgnoreRules = field(default_factory=IgnoreRules)
    watcher: Watcher | None = None
    _rules_text: str | None = None
    scan_due: float = -math.inf
    """Monotonic; infinity: no scan asked for."""
    trees_due: set[Path] = field(default_factory=set)
    _quiet: dict[Path, _Quiet] = field(default_factory=dict)
    """What is still changing, or was when somebody last asked."""
    _settled: dict[Path, _Quiet] = field(default_factory=dict)
    """What was quiet long enough and has not been read since."""
    _fresh: set[Path] = field(default_factory=set)
    bytes_read: int = 0
    """By `observe` and `has_md5`, since the start."""
    _unwatched_due: float = math.inf

    # --- rules --------------------------------------------------------------------------------------------------

    def load_rules(self, unasked: float | None = None) -> bool:
        """Read `.dorkyignore` and the settings' patterns into `rules`. True when they differ from those last applied
        (`rules_applied`): then everything must be looked at again, and nothing deleted in this cycle.

        `unasked`, the monotonic time: nobody waited for the file to be quiet. In the middle of a save it may be empty or away,
        and what it keeps private would be sent: what it said last holds until it has been.
        """
        self._rules_text = self._ignore_text()
        last = self.journal.get("ignore_text")
        if unasked is not None and self._rules_text != last and self.journal.get("ignore_rules") is not None:
            self._rules_text = last
            if IGNORE_FILE not in self._quiet and IGNORE_FILE not in self._settled:
                self.touched([IGNORE_FILE], unasked)
        self.rules = IgnoreRules(self.project.ignore, self._rules_text)
        return self.journal.get("ignore_rules") != self._rules_key()

    def rules_applied(self) -> None:
        """The rules in force were applied to all that is known. In the transaction that does so."""
        self.journal.put("ignore_rules", self._rules_key())
        self.journal.put("ignore_text", self._rules_text)

    def _rules_key(self) -> str:
        return repr((self._rules_text, self.project.ignore))

    def _ignore_text(self) -> str | None:
        """What `.dorkyignore` says; while it cannot be read, what it said last. `Blocked` when nobody knows: what it
        keeps private must not be sent.
        """
        seen = self.folder.observe(IGNORE_FILE, None)
        if isinstance(seen, Local):
            with self.folder.open(IGNORE_FILE, seen) as stream:
                return stream.read(_IGNORE_BYTES).decode("utf-8", "replace")
        last = self.journal.get("ignore_text")
        if isinstance(seen, Problem) and seen.code == "unreadable" and last is None:
            raise Blocked(
                f"{IGNORE_FILE} cannot be read, so nobody knows what to leave out: {seen.detail}",
                hint=seen.hint,
                code="ignore-file",
            )
        return last if isinstance(seen, Problem) else None

    # --- marks --------------------------------------------------------------------------------------------------

    def watch(self) -> None:
        """Begin watching, before the scan that finds what happened until now."""
        self.unwatch()
        self.watcher = self.make_watcher(self.rules.skip)

    def unwatch(self) -> None:
        """End watching."""
        if self.watcher is not None:
            self.watcher.stop()
            self.watcher = None

    def drain(self, now: float) -> None:
        """Take the watcher's marks in."""
        if self.watcher is None:
            return
        marks: Marks = self.watcher.drain()
        if marks.everything:
            self.scan_due = min(self.scan_due, now)
        self.trees_due |= marks.trees
        if marks.paths:
            self.touched(marks.paths, now, known=self._as_known(marks.paths))
        unwatched = self.watcher.unwatched
        if not unwatched:
            self._unwatched_due = math.inf
        elif now >= self._unwatched_due or math.isinf(self._unwatched_due):
            self._unwatched_due = now + RESCAN_UNWATCHED_S
            if Path("") in unwatched:
                self.scan_due = min(self.scan_due, now)
            else:
                self.trees_due |= unwatched

    def touched(self, paths: Iterable[Path], now: float, *, known: Collection[Path] = ()) -> None:
        """These changed just now: they are dirty, and read when they have been quiet for a while. Those `known` will not be
        read.
        """
        paths = list(paths)
        self._fresh.update(paths)
        for path in paths:
            if path in known:
                continue
            quiet = self._quiet.get(path) or self._settled.pop(path, None)
            if quiet is None:
                quiet = _Quiet(now, now)
            quiet.last = now
            self._quiet[path] = quiet
        if paths:
            with self.journal.atomic():
                self.journal.mark(paths)

    def _as_known(self, paths: Collection[Path]) -> set[Path]:
        """Those of them that are as they are known to be, as our own writes are when their events come back: they will not
        be read, so that they need not be quiet first.
        """
        if len(paths) > _CROWD:
            return set()
        known = {path: self.journal.known(path) for path in paths}
        found = {
            path for path, k in known.items() if k is not None and not racy(k) and self.folder.stands(path, k.stat)
        }
        for path in found:
            self.was_read(path)
        return found

    def put_in_place(self, path: Path, stat: StatTuple) -> None:
        """What stands there is known now. Its event may have come before."""
        if path in self._quiet and self.folder.stands(path, stat):
            self.was_read(path)

    def fresh(self) -> set[Path]:
        """Paths that changed since this was last asked: what failed before may work now."""
        fresh, self._fresh = self._fresh, set()
        return fresh

    def ready_at(self, path: Path) -> float:
        """When a path has been quiet long enough to be read; minus infinity: now."""
        quiet = self._quiet.get(path)
        if quiet is None:
            return -math.inf
        return min(quiet.last + self.project.settle_s, quiet.first + self.project.hold_s)

    def unsettled(self, now: float) -> list[Path]:
        """Paths that are still changing."""
        for path in [path for path in self._quiet if self.ready_at(path) <= now]:
            self._settled[path] = self._quiet.pop(path)
        return list(self._quiet)

    def rules_changing(self, now: float) -> bool:
        """The ignore file is being written: what it will say is not known."""
        return IGNORE_FILE in self.unsettled(now)

    def was_read(self, path: Path) -> None:
        """It was observed: a later change begins a new wait."""
        self._quiet.pop(path, None)
        self._settled.pop(path, None)

    def pending_marks(self) -> bool:
        """The watcher has noticed something that was not drained yet, or a scan was asked for."""
        return (self.watcher is not None and self.watcher.pending) or self.scan_due < math.inf

    def next_due(self, now: float) -> float:
        """When there is something to look at without a mark from outside."""
        return min(now if self.trees_due else math.inf, self.scan_due, self._unwatched_due)

    def next_settled(self) -> list[float]:
        """When each path that changed will have been quiet long enough."""
        return [self.ready_at(path) for path in self._quiet]

    # --- looking ------------------------------------------------------------------------------------------------

    def scan(self, under: Path | None, now: float) -> Scanned:
        """Compare the folder, or a part of it, with what is known and mark every difference.

        What just changed (its mtime is within the settling time of the file system's now) waits to be quiet.
        """
        journal = self.journal
        unknown: list[Problem] = []
        fresh: list[Path] = []
        recent_ns = self.folder.now_ns() - int(self.project.settle_s * 1e9)
        found = journal.scanned(self._entries(under, unknown, fresh, recent_ns), under)
        blind = [problem.path for problem in unknown]
        gone = [path for path in found.missing if not any(path == b or is_under(path, b) for b in blind)]
        if found.changed or gone:
            with journal.atomic():
                journal.mark(found.changed)
                journal.mark(gone)
        recent = set(fresh)
        for path in found.changed:
            if path in recent and path not in self._quiet and path not in self._settled:
                self._quiet[path] = _Quiet(now, now)
        if under is not None and under in blind:
            with journal.atomic():
                journal.mark([under])
        return Scanned(found.met, tuple(unknown))

    def _entries(
        self, under: Path | None, unknown: list[Problem], fresh: list[Path], recent_ns: int
    ) -> Iterable[Entry]:
        for met in self.folder.scan(self.rules.skip_entry if under is None else self.rules.skip, under):
            if isinstance(met, Problem):
                unknown.append(met)
                continue
            if met.stat.mtime_ns > recent_ns:
                fresh.append(met.path)
            yield met

    def observe(self, path: Path, at_ns: int) -> Observation:
        """Look at one path, sparing the hash where the stat tuple proves it, and remember what was seen.

        `at_ns` is the file system's time, read at any moment before. Raises `Stale` for a file that is changing.
        """
        known = self.journal.known(path)
        found = self.folder.observe(path, known)
        if isinstance(found, Local):
            if known is None or known.stat != found.stat:
                self.bytes_read += found.size
            fresh = known is None or known.stat != found.stat or known.digest != found.digest
            if fresh or (known is not None and racy(known)):
                self.journal.set_known(path, Known(found.stat, found.digest, at_ns))
        elif found is ABSENT and known is not None:
            self.journal.set_known(path, None)
        return found

    def has_md5(self, path: Path, local: Local, md5: str) -> bool:
        """Read the file once more: does it hold `local.digest` still, and do these bytes have this MD5?"""
        old, now = hashlib.md5(usedforsecurity=False), hashlib.sha256()
        self.bytes_read += local.size
        try:
            with self.folder.open(path, local) as stream:
                while chunk := stream.read(_CHUNK_BYTES):
                    old.update(chunk)
                    now.update(chunk)
        except (Stale, PathProblem):
            return False
        return old.hexdigest() == md5 and sha256(now.hexdigest()) == local.digest

    def ignored_in(self, under: Path) -> Path | None:
        """A file in that folder which is ignored here. None: there is none, or nobody can tell just now."""
        try:
            found = self.folder.scan(lambda _path, _is_folder: False, under)
            return next((met.path for met in found if self.rules.skip(met.path, False)), None)
        except (Stale, Transient, Blocked):
            return None

    def at_hand(self, digest: Digest, limit: int = 4) -> list[tuple[Path, Local]]:
        """Files here that hold this content, by what is remembered of them."""
        found: list[tuple[Path, Local]] = []
        for path in self.journal.bases_with(digest)[:limit]:
            known = self.journal.known(path)
            if known is not None and known.digest == digest:
                found.append((path, Local(known.digest, 0, known.stat)))
        return found


def racy(known: Known) -> bool:
    """A scan would look at this file again, so close are its stamps to when it was hashed."""
    return known.stamped_since(known.at_ns - RACY_NS)
