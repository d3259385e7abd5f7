"""A few fixed stories of the black-box model with real daemons; `python -m tests.blackbox` tells more."""

from __future__ import annotations

import random

import pytest

from tests.blackbox.judge import Tally, tell, world
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
