"""Atomic batches, over time: which members wait here and until when, and our own that are being written.

The rules are `dorkyd.core.batches`'. The store's clock is known from below only: it shows at least the latest
LastModified that was seen, and as much more as has passed here since. So nobody gives a batch up too early.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

from dorkyd.batch_rows import PASSED_AT
from dorkyd.core.batches import OPEN_S, WAIT_S, Arrival, Verdict, judge
from dorkyd.core.logbook import ENTRY_CHANGES
from dorkyd.core.model import Download, Path, Remote, Version
from dorkyd.errors import Refused, Stale
from dorkyd.journal import Dirty, Journal
from dorkyd.ports import Clock

AGAIN_S = 1.0
"""How often a complete batch is looked at while some of it is on its way."""


@dataclass(frozen=True, slots=True)
class _Hold:
    due: float
    """Monotonic: looked at again then."""
    mark: int
    """Of its dirty row: a later mark is a reason to look at once."""
    batch: str
    complete: bool
    device: str | None
    """Who wrote it."""
    since_ns: int
    """Wall clock: when it was written, or first seen here."""
    until_ns: int
    """Wall clock: put in place then, whether the batch is complete or not."""


@dataclass(slots=True)
class Batches:
    """For one project; engine thread only."""

    journal: Journal
    clock: Clock
    held: dict[Path, _Hold] = field(default_factory=dict)
    _since: dict[Path, tuple[Version, float]] = field(default_factory=dict)
    """Since when each is known here."""
    _ahead_s: float = -math.inf
    """The store's clock, less the monotonic one, at least."""
    _open: dict[str, tuple[float, int]] = field(default_factory=dict)
    """Our own that are being written, and when each began: monotonic, and by the wall clock in nanoseconds."""
    _planned: set[str] = field(default_factory=set)
    """Those of them of which nothing was sent yet: their time has not begun."""

    # --- theirs ---------------------------------------------------------------------------------------------------

    def store_told(self, modified: int | None) -> None:
        """The store's clock shows at least this."""
        if modified is not None:
            self._ahead_s = max(self._ahead_s, modified - self.clock.monotonic())

    def judge(
        self, batch: str, arriving: Iterable[tuple[Download, Dirty]], *, others_unknown: bool
    ) -> tuple[Verdict, list[Path]]:
        """Decide about the arrivals of one batch, and remember which wait. Then the late ones of which a person is told."""
        now = self.clock.monotonic()
        complete = self.journal.batches.members(batch) is not None
        rows = {action.path: row for action, row in arriving}
        arrivals = [Arrival(action, self._staged(action), self._left_s(action, now)) for action, _ in arriving]
        verdict = judge(arrivals, complete=complete, others_unknown=others_unknown)
        late = [arrival.action for arrival in verdict.late if self._surely_late(arrival.action, now)]
        for arrival in (*verdict.go, *verdict.late):
            self.held.pop(arrival.action.path, None)
            self._since.pop(arrival.action.path, None)
        for arrival in verdict.wait:
            due = now + (min(AGAIN_S, arrival.left_s) if complete else arrival.left_s)
            path = arrival.action.path
            self.held[path] = self._hold(arrival, due, rows[path].mark, batch, complete=complete, now=now)
        return verdict, [action.path for action in late]

    def _hold(self, arrival: Arrival, due: float, mark: int, batch: str, *, complete: bool, now: float) -> _Hold:
        remote, wall_ns = arrival.action.remote, self.clock.time_ns()
        seen_ns = wall_ns - int((now - self._since[arrival.action.path][1]) * 1e9)
        since_ns = remote.modified * 10**9 if remote.modified is not None else seen_ns
        return _Hold(due, mark, batch, complete, remote.device, since_ns, wall_ns + int(arrival.left_s * 1e9))

    def _surely_late(self, action: Download, now: float) -> bool:
        """Nobody completed its batch. False: an entry that was passed over unread may have."""
        if self._since.get(action.path, (None, now))[1] < now:
            return True
        passed_at, modified = self.journal.get(PASSED_AT), action.remote.modified
        return modified is not None and (passed_at is None or modified > int(passed_at))

    def _staged(self, action: Download) -> bool:
        remote = action.remote
        return any(
            had.version == remote.version and had.digest == remote.digest and had.digest is not None
            for had in self.journal.ledger.fetched(action.path)
        )

    def _left_s(self, action: Download, now: float) -> float:
        remote: Remote = action.remote
        self.store_told(remote.modified)
        version, since = self._since.get(action.path, (None, now))
        if version != remote.version:
            since = now
            self._since[action.path] = (remote.version, now)
        left = since + WAIT_S - now
        if remote.modified is not None:
            left = min(left, remote.modified + WAIT_S - (now + self._ahead_s))
        return left

    def not_now(self, now: float) -> set[Path]:
        """Paths that wait, and were not marked again since."""
        if not self.held:
            return set()
        rows = {row.path: row for row in self.journal.dirty_rows(self.held)}
        for path in self.held.keys() - rows.keys():
            del self.held[path]
        return {path for path, hold in self.held.items() if hold.due > now and rows[path].mark == hold.mark}

    def incomplete(self) -> set[Path]:
        """Paths that wait for somebody else. Those that were marked since they were looked at do not, nor those whose batch was
        completed since.
        """
        waiting = {hold.batch for hold in self.held.values() if not hold.complete}
        open_still = {batch for batch in waiting if self.journal.batches.members(batch) is None}
        if not open_still:
            return set()
        marks = {row.path: row.mark for row in self.journal.dirty_rows(self.held)}
        return {
            path
            for path, hold in self.held.items()
            if not hold.complete and hold.batch in open_still and marks.get(path) == hold.mark
        }

    def half_there(self) -> set[Path]:
        """Objects in the bucket whose batch may still be completed, whether this folder has a use for them or not."""
        now = self.clock.monotonic()
        rows = self.journal.batches.unfinished()
        return self.incomplete() | {path for path, modified in rows if modified + WAIT_S > now + self._ahead_s}

    def told(self) -> tuple[str, str] | None:
        """What a person is told of batches that are being put together, here or elsewhere, and what to do. None: there are
        none.
        """
        started = {batch: began_ns for batch, (_, began_ns) in self._open.items() if batch not in self._planned}
        said = [self._told_of_ours(batch, began_ns) for batch, began_ns in started.items()]
        theirs: dict[str, list[_Hold]] = {}
        for hold in self.held.values():
            if not hold.complete and hold.batch not in self._open:
                theirs.setdefault(hold.batch, []).append(hold)
        said += [_told_of_theirs(holds) for holds in theirs.values()]
        if not said:
            return None
        return "; ".join(said), "if its writer has died, what is there of it comes file by file at that time"

    def told_of(self, path: Path) -> str | None:
        """Why this path waits; None: for no batch that is not complete. From any thread."""
        hold = self.held.get(path)
        if hold is None or hold.complete:
            return None
        return _told_of_theirs([other for other in list(self.held.values()) if other.batch == hold.batch])

    def _told_of_ours(self, batch: str, began_ns: int) -> str:
        ours = self.journal.batches.ours(batch)
        until = _clock(began_ns + int(OPEN_S * 1e9))
        return (
            f"an atomic batch of {_files(ours.written + ours.intended)} so far is being put together on this device since"
            f" {_clock(began_ns)}, and given up at {until} if it is not complete"
        )

    def next_due(self) -> list[float]:
        """When each is looked at again."""
        return [hold.due for hold in self.held.values()]

    def arrived(self) -> None:
        """Something that was under way has ended: a batch may have all of its members here."""
        for path in [path for path, hold in self.held.items() if hold.complete]:
            del self.held[path]

    # --- ours -----------------------------------------------------------------------------------------------------

    def at_start(self) -> None:
        """Whoever wrote a batch when this ended has gone."""
        with self.journal.atomic():
            self.journal.batches.give_up(None)

    def begin(self) -> str:
        """A new batch."""
        batch = self.clock.random_id()
        self._open[batch] = (self.clock.monotonic(), self.clock.time_ns())
        return batch

    def plan(self) -> str:
        """A new batch whose time begins with its first write (`starts`): it may have to wait for others."""
        batch = self.begin()
        self._planned.add(batch)
        return batch

    def starts(self, batch: str) -> None:
        """Something of it is about to be written."""
        if batch in self._planned:
            self._planned.discard(batch)
            self._open[batch] = (self.clock.monotonic(), self.clock.time_ns())

    def is_open(self, batch: str) -> bool:
        """It is one of ours, and neither complete nor given up."""
        return batch in self._open

    def check(self, batch: str) -> None:
        """`Refused` (`no-such-batch`, `batch-full`) when nothing can be added to it."""
        self._require(batch)
        ours = self.journal.batches.ours(batch)
        if ours.intended + ours.written >= ENTRY_CHANGES:
            raise Refused(
                f"a batch holds at most {ENTRY_CHANGES} files",
                code="batch-full",
                hint="publish several batches, or one archive",
            )

    def commit(self, batch: str) -> bool:
        """All of it is written. True: it is told of in the bucket's log; False: it will be. May be repeated.

        `Stale` (`busy-batch`) while the outcome of one of its writes is not known, `Refused` (`no-such-batch`).
        """
        rows = self.journal.batches
        if rows.members(batch) is not None:
            self._close(batch)
            return True
        ours = rows.ours(batch)
        if ours.committed:
            return False
        self._require(batch)
        if ours.intended:
            raise Stale("a write of the batch is under way", code="busy-batch")
        with self.journal.atomic():
            rows.commit(batch)
            if not ours.written:
                rows.complete(batch, (), self.clock.time_ns())
        self._close(batch)
        return not ours.written

    def expire(self, now: float) -> None:
        """Give up those that took too long: other devices do not wait for them any more."""
        late = [
            batch for batch, (began, _) in self._open.items() if now > began + OPEN_S and batch not in self._planned
        ]
        for batch in late:
            del self._open[batch]
            with self.journal.atomic():
                self.journal.batches.give_up(batch)

    def _close(self, batch: str) -> None:
        self._open.pop(batch, None)
        self._planned.discard(batch)

    def _require(self, batch: str) -> None:
        if batch not in self._open:
            raise Refused(
                f"there is no batch {batch!r} that can be written to: it was completed, took over"
                f" {OPEN_S / 60:.0f} minutes, or the project was started anew",
                code="no-such-batch",
                hint="begin another one; what was stored stays, and is published file by file",
            )


def _told_of_theirs(holds: Collection[_Hold]) -> str:
    """Of one batch; some member waits."""
    devices = sorted({hold.device for hold in holds if hold.device is not None})
    by = f" by {' and '.join(devices)}" if devices else ""
    since, until = min(hold.since_ns for hold in holds), max(hold.until_ns for hold in holds)
    return (
        f"{_files(len(holds))} of an atomic batch{by} that is not complete: it is being put together since {_clock(since)},"
        f" and given up at {_clock(until)}"
    )


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _clock(at_ns: int) -> str:
    """To the minute, in UTC: text that stays as it is from one look to the next."""
    return datetime.fromtimestamp(at_ns // 10**9, UTC).strftime("%Y-%m-%d %H:%M UTC")


def unknown(members: Collection[Path], rows: Iterable[Dirty], settled: Collection[Path]) -> bool:
    """Some dirty member is not decided."""
    wanted = set(members)
    return any(row.path in wanted and row.path not in settled for row in rows)
