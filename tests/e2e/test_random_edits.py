"""Two people at work on both sides while both daemons run."""

from __future__ import annotations

import random
import threading

import pytest

from tests.daemons import RealDaemon, settle
from tests.e2e.persons import Account, Person, assert_settled
from tests.e2e.places import GUARD, SEED, SOME, Place, copy_library

pytestmark = [pytest.mark.daemon, pytest.mark.slow, pytest.mark.timeout(600)]

EDITS = 300


def people(place: Place, account: Account, seed: int, *daemons: RealDaemon) -> list[Person]:
    """One for each device."""
    rng = random.Random(seed)
    return [Person(d, random.Random(rng.random()), account, place.base / f"away-{d.name}") for d in daemons]


def work(persons: list[Person], seed: int, edits: int, pause_s: float) -> None:
    """So many edits by turns; every tenth is a meeting: both write the same path at the same time."""
    rng, wait = random.Random(seed), threading.Event()
    done = 0
    while done < edits:
        one, *others = rng.sample(persons, len(persons))
        path = one.edit()
        if path is not None:
            done += 1
            if done % 10 == 0:
                # Whoever has no such file creates nothing: `edit` reports that it was not possible.
                done += sum(other.edit(near=path) is not None for other in others)
        wait.wait(rng.random() * 2 * pause_s)


@pytest.mark.parametrize("seed", [SEED])
def test_three_hundred_random_edits_on_both_sides(place: Place, seed: int) -> None:
    """Afterwards the folders and the bucket are equal, and nothing anybody wrote is lost."""
    a, b = place.device("a", guard=GUARD), place.device("b", guard=GUARD)
    copy_library(a.root / "lib", SOME)
    account = Account()
    persons = people(place, account, seed, a, b)
    persons[0].adopt()
    a.launch(), b.launch()
    a.ready().sync()
    b.ready().sync()
    work(persons, seed, place.share(EDITS), 0.03)
    settle(a, b)
    for person in persons:
        person.close()
    assert_settled(place, account, a, b)
