"""What a case is expected to show, and whether it did."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tests.bench.measure import Sample
from tests.bench.table import OURS

_VALUES: Mapping[str, Callable[[Sample], float]] = {
    "seconds": lambda sample: sample.wall_s,
    "CPU s": lambda sample: sample.cpu_s,
    "peak MB": lambda sample: sample.peak_mb,
}


@dataclass(frozen=True, slots=True)
class Goal:
    """One number of one row that must not be larger."""

    at_most: float
    peer: str | None = None
    """A multiple of this contender's; None: the number itself."""
    column: str = "seconds"
    row: str = OURS

    def told(self, samples: Mapping[str, Sequence[Sample]]) -> str | None:
        """One line; None when a contender was left out."""
        ours, theirs = samples.get(self.row), samples.get(self.peer or self.row)
        if not ours or not theirs:
            return None
        of = _VALUES[self.column]
        found = statistics.median(map(of, ours))
        if self.peer is not None:
            found /= statistics.median(map(of, theirs))
        bound = f"{self.at_most:g}" if self.peer is None else f"{self.at_most:g} of {self.peer}"
        verdict = "met" if found <= self.at_most else "missed"
        return f"- {self.row}, {self.column} at most {bound}: {found:.3g}, {verdict}"


def verdicts(goals: Sequence[Goal], samples: Mapping[str, Sequence[Sample]]) -> Iterator[str]:
    """A line for each goal that can be judged."""
    for goal in goals:
        if line := goal.told(samples):
            yield line
