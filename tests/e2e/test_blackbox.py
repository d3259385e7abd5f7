"""A few fixed stories of the black-box model with real daemons; `python -m tests.blackbox` tells more."""

from __future__ import annotations

import random

import pytest

from tests.blackbox.judge import Tally, Unexplained, tell, world
from tests.blackbox.model import ABSENT, Read
from tests.blackbox.story import Story
from tests.e2e.places import FULL, SEED, Place

pytestmark = [pytest.mark.daemon, pytest.mark.timeout(600)]

STORIES, OPERATIONS = (20, 40) if FULL else (2, 10)


def test_every_observation_can_be_explained(place: Place) -> None:
    """Reads, writes, deletions, renames, late writers, kills: what is seen is what the model could have shown."""
    on_disk = place.bucket.startswith("file:")
    daemons = world(place, random.Random(SEED), 3 if on_disk else 2)
    tally = Tally()
    for n in range(STORIES if on_disk else STORIES // 2):
        tell(place, daemons, f"{SEED} {n}", f"s{n}", OPERATIONS, tally)
    assert tally.operations["write"] >= tally.stories, tally


def test_what_cannot_be_explained_is_told(directory: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon that takes a value away fails the story, with the trace and the seed."""
    daemons = world(directory, random.Random(SEED), 2)

    def taken(story: Story, operations: int) -> None:
        story._create(0, "b")
        story._note("b", Read(0, ABSENT), "looked")

    monkeypatch.setattr(Story, "tell", taken)
    with pytest.raises(Unexplained, match=r"story 7(.|\n)*s0/b on \['a', 'b'\]: event 1 (.|\n)*Write\(device=0"):
        tell(directory, daemons, "7", "s0", 1, Tally())
