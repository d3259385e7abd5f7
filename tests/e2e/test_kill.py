"""Daemons that are killed at random moments and started again."""

from __future__ import annotations

import random
import threading
from typing import Self

import pytest

from tests.daemons import RealDaemon, settle
from tests.e2e.persons import Account, assert_settled
from tests.e2e.places import GUARD, SEED, SOME, Place, copy_library
from tests.e2e.test_random_edits import EDITS, people, work

pytestmark = [pytest.mark.daemon, pytest.mark.slow, pytest.mark.timeout(900)]

KILLS = 20


class Killer:
    """Kills both daemons again and again, at random moments of their lives, and starts them at once."""

    def __init__(self, seed: int, kills: int, *daemons: RealDaemon) -> None:
        self.rng, self.kills, self.daemons = random.Random(seed), kills, daemons
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.thread.join()
        if self.error is not None:
            raise self.error

    def _run(self) -> None:
        try:
            wait = threading.Event()
            for _ in range(self.kills):
                # A start takes about a second: some kills meet it, most meet work under way.
                wait.wait(self.rng.uniform(0.5, 4.0))
                for daemon in self.rng.sample(self.daemons, len(self.daemons)):
                    daemon.kill()
                for daemon in self.daemons:
                    daemon.launch()
        except BaseException as error:  # it is the test's
            self.error = error


@pytest.mark.parametrize("seed", [SEED])
def test_twenty_kills_amid_random_edits(place: Place, seed: int) -> None:
    """From the first sync on: all comes to rest equal, nothing is lost, and nobody has to do anything."""
    a, b = place.device("a", guard=GUARD), place.device("b", guard=GUARD)
    copy_library(a.root / "lib", SOME)
    account = Account()
    persons = people(place, account, seed, a, b)
    persons[0].adopt()
    kills, edits = place.share(KILLS), place.share(EDITS)
    a.launch(), b.launch()
    with Killer(seed, kills, a, b):
        work(persons, seed, edits, kills * 2.0 / edits)
    for daemon in (a, b):
        daemon.ready()
    settle(a, b)
    for person in persons:
        person.close()
    assert_settled(place, account, a, b)
