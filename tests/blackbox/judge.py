"""Telling stories and judging them: worlds of daemons, one story after another in each."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.blackbox.model import Event, Stable, explain, shrink
from tests.blackbox.story import PATHS, READY_S, Story, Uncertain
from tests.daemons import RealDaemon
from tests.e2e.places import GUARD, Place

LATE_S = 75.0
"""A write into a file that was swapped out is found after 2 s, or after 60 s."""


class Unexplained(AssertionError):
    """A daemon did what no daemon may do, or the model is wrong."""


@dataclass(slots=True)
class Tally:
    """What was told."""

    stories: int = 0
    uncertain: int = 0
    waited: int = 0
    """Stories with a late write that was found by the check after a minute."""
    events: int = 0
    copies: int = 0
    most_states: int = 0
    operations: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(self.operations.items()))
        return (
            f"{self.stories} stories ({self.uncertain} not judged), {self.events} events, {self.copies} conflict copies, "
            f"at most {self.most_states} states, {self.waited} waited a minute; {kinds}"
        )


def world(place: Place, rng: random.Random, devices: int, name: str = "") -> list[RealDaemon]:
    """So many daemons, running, with one file that stays, so that no folder is ever empty."""
    settings = {"settle_s": rng.choice((0.05, 0.2, 0.2, 0.5)), "poll_s": rng.choice((0.1, 0.3)), "guard": GUARD}
    daemons = [place.device(f"{name}{letter}", **settings) for letter in "abcd"[:devices]]
    (daemons[0].root / "stays").write_text("stays")
    for daemon in daemons:
        daemon.launch()
    for daemon in daemons:
        daemon.ready(READY_S).sync()
    return daemons


def tell(place: Place, daemons: Sequence[RealDaemon], seed: str, folder: str, operations: int, tally: Tally) -> None:
    """One story and its judgement. Raises `Unexplained` with the trace."""
    rng = random.Random(seed)
    story = Story(daemons, rng, folder, lines=rng.choice((1, 1, 50, 20_000)), rests=rng.random() < 0.8)
    certain = True
    try:
        story.tell(operations)
    except Uncertain:
        certain = False
    rest = story.rest()
    tally.stories += 1
    tally.uncertain += not certain
    tally.events += len(story.record)
    tally.operations += story.done
    if certain:
        rest = explained(story, rest, seed, tally)
    _agrees(place, story, rest, seed)


def explained(story: Story, rest: dict[str, Stable], seed: str, tally: Tally) -> dict[str, Stable]:
    """Every path's trace is explained, if need be after the last check for late writers."""
    end = time.monotonic() + (LATE_S if story.done["late writes"] else 0.0)
    waited = False
    while True:
        verdicts = {path: explain(_trace(story, path, rest), len(story.daemons)) for path in PATHS}
        bad = [path for path in PATHS if not verdicts[path].explained]
        tally.most_states = max(tally.most_states, *(v.most_states for v in verdicts.values()))
        if not bad:
            tally.waited += waited
            tally.copies += sum(len(rest[path].seen[0][1]) for path in PATHS)
            return rest
        if time.monotonic() > end:
            raise Unexplained("\n".join([f"story {seed}", *(_told(story, path, rest) for path in bad)]))
        waited = True
        rest = story.rest()


def _trace(story: Story, path: str, rest: dict[str, Stable]) -> list[Event]:
    return [*(event for event, _ in story.trace(path)), rest[path]]


def _told(story: Story, path: str, rest: dict[str, Stable]) -> str:
    """A path's story for a reader, and what of it cannot be explained."""
    trace = _trace(story, path, rest)
    verdict = explain(trace, len(story.daemons))
    names = [daemon.name for daemon in story.daemons]
    lines = [f"{story.folder}/{path} on {names}: event {verdict.fails_at} cannot be explained"]
    hows = [*(how for _, how in story.trace(path)), "at rest"]
    lines += [f"  {n:3} {how:24} {event}" for n, (event, how) in enumerate(zip(trace, hows, strict=True))]
    lines += ["  without what does not matter:", *(f"      {event}" for event in shrink(trace, len(names)))]
    lines += ["  states before it, some:", *(f"      {state}" for state in verdict.before)]
    return "\n".join(lines)


def _agrees(place: Place, story: Story, rest: dict[str, Stable], seed: str) -> None:
    """The bucket holds what the folders hold, and every daemon is content."""
    below = f"{story.folder}/"
    live = {key: data for key, data in place.live().items() if key.startswith(below)}
    for daemon in story.daemons:
        held = {path: data for path, (data, _, _) in daemon.tree().items() if path.startswith(below)}
        differ = sorted(p for p in held.keys() | live.keys() if held.get(p) != live.get(p))
        if differ:
            raise Unexplained(f"story {seed}: {daemon.name} and the bucket differ in {differ}")
        status = daemon.status()
        if (str(status.state), status.problems, status.halt) != ("in-sync", 0, None):
            raise Unexplained(f"story {seed}: {daemon.name} is not content: {status}")
        log = daemon.log.read_text()
        if "Traceback" in log:
            raise Unexplained(f"story {seed}: {daemon.name}: {log[log.index('Traceback') :][:3000]}")
    assert rest.keys() == set(PATHS)
