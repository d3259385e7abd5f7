"""Atomic batches: which of their objects may be put in place. Pure.

Objects of a batch carry its name in their metadata. When all are written, one entry of the bucket's log names the batch
and all of its paths. Until then a device holds the bytes in staging and its folder stays as it is; from then on it puts
all of them in place together, once the last has arrived. A writer that died midway leaves a batch that nobody completes:
after `WAIT_S` its objects are like any others.

A path whose file was edited here leaves the batch: two edits are settled as ever, and no other member waits for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dorkyd.core.model import Download

WAIT_S = 900.0
"""How long an object waits for its batch to be complete, by the store's own clock, from its LastModified."""
OPEN_S = 840.0
"""How long after its beginning a batch may still be completed: less than `WAIT_S`, so that nobody has given it up."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """A member that would be put in place now, were it of no batch."""

    action: Download
    staged: bool
    """Its bytes are here."""
    left_s: float
    """How long it may still wait; 0 or less: no longer."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What becomes of a batch's arrivals. Each is in exactly one."""

    go: tuple[Arrival, ...] = ()
    late: tuple[Arrival, ...] = ()
    """These go one by one: nobody completed the batch, or some of it does not arrive."""
    fetch: tuple[Arrival, ...] = ()
    """Their bytes come into staging."""
    wait: tuple[Arrival, ...] = ()


def judge(arrivals: Sequence[Arrival], *, complete: bool, others_unknown: bool) -> Verdict:
    """Decide about one batch. `others_unknown`: some member is being looked at, so that it is not known whether it
    arrives as well.
    """
    late = tuple(a for a in arrivals if a.left_s <= 0)
    rest = tuple(a for a in arrivals if a.left_s > 0)
    fetch = tuple(a for a in rest if not a.staged)
    staged = tuple(a for a in rest if a.staged)
    if complete and not fetch and not others_unknown and all(a.staged for a in late):
        return Verdict(go=(*staged, *late))
    return Verdict(late=late, fetch=fetch, wait=staged)
