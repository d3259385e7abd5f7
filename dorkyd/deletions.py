"""Deletions wait: for the other half of a move or of an editor's save, and, when they are too many, for a person."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from dorkyd.core.model import Action, DeleteLocal, DeleteRemote, Path
from dorkyd.core.safety import Delete, approval_key, vet
from dorkyd.core.settings import Project
from dorkyd.journal import Journal

MIN_WAIT_S = 2.0
SETTLES = 3
"""A deletion waits this many settling times, `MIN_WAIT_S` at least."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A deletion that was decided once."""

    action: Delete
    due: float
    mark: int
    """Every path dirty under this mark or a lower one must have been observed first."""


@dataclass(frozen=True, slots=True)
class Passed:
    """What may happen now."""

    actions: tuple[Action, ...]
    held: tuple[Delete, ...] = ()
    """Past the guard: a person must see these first, and nothing happens."""


@dataclass(slots=True)
class Deletions:
    """For one project; engine thread only. In memory: after a restart each is decided, and waits, anew."""

    journal: Journal
    project: Project
    waiting: dict[Path, Waiting] = field(default_factory=dict)
    _judged: set[Path] = field(default_factory=set)
    """Those that passed the guard, together with all that waited then."""

    def not_now(self, now: float, elsewhere: Collection[Path]) -> set[Path]:
        """Paths whose deletion still waits. `elsewhere`: paths that were observed but are not settled."""
        if not self.waiting:
            return set()
        unseen = self._oldest_unseen(elsewhere)
        return {path for path, wait in self.waiting.items() if not _over(wait, now, unseen)}

    def next_due(self, busy: Collection[Path]) -> list[float]:
        """When each has waited long enough."""
        return [wait.due for path, wait in self.waiting.items() if path not in busy]

    def forget(self, path: Path) -> None:
        """It is no longer to be deleted, or is being deleted."""
        self.waiting.pop(path, None)
        self._judged.discard(path)

    def clear(self) -> None:
        """Decide all of them anew."""
        self.waiting.clear()
        self._judged.clear()

    def passed(
        self,
        actions: Collection[Action],
        looked_at: Collection[Path],
        now: float,
        now_ns: int,
        seen: Collection[Path],
        under_way: Collection[Action] = (),
    ) -> Passed:
        """Put new deletions on the wait and let those through that have waited, unless they are too many.

        `actions` is what the paths `looked_at` came to; `seen` as `elsewhere` in `not_now`; `under_way` are counted
        deletions that were let through and are not recorded yet.
        """
        go = [action for action in actions if not isinstance(action, DeleteLocal | DeleteRemote)]
        deletes = [action for action in actions if isinstance(action, DeleteLocal | DeleteRemote)]
        for path in set(looked_at) - {action.path for action in deletes}:
            self.forget(path)
        unseen = self._oldest_unseen(seen)
        ready: list[Delete] = []
        for action in deletes:
            wait = self.waiting.get(action.path)
            if wait is None or type(wait.action) is not type(action):
                grace = max(MIN_WAIT_S, SETTLES * self.project.settle_s)
                self.waiting[action.path] = Waiting(action, now + grace, self.journal.highest_mark())
            elif _over(wait, now, unseen):
                ready.append(action)
        if not ready:
            return Passed(tuple(go))
        if any(action.path not in self._judged for action in ready):
            held = self._held(now_ns, under_way)
            if held:
                return Passed((), held)
            self._judged = set(self.waiting)
        return Passed((*go, *ready))

    def counts(self) -> Callable[[Delete], bool]:
        """Tells of a deletion, as things stand now, whether the guard counts it."""
        lives_elsewhere = self._lives_elsewhere()
        return lambda d: not lives_elsewhere(d) and not self._is_approved(d)

    def _held(self, now_ns: int, under_way: Collection[Action]) -> tuple[Delete, ...]:
        """All that wait are judged together, so that many do not pass in small batches."""
        ledger = self.journal.ledger
        since = now_ns - int(self.project.guard.window_s * 1e9)
        files, _ = self.journal.base_totals()
        locally = sum(isinstance(action, DeleteLocal) for action in under_way)
        remotely = sum(isinstance(action, DeleteRemote) for action in under_way)
        return vet(
            [wait.action for wait in self.waiting.values()],
            guard=self.project.guard,
            files=files,
            recent_local=ledger.deletions_since(since, "local") + locally,
            recent_remote=ledger.deletions_since(since, "remote") + remotely,
            is_approved=self._is_approved,
            lives_elsewhere=self._lives_elsewhere(),
        ).held

    def _is_approved(self, action: Delete) -> bool:
        return self.journal.ledger.is_approved(approval_key(action))

    def _lives_elsewhere(self) -> Callable[[Delete], bool]:
        leaving = set(self.waiting)
        return lambda d: any(p not in leaving and p != d.path for p in self.journal.bases_with(d.base.digest))

    def _oldest_unseen(self, seen: Collection[Path]) -> float:
        """The lowest mark of a path that nobody has looked at since; infinity: there is none."""
        first = self.journal.dirty(1, skip=[*self.waiting, *seen])
        return first[0].mark if first else math.inf


def _over(wait: Waiting, now: float, unseen: float) -> bool:
    return now >= wait.due and unseen > wait.mark
