"""A project frozen while a job writes a data set of many files: nothing of it leaves before it is released, and then all of it
together.

```
 hold ─▶ every write to the bucket that is decided waits (its path stays dirty); what comes from the bucket comes
 release, or no renewal for the length of the lease, or the latest time ─▶ the folder is looked at once more
         ─▶ all that has waited goes, its files as atomic batches of at most 500
```

The freeze is in the journal: a daemon that is started anew holds on until the lease is over. Its holder renews the lease, so
that one that died lets go by itself. Batches are not kept: after a restart in the middle of a release, what is left of it goes
file by file. Engine thread only.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field

from dorkyd.batches import Batches
from dorkyd.core.batches import OPEN_S
from dorkyd.core.logbook import ENTRY_CHANGES
from dorkyd.core.model import Action, BeginUpload, MoveRemote, Path, Upload
from dorkyd.core.report import Freeze, Thawed
from dorkyd.core.safety import WRITES_BUCKET
from dorkyd.errors import Refused, Stale
from dorkyd.journal import Dirty, Journal
from dorkyd.ports import Clock

LEASE_S, SHORTEST_S, LONGEST_S = 30.0, 2.0, 600.0
"""How long a freeze holds without being renewed; what may be asked for."""
MOST_S = 365 * 86_400.0
"""The longest limit."""
GATHER_S = 60.0
"""How long a release waits for files that are still being written."""
_log = logging.getLogger("dorkyd.engine")
_KEY = "freeze"
"""Where the journal keeps it."""
_REMEMBERED = 20
"""Ended freezes of which it is known how they ended."""


@dataclass(frozen=True, slots=True)
class _Hold:
    mark: int
    """Of its dirty row: a later mark is a reason to look again."""
    sends: bool
    """It is a file to be sent, which can be of a batch."""


@dataclass(slots=True)
class Freezing:
    """For one project."""

    journal: Journal
    clock: Clock
    batches: Batches
    frozen: Freeze | None = None
    released_at: float | None = None
    """Monotonic: it was released then, and the folder is looked at once more. None: it was not."""
    seen_with: int | None = None
    """The scan of the folder that will have seen all that was written before that."""
    held: dict[Path, _Hold] = field(default_factory=dict)
    _waiting: set[Path] = field(default_factory=set)
    _waiting_at: int = -1
    """The journal's state that it was found in."""
    _lease_until: float = 0.0
    _ends_at: float = 0.0
    _going: dict[str, set[Path]] = field(default_factory=dict)
    """Batches on their way, and what each is made of."""
    _untold: set[str] = field(default_factory=set)
    """Batches that are written, and of which the bucket's log does not tell yet."""
    _alone: set[Path] = field(default_factory=set)
    """What went in no batch, or in one that was given up, and is not done and told of yet."""
    _alone_until: float = 0.0
    """Monotonic: what is still to be decided of it then is waited for no longer, as with a batch."""
    _ended: dict[str, Thawed] = field(default_factory=dict)

    def at_start(self) -> None:
        """Hold on, if it was frozen when this ended: for no longer than it would have been."""
        text = self.journal.get(_KEY)
        if text is None:
            return
        try:
            self.frozen = Freeze(**json.loads(text))
        except (TypeError, ValueError):
            # Another version's. What it held back goes as without a freeze, and its holder is told that it is over.
            _log.warning("verb=freeze outcome=not-understood")
            with self.journal.atomic():
                self.journal.put(_KEY, None)
            return
        left_s = (self.frozen.until_ns - self.clock.time_ns()) / 1e9
        now = self.clock.monotonic()
        # A clock that was set back must not make it longer.
        self._ends_at = now + max(0.0, min(left_s, (self.frozen.until_ns - self.frozen.since_ns) / 1e9))
        self._lease_until = now + self.frozen.lease_s

    # --- asked for --------------------------------------------------------------------------------------------------

    def freeze(self, name: str, holder: str, lease_s: float, limit_s: float) -> Freeze:
        """Freeze, under a name that the holder made up; the same again renews it. `Refused` (`frozen`, `bad-lease`)."""
        if not (SHORTEST_S <= lease_s <= LONGEST_S and lease_s <= limit_s <= MOST_S):
            raise Refused(
                f"a lease is {SHORTEST_S:g} to {LONGEST_S:g} seconds, and the limit no less, and at most a year",
                code="bad-lease",
                hint="renew it, so that it is over soon after its holder died",
            )
        if self.frozen is not None and self.frozen.name == name and self.released_at is None:
            return self.renew(name)
        self.check()
        if self._going or self._alone:
            raise Refused(
                "what the freeze before this one held back is still on its way",
                code="frozen",
                hint="`dorkyctl sync --wait`, and try again",
            )
        now, now_ns = self.clock.monotonic(), self.clock.time_ns()
        frozen = Freeze(name, holder, now_ns, now_ns + int(limit_s * 1e9), lease_s)
        with self.journal.atomic():
            self.journal.put(_KEY, json.dumps(asdict(frozen)))
        self.frozen, self._lease_until, self._ends_at = frozen, now + lease_s, now + limit_s
        return frozen

    def renew(self, name: str) -> Freeze:
        """Its holder lives. `Refused` (`no-such-freeze`) when it is over."""
        if self.frozen is None or self.frozen.name != name or self.released_at is not None:
            raise Refused(
                "the freeze is over: it was released, not renewed in time, or reached its limit",
                code="no-such-freeze",
                hint="what was written is on its way; freeze again for the rest",
            )
        self._lease_until = self.clock.monotonic() + self.frozen.lease_s
        return self.frozen

    def release(self, name: str | None) -> Thawed | None:
        """Let go (None: whoever holds it). What went, once all of it is told of in the bucket's log; None: not yet. May be
        repeated. `Refused` (`no-such-freeze`).
        """
        if self.frozen is not None and name in {None, self.frozen.name}:
            self._let_go()
            return None
        if name in self._ended:
            return None if self._going or self._untold or self._alone else self._ended[name]
        raise Refused("there is no such freeze", code="no-such-freeze", hint="`dorkyctl status` tells what is frozen")

    def check(self) -> None:
        """Raise why the bucket is not written, and no other freeze begins."""
        if self.frozen is not None:
            raise Refused(
                f"the project is frozen by {self.frozen.holder}; nothing of it leaves before it is released",
                code="frozen",
                hint="write into the folder, or wait until it is released",
            )

    # --- every cycle ------------------------------------------------------------------------------------------------

    def expire(self) -> None:
        """Let go when nobody renewed it, or it has lasted as long as it may."""
        if self.frozen is not None and self.clock.monotonic() >= min(self._lease_until, self._ends_at):
            self._let_go()

    def hold(self, actions: Sequence[Action], rows: Mapping[Path, Dirty]) -> list[Action]:
        """What may be done now. The rest waits."""
        if self.frozen is None:
            return list(actions)
        going: list[Action] = []
        for action in actions:
            if not isinstance(action, WRITES_BUCKET):
                going.append(action)
                continue
            for path in _paths(action):
                if path in rows:
                    self.held[path] = _Hold(rows[path].mark, isinstance(action, Upload | BeginUpload))
            self._waiting_at = -1
        return going

    def not_now(self) -> set[Path]:
        """Paths that wait, and were not marked again since."""
        if not self.held:
            return set()
        if self._waiting_at != self.journal.changes:
            rows = {row.path: row for row in self.journal.dirty_rows(self.held)}
            for path in self.held.keys() - rows.keys():
                del self.held[path]
            self._waiting = {path for path, hold in self.held.items() if rows[path].mark == hold.mark}
            self._waiting_at = self.journal.changes
        return self._waiting

    def thaw(self, *, all_seen: bool) -> None:
        """Once it was released and the folder was looked at again: let all go, in batches."""
        if self.frozen is None or self.released_at is None:
            return
        if not all_seen and self.clock.monotonic() < self.released_at + GATHER_S:
            return
        # In the order in which they will be sent, so that one batch is on its way after the other.
        sent = sorted((path for path, hold in self.held.items() if hold.sends), key=lambda p: (self.held[p].mark, p))
        count = len(self.held)
        with self.journal.atomic():
            self.journal.put(_KEY, None)
        if len(sent) > 1:
            for at in range(0, len(sent), ENTRY_CHANGES):
                self._going[self.batches.plan()] = set(sent[at : at + ENTRY_CHANGES])
        self._go_alone(self.held.keys() - {path for paths in self._going.values() for path in paths})
        self._ended[self.frozen.name] = Thawed(self.frozen.name, count, tuple(self._going))
        while len(self._ended) > _REMEMBERED:
            del self._ended[next(iter(self._ended))]
        self.frozen, self.released_at, self.seen_with = None, None, None
        self.held.clear()

    def batch_of(self, path: Path) -> str | None:
        """The batch that a write of this path, which is about to begin, is of; None: of none, or it was given up."""
        going = (batch for batch, paths in self._going.items() if path in paths)
        batch = next((batch for batch in going if self.batches.is_open(batch)), None)
        if batch is not None:
            self.batches.starts(batch)
        return batch

    def _go_alone(self, paths: Collection[Path]) -> None:
        """These go one by one; the release is over when they went."""
        self._alone |= set(paths)
        self._alone_until = self.clock.monotonic() + OPEN_S

    def settle(self, under_way: Collection[Path], stuck: Collection[Path]) -> None:
        """Complete each batch once all of it is written. What cannot be sent is not waited for."""
        self._settle_alone(under_way, stuck)
        for batch, paths in list(self._going.items()):
            if not self.batches.is_open(batch):
                del self._going[batch]  # it took too long: its files go one by one
                self._go_alone(paths)
                continue
            dirty = {row.path for row in self.journal.dirty_rows(paths)}
            if (dirty - set(stuck)) | (paths & set(under_way)):
                continue
            try:
                told = self.batches.commit(batch)
            except Stale:
                continue
            del self._going[batch]
            if not told:
                self._untold.add(batch)
        self._untold = {batch for batch in self._untold if self.journal.batches.ours(batch).committed}

    def _settle_alone(self, under_way: Collection[Path], stuck: Collection[Path]) -> None:
        if not self._alone:
            return
        waits = {*under_way, *(intent.path for intent in self.journal.ledger.announcements(-1))}
        if self.clock.monotonic() < self._alone_until:
            waits |= {row.path for row in self.journal.dirty_rows(self._alone)} - set(stuck)
        self._alone &= waits

    def next_due(self) -> list[float]:
        """When something is to be looked at again."""
        if self.frozen is None:
            return []
        if self.released_at is not None:
            return [self.released_at + GATHER_S]
        return [self._lease_until, self._ends_at]

    def told(self) -> tuple[str, str] | None:
        """What a person is told of it, and what to do. None: nothing is frozen."""
        if self.frozen is None:
            return None
        what = f"frozen by {self.frozen.holder}: nothing of it leaves before it is released"
        if self.held:
            what += f"; {len(self.held)} change{'s wait' if len(self.held) > 1 else ' waits'}"
        return what, "it is released by itself once its holder ends; `dorkyctl freeze --release` does it now"

    def _let_go(self) -> None:
        if self.released_at is None:
            self.released_at = self.clock.monotonic()


def _paths(action: Action) -> Iterable[Path]:
    return (action.delete.path, action.upload.path) if isinstance(action, MoveRemote) else (action.path,)
