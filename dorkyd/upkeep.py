"""What displaced files still need: a second look for late writers, and an end.

A file that was moved out of its place may still be open in some program, whose next write lands in the trash. Displaced
files are therefore hashed again after 2 s, after 60 s, at every start and before they are purged; a change becomes a
conflict copy. The trash keeps to the project's limits, but the newest copy of a path stays at least a day.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from dorkyd.core.model import Digest, Path
from dorkyd.core.settings import Project
from dorkyd.errors import Blocked, PathProblem, Stale, Transient
from dorkyd.journal import Journal
from dorkyd.ledger import NOBODYS, Displaced, Event, Fetched
from dorkyd.local_side import LocalSide
from dorkyd.ports import TRIED, Clock, Folder, Trashed
from dorkyd.sealing import op_of
from dorkyd.transfer import conflict_copy, stays

_log = logging.getLogger("dorkyd.upkeep")

CHECKS_S = (2.0, 60.0)
"""When a displaced file is hashed again."""
TRY_AGAIN_S = 60.0
"""How long a check that could not be made is put off."""
SLICE_BYTES = 64 * 1024 * 1024
"""How much of the trash is hashed in one cycle after a start."""
NEWEST_STAYS_NS = 86_400 * 10**9
HISTORY_ROWS = 200_000
_REMOVED, _WRITTEN_TO, _STAYS = "removed", "written-to", "stays"
"""What became of a displaced file that was to be removed."""
DROPPED_NS = 7 * 86_400 * 10**9


@dataclass(slots=True)
class Upkeep:
    """For one project; engine thread only."""

    journal: Journal
    folder: Folder
    local: LocalSide
    project: Project
    clock: Clock
    device: str
    blinded: Callable[[Digest], Digest] = lambda digest: digest
    """As `Transfer.blinded`."""
    leaves: Callable[[Path], bool] = stays
    """As for `conflict_copy`."""
    _due: dict[str, float] = field(default_factory=dict)
    """Monotonic time of the next check, by name in the trash."""
    _since_start: list[Displaced] = field(default_factory=list)
    """Checked for the last time before this start, and not since."""

    def at_start(self) -> None:
        """Look at every displaced file once more, and find a place for staged files that no journal row explains."""
        for displaced in self.journal.ledger.displaced():
            if displaced.checks < len(CHECKS_S):
                self._try(displaced, displaced.checks, self.clock.monotonic())
            else:
                # Usually most of the trash: a part in each cycle, so that sync need not wait for all of it.
                self._since_start.append(displaced)
        self._drop_sealed()
        self._drop_tried()
        self._adopt_strays()

    def _drop_tried(self) -> None:
        """What a doctor wrote who ended before it was gone again. Its name proves that it never came out of a folder."""
        for name in self.folder.staged():
            if name.startswith(TRIED):
                self.folder.unstage(name)

    def _drop_sealed(self) -> None:
        """Ciphertext that no upload goes on with. Its name proves that it never came out of a folder (`dorkyd.sealing`)."""
        wanted = {begun.op for begun in self.journal.sessions.all()}
        for name in self.folder.staged():
            op = op_of(name)
            if op is not None and op not in wanted:
                self.folder.unstage(name)

    def next_due(self) -> float:
        """When `run_due` has something to do, monotonic seconds."""
        now = self.clock.monotonic()
        if self._since_start:
            return now
        rows = self.journal.ledger.displaced(checked_less_than=len(CHECKS_S))
        return min((self._check_due(row, now) for row in rows), default=math.inf)

    def run_due(self, now: float) -> None:
        """Drop what was fetched in vain, and hash again what has been in the trash long enough for its next check."""
        self._drop_fetched_in_vain(now)
        for displaced in self.journal.ledger.displaced(checked_less_than=len(CHECKS_S)):
            if self._check_due(displaced, now) <= now:
                del self._due[displaced.name]
                self._try(displaced, displaced.checks + 1, now)
        hashed = 0
        while self._since_start and hashed < SLICE_BYTES:
            displaced = self._since_start.pop()
            hashed += max(displaced.size, SLICE_BYTES // 100)
            self._try(displaced, displaced.checks, now)

    def purge(self) -> None:
        """Keep the trash to its limits, oldest first, and forget old history."""
        limits = self.project.trash
        wall = self.clock.time_ns()
        rows = self.journal.ledger.displaced()
        newest = {row.path: row.name for row in rows}
        total = sum(row.size for row in rows)
        for row in rows:
            age_ns = wall - row.at_ns
            over = age_ns > limits.days * 86_400 * 10**9 or total > limits.size
            kept = newest[row.path] == row.name and age_ns < NEWEST_STAYS_NS
            if over and not kept and self._purged(row) != _STAYS:
                total -= row.size
        with self.journal.atomic():
            self.journal.ledger.trim_history(HISTORY_ROWS)
            self.journal.ledger.forget_dropped(wall - DROPPED_NS)

    def empty(self, names: Sequence[str]) -> set[str]:
        """A person wants these gone. Returns those that are: one that was written to since is a conflict copy now."""
        wanted = set(names)
        rows = [row for row in self.journal.ledger.displaced() if row.name in wanted]
        return (wanted - {row.name for row in rows}) | {row.name for row in rows if self._purged(row) == _REMOVED}

    def _purged(self, row: Displaced) -> str:
        """Check once more, and remove: the trash no longer holds it. One that cannot be read or removed keeps no other."""
        try:
            if not self._check(row, row.checks):
                return _WRITTEN_TO
            self.folder.purge(row.name)
        except (Stale, Transient, Blocked) as exc:
            _log.warning("verb=purge path=%r outcome=%s", row.path, exc.code)
            return _STAYS
        with self.journal.atomic():
            self.journal.ledger.purged(row.name)
        return _REMOVED

    # --- inside -------------------------------------------------------------------------------------------------

    def _drop_fetched_in_vain(self, now: float) -> None:
        """A fetch that was cut short is picked up while its path is dirty. After that nobody would ask for it."""
        for row in self.journal.ledger.fetched_in_vain():
            if self._due.get(row.staged, now) > now:
                continue
            try:
                digest = self.folder.staged_digest(row.staged) if row.digest is not None else None
                if digest == row.digest:
                    self.folder.unstage(row.staged)
                elif digest is not None:
                    # An exchange that nobody recorded put it there, or it has no place yet: it came out of the folder.
                    self._keep_beside(row.staged, row.path, self.clock.time_ns(), digest, "displaced unnoticed")
            except (Stale, Transient, Blocked) as exc:
                _log.warning("verb=drop-fetched path=%r outcome=%s", row.path, exc.code)
                self._due[row.staged] = now + TRY_AGAIN_S
                continue
            self._due.pop(row.staged, None)
            with self.journal.atomic():
                self.journal.ledger.drop_fetched(row.staged)

    def _check_due(self, row: Displaced, now: float) -> float:
        """When its next check is due. Counted from when it is first seen here, on the clock that only rises: a wall
        clock that was set back would put it off for as long as it lags.
        """
        wait = CHECKS_S[row.checks] - (CHECKS_S[row.checks - 1] if row.checks else 0.0)
        return self._due.setdefault(row.name, now + wait)

    def _try(self, row: Displaced, checks: int, now: float) -> None:
        """Check, and put it off where that cannot be done now: one displaced file must not hold up sync. `Stale` is a
        file that somebody writes to at this moment.
        """
        try:
            self._check(row, checks)
        except (Stale, Transient, Blocked) as exc:
            self._due[row.name] = now + (CHECKS_S[0] if isinstance(exc, Stale) else TRY_AGAIN_S)
            _log.warning("verb=check-trash path=%r outcome=%s", row.path, exc.code)

    def _check(self, row: Displaced, checks: int) -> bool:
        """Hash a displaced file again. False: it was written to, or is gone."""
        digest = self.folder.trash_digest(row.name)
        with self.journal.atomic():
            if digest is None:
                self.journal.ledger.purged(row.name)
                return False
            if digest == row.digest:
                self.journal.ledger.checked(row.name, checks, digest)
                return True
        # The file itself becomes the conflict copy, so that what is still being written arrives there too.
        staged = self.clock.random_id()
        with self.journal.atomic():
            self.journal.ledger.came_out(staged, row.path)
        self.folder.trash_to_stage(row.name, staged, keep=False)
        with self.journal.atomic():
            self.journal.ledger.purged(row.name)
        self._keep_beside(staged, row.path, row.at_ns, digest, "written to after it was displaced")
        return False

    def _keep_beside(self, staged: str, path: Path, at_ns: int, digest: Digest, why: str) -> None:
        """Make a conflict copy of a staged file that came out of the folder. Where none can be made it goes to the trash,
        and each later check tries again.
        """
        try:
            shown = self.blinded(digest)
            copy, reused = conflict_copy(self.folder, staged, path, at_ns, digest, self.device, shown, self.leaves)
        except PathProblem:
            trashed = self.folder.to_trash(staged, path)
            row = Displaced(trashed.name, path, NOBODYS, trashed.size, None, at_ns, len(CHECKS_S))
            with self.journal.atomic():
                self.journal.ledger.displace(row)
                self.journal.ledger.drop_fetched(staged)
            raise
        if reused:
            self.remember([(self.folder.to_trash(staged, path), digest)])
        with self.journal.atomic():
            event = Event("conflict", path, self.device, digest, detail=f"{why}, kept as {copy!r}")
            self.journal.ledger.log(self.clock.time_ns(), [event])
            self.journal.ledger.drop_fetched(staged)
            if reused:
                self.journal.set_base(copy, None)  # as in `Carrier.landed`
            self.journal.mark([copy])

    def remember(self, trashed: Iterable[tuple[Trashed, Digest]]) -> None:
        """Note files that went to the trash."""
        with self.journal.atomic():
            for item, digest in trashed:
                self.journal.ledger.displace(Displaced(item.name, item.path, digest, item.size, None, item.at_ns, 0))

    def _drop_unproved(self, rows: Iterable[Fetched]) -> None:
        """A fetch that was cut short goes on after a start only where the object's own digest will prove the whole: of
        what was not made durable, a power cut leaves anything.
        """
        for row in rows:
            remote = self.journal.remote(row.path)
            ours = remote is not None and remote.op is not None and remote.digest is not None
            if row.digest is None and not (ours and remote is not None and remote.version == row.version):
                try:
                    self.folder.unstage(row.staged)
                except (Stale, Transient, Blocked) as exc:
                    _log.warning("verb=drop-fetched path=%r outcome=%s", row.path, exc.code)
                    continue
                with self.journal.atomic():
                    self.journal.ledger.drop_fetched(row.staged)

    def _adopt_strays(self) -> None:
        """A staged file that no row explains came out of somebody's folder before its journal was lost: keep it where
        a person finds it. What rows prove that we fetched is kept for use or dropped.
        """
        ledger = self.journal.ledger
        # The second name: where a file system cannot exchange, what came out waits there (`dorkyd.recovery`).
        explained = {name for install in ledger.open_installs() for name in (install.staged, f"{install.staged}.out")}
        explained.update(ledger.incoming(), self.journal.manual.staged_names())
        explained.update(name for name in self.folder.staged() if op_of(name) is not None)
        fetched = {row.staged: row for row in ledger.all_fetched()}
        present = set(self.folder.staged())
        with self.journal.atomic():
            for name in fetched.keys() - present - explained:
                ledger.drop_fetched(name)
        self._drop_unproved(row for row in fetched.values() if row.staged in present - explained)
        strays: list[tuple[Trashed, Digest]] = []
        for name in sorted(present - explained - fetched.keys()):
            try:
                digest = self.folder.staged_digest(name) or NOBODYS
                strays.append((self.folder.to_trash(name, Path(f"recovered-{name}")), digest))
            except (Stale, Transient, Blocked) as exc:
                # Somebody writes to it, or it is no file at all: it stays, and keeps nothing else waiting.
                _log.warning("verb=recover path=%r outcome=%s", f".dorky/tmp/{name}", exc.code)
        self.remember(strays)
