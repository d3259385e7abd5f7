"""Real daemons, killed at a sample of the points; and a proof that the stories pass every place where a step is taken."""

from __future__ import annotations

import contextlib
import hashlib
import os

import pytest

from tests.kills.full import Report, tell
from tests.kills.nursery import Nursery
from tests.kills.sites import UNREACHED, sites, statements
from tests.kills.stories import STORIES
from tests.servers import GcsProcess, Server

pytestmark = [pytest.mark.daemon, pytest.mark.slow, pytest.mark.s3, pytest.mark.gcs, pytest.mark.timeout(1800)]


def _first(name: str) -> str:
    """An order that says nothing, and another for another seed."""
    return hashlib.sha256(f"{os.environ.get('DORKY_SEED', '')} {name}".encode()).hexdigest()


def test_a_kill_of_every_kind(seaweed: Server, strict_gcs: GcsProcess) -> None:
    """Every story ends as ever with a kill at a point of each kind, and together they pass all that the code can do.

    `DORKY_MATRIX=full`, or `python -m tests.kills --full`, kills at every point.
    """
    report = Report()
    full = os.environ.get("DORKY_MATRIX") == "full"
    with contextlib.closing(Nursery()) as nursery:
        for name in sorted(STORIES, key=_first):
            for scheme in STORIES[name].schemes if full else STORIES[name].schemes[:1]:
                tell(nursery, name, scheme, report, choose=None if full else lambda point: _first(point.id))
    assert not report.failures, "\n".join(report.failures)
    missed = sites() - report.sites - UNREACHED.keys()
    assert not missed, f"no story passes these; add one, or a reason to UNREACHED: {sorted(missed)}"
    assert not UNREACHED.keys() & report.sites, "reached all the same"
    assert UNREACHED.keys() <= sites(), "no longer in the code"
    unseen = report.sites - sites()
    assert not unseen, f"steps were taken where the scan of the code sees none: {sorted(unseen)}"
    assert statements() <= report.statements, "no story writes these to the journal"
    assert report.kinds == report.killed_kinds
