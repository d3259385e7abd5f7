"""How often a bucket is listed: a listing finds what other tools wrote, and costs a request a thousand objects.

A project that only dorkyd writes needs few: the log tells of every change. So the interval doubles each time that the log
had told of everything several listings found, up to `SLOWEST` times the usual one but not past a day, and is the usual one again as soon as a
listing finds what the log did not tell. An interval that a person set stays as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

LIST_S, LIST_PAGE_S, PAGE = 900.0, 30.0, 1000
"""The usual interval in seconds, or so long for each page of so many objects if that is longer."""
QUIET = 4
"""Listings in a row which found nothing untold before the interval doubles."""
SLOWEST = 8
"""How many times the usual interval is the longest: two hours for up to 30,000 objects."""
LONGEST_S = 86_400.0
"""No interval grows past this. Where the usual one is longer already it stays."""


@dataclass(slots=True)
class Pace:
    """For one project, since its start."""

    given_s: float | None
    """What a person set; None: nothing, so that it adapts."""
    factor: int = 1
    """How many times the usual interval it is now."""
    _quiet: int = 0
    _judged: float = -math.inf

    def judge(self, now: float, *, untold: bool) -> None:
        """A listing is over, and whether it found changes that the log never told of is known by now (monotonic). Several
        that people ask for in a row tell no more than one.
        """
        if untold:
            self.factor, self._quiet = 1, 0
            return
        if now - self._judged < LIST_S / 2:
            return
        self._judged = now
        self._quiet += 1
        if self._quiet >= QUIET:
            self.factor, self._quiet = min(2 * self.factor, SLOWEST), 0

    def interval_s(self, objects: int) -> float:
        """Seconds from the beginning of one listing to that of the next, for so many objects."""
        if self.given_s is not None:
            return self.given_s
        usual = self.usual_s(objects)
        return max(usual, min(self.factor * usual, LONGEST_S))

    def usual_s(self, objects: int) -> float:
        """The interval when nothing speaks for a longer one."""
        return self.given_s if self.given_s is not None else max(LIST_S, LIST_PAGE_S * objects / PAGE)
