"""Paths that failed: when each is tried again, and what a person is told. One path's trouble stays its own."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from dorkyd.core.model import Path, Problem
from dorkyd.core.paths import is_under, key_problem
from dorkyd.journal import Journal

RETRY_S = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0)
"""Back-off of a path that failed again and again, seconds."""


@dataclass(frozen=True, slots=True)
class Retry:
    """A path that failed."""

    attempts: int
    """In a row."""
    due: float
    """Monotonic: not before then."""


@dataclass(slots=True)
class Retries:
    """For one project; engine thread only. Problems stand in the journal, the waits in memory."""

    journal: Journal
    waits: dict[Path, Retry] = field(default_factory=dict)
    strange_here: set[Path] = field(default_factory=set)
    """What the last whole scan met that can never sync."""
    queued: set[Path] = field(default_factory=set)
    """Decided, but there is no room for them: not again before something under way has ended."""

    def not_now(self, now: float) -> set[Path]:
        """Paths whose time has not come."""
        return {path for path, retry in self.waits.items() if retry.due > now} | self.queued

    def next_due(self) -> list[float]:
        """When each will be tried."""
        return [retry.due for retry in self.waits.values()]

    def later(self, path: Path, now: float, *, at_once: bool = False) -> Retry:
        """Try again after a wait that grows until it succeeds. `at_once`: the first time without one."""
        attempts = self.waits[path].attempts + 1 if path in self.waits else 1
        wait = 0.0 if at_once and attempts == 1 else RETRY_S[min(attempts, len(RETRY_S)) - 1]
        retry = self.waits[path] = Retry(attempts, now + wait)
        return retry

    def problem(self, problem: Problem, now: float) -> None:
        """It cannot sync for a reason that a person should know. In a transaction of the caller's."""
        self.journal.ledger.set_problem(problem)
        self.later(problem.path, now)

    def fine(self, paths: Iterable[Path]) -> None:
        """What was wrong with these is over. In a transaction of the caller's."""
        for path in paths:
            self.waits.pop(path, None)
            self.journal.ledger.clear_problem(path)

    def changed(self, paths: Iterable[Path]) -> None:
        """These were changed by somebody: what failed before may work now."""
        for path in paths:
            self.waits.pop(path, None)

    def place_is_free(self, path: Path) -> None:
        """Something left this path: whoever wanted its name, as a file or as a folder, tries again now."""
        for other in [p for p in self.waits if is_under(p, path) or is_under(path, p)]:
            del self.waits[other]

    def stuck(self) -> set[Path]:
        """Paths that wait for a person."""
        return {problem.path for problem, _ in self.journal.ledger.problems()} & self.waits.keys()

    def complete_look(
        self, found: Iterable[Problem], codes: frozenset[str], *, still_there: Collection[Path] = ()
    ) -> None:
        """Problems that a complete look met; those of its kinds that it no longer met are gone, and looked at again.
        `still_there`: what a look at the other side met, which may be of the same kind.
        """
        found = list(found)
        here = {problem.path for problem in found}.union(still_there)
        known = [problem for problem, _ in self.journal.ledger.problems()]
        gone = [old.path for old in known if old.code in codes and old.path not in here]
        if not found and not gone:
            return  # as usually: the journal need not be written
        with self.journal.atomic():
            for problem in found:
                self.journal.ledger.set_problem(problem)
            for path in gone:
                self.journal.ledger.clear_problem(path)
                if key_problem(path) is None:
                    self.journal.mark([path])
                self.waits.pop(path, None)
