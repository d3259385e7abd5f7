"""The folder as the engine sees it: is it really there, what changed in it, and what has settled.

Marks come from the watcher, from scans and from the engine itself; all are hints. Used from the engine's thread only.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import islice

from dorkyd.core.ignore import IgnoreRules
from dorkyd.core.model import Digest, Local, Path, Problem
from dorkyd.core.paths import ancestors, is_under
from dorkyd.core.settings import Project
from dorkyd.errors import Blocked, Stale
from dorkyd.journal import Journal
from dorkyd.ports import ABSENT, Entry, Folder, Known, Marks, Observation, Watcher

IGNORE_FILE = Path(".dorkyignore")
_SCAN_SLICE = 2000
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
    scan_due: float = -math.inf
    """Monotonic; infinity: no scan asked for."""
    trees_due: set[Path] = field(default_factory=set)
    _quiet: dict[Path, _Quiet] = field(default_factory=dict)
    _unwatched_due: float = math.inf

    # --- rules --------------------------------------------------------------------------------------------------

    def load_rules(self) -> bool:
        """Read `.dorkyignore` and the settings' patterns. True when they differ from those in force: then everything
        must be looked at again, and nothing deleted in this cycle."""
        text: str | None = None
        seen = self.folder.observe(IGNORE_FILE, None)
        if isinstance(seen, Local):
            try:
                with self.folder.open(IGNORE_FILE, seen) as stream:
                    text = stream.read(1024 * 1024).decode("utf-8", "replace")
            except Stale:
                return False
        elif isinstance(seen, Problem):
            return False
        known = self.journal.get("ignore_digest")
        now = repr((seen.digest if isinstance(seen, Local) else None, self.project.ignore))
        self.rules = IgnoreRules(self.project.ignore, text)
        if known == now:
            return False
        with self.journal.atomic():
            self.journal.put("ignore_digest", now)
        return known is not None

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
            self.touched(marks.paths, now)
        unwatched = self.watcher.unwatched
        if not unwatched:
            self._unwatched_due = math.inf
        elif now >= self._unwatched_due or math.isinf(self._unwatched_due):
            self._unwatched_due = now + RESCAN_UNWATCHED_S
            if Path("") in unwatched:
                self.scan_due = min(self.scan_due, now)
            else:
                self.trees_due |= unwatched

    def touched(self, paths: Iterable[Path], now: float) -> None:
        """These changed just now: they are dirty, and read when they have been quiet for a while."""
        paths = list(paths)
        for path in paths:
            quiet = self._quiet.get(path)
            if quiet is None:
                self._quiet[path] = _Quiet(now, now)
            else:
                quiet.last = now
        with self.journal.atomic():
            self.journal.mark(paths)

    def ready_at(self, path: Path) -> float:
        """When a path has been quiet long enough to be read; minus infinity: now."""
        quiet = self._quiet.get(path)
        if quiet is None:
            return -math.inf
        return min(quiet.last + self.project.settle_s, quiet.first + self.project.hold_s)

    def unsettled(self, now: float) -> list[Path]:
        """Paths that are still changing."""
        return [path for path in self._quiet if self.ready_at(path) > now]

    def was_read(self, path: Path) -> None:
        """It was observed: a later change begins a new wait."""
        self._quiet.pop(path, None)

    def next_due(self, now: float) -> float:
        """When there is something to do without a mark from outside."""
        soonest = min((self.ready_at(path) for path in self._quiet), default=math.inf)
        if self.trees_due:
            soonest = now
        return min(soonest, self.scan_due, self._unwatched_due)

    # --- looking ------------------------------------------------------------------------------------------------

    def scan(self, under: Path | None, now: float) -> Scanned:
        """Compare the folder, or a part of it, with what is known and mark every difference.

        What just changed (its mtime is within the settling time of the file system's now) waits to be quiet.
        """
        journal = self.journal
        unknown: list[Problem] = []
        fresh: list[Path] = []
        recent_ns = self.folder.now_ns() - int(self.project.settle_s * 1e9)
        journal.scan_begins()
        entries = self._entries(under, unknown, fresh, recent_ns)
        while some := list(islice(entries, _SCAN_SLICE)):
            journal.scan_entries(some)
        changed, missing = journal.scan_ends(under)
        blind = [problem.path for problem in unknown]
        gone = [path for path in missing if not any(path == b or is_under(path, b) for b in blind)]
        with journal.atomic():
            journal.mark(changed)
            journal.mark(gone)
        recent = set(fresh)
        for path in changed:
            if path in recent and path not in self._quiet:
                self._quiet[path] = _Quiet(now, now)
        if under is not None and under in blind:
            journal_paths = [under]
            with journal.atomic():
                journal.mark(journal_paths)
        return Scanned(journal.scanned_count(), tuple(unknown))

    def _entries(self, under: Path | None, unknown: list[Problem], fresh: list[Path], recent_ns: int) -> Iterable[Entry]:
        for met in self.folder.scan(self.rules.skip_entry if under is None else self.rules.skip, under):
            if isinstance(met, Problem):
                unknown.append(met)
                continue
            if met.stat.mtime_ns > recent_ns:
                fresh.append(met.path)
            yield met

    def observe(self, path: Path) -> Observation:
        """Look at one path, sparing the hash where the stat tuple proves it. Remembers what was seen.

        A path inside a folder that is itself a problem is that problem, never absent. Raises `Stale`.
        """
        known = self.journal.known(path)
        at_ns = self.folder.now_ns() if known is None else 0
        found = self.folder.observe(path, known)
        if isinstance(found, Local):
            if known is None or known.stat != found.stat or known.digest != found.digest:
                self.remember(path, found, at_ns or self.folder.now_ns())
            elif max(known.stat.mtime_ns, known.stat.ctime_ns) + 2_000_000_000 >= known.at_ns:
                # It was hashed again because it was racily recent; next time it need not be.
                self.remember(path, found, self.folder.now_ns())
        elif found is ABSENT and known is not None:
            self.journal.set_known(path, None)
        return found

    def remember(self, path: Path, local: Local, at_ns: int) -> None:
        """This content was seen under this stat tuple, at this file-system time."""
        self.journal.set_known(path, Known(local.stat, local.digest, at_ns))

    def at_hand(self, digest: Digest, limit: int = 4) -> list[tuple[Path, Local]]:
        """Files here that hold this content, by what is remembered of them."""
        found: list[tuple[Path, Local]] = []
        for path in self.journal.bases_with(digest)[:limit]:
            known = self.journal.known(path)
            if known is not None and known.digest == digest:
                found.append((path, Local(known.digest, 0, known.stat)))
        return found

    def blind(self, path: Path, problems: Iterable[Path]) -> bool:
        """The path lies inside a folder we cannot look into."""
        above = set(ancestors(path))
        return any(problem in above for problem in problems)


def root_is_blocked(folder: Folder) -> Blocked | None:
    """Why the marker cannot be read although it is there; None: it can, or is not there."""
    try:
        folder.identity()
    except Blocked as exc:
        return exc
    return None
