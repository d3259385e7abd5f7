"""Real daemons, killed at a sample of the points. `python -m tests.kills --full` kills at all of them."""

from __future__ import annotations

import hashlib
import os

import pytest

from tests.kills.full import STORIES, Report, tell
from tests.kills.sites import passed
from tests.kills.world import Point
from tests.nursery import nursery
from tests.servers import Server

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.slow,
    pytest.mark.s3,
    pytest.mark.timeout(1800),
    # httpcore leaks the socket of a connection that is refused, as those of a dead daemon are.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

FULL = os.environ.get("DORKY_MATRIX") == "full"
TOLD = (
    ("s3", "upload, update, delete, move and chmod"),
    ("s3", "download, update, delete, move and chmod"),
    ("s3", "large upload in a session"),
    ("file", "the first start"),
    ("file", "commit"),
)
"""What CI has time for. Between them they pass points of nearly every kind."""
KINDS = {
    "upload, update, delete, move and chmod": {"bucket.put", "bucket.copy", "bucket.delete", "sql COMMIT"},
    "download, update, delete, move and chmod": {"folder.swap_in", "sql COMMIT"},
    "commit": {"bucket.put", "bucket.copy"},
}
"""At points of these at least somebody was killed."""


def _first(point: Point) -> str:
    """An order that says nothing, and another for another seed."""
    return hashlib.sha256(f"{os.environ.get('DORKY_SEED', '')} {point.id}".encode()).hexdigest()


ALL = [(scheme, name) for name, story in STORIES.items() for scheme in story.schemes]


@pytest.mark.parametrize(("scheme", "name"), ALL if FULL else TOLD)
def test_a_kill_of_every_kind(seaweed: Server, scheme: str, name: str) -> None:
    """A story ends as ever with kills in it, at a point of each kind that it has; nothing is lost and nothing left over."""
    report = Report()
    tell(nursery(), name, scheme, report, choose=None if FULL else _first, in_a_row=1 if FULL else 6)
    assert not report.failures, "\n".join(report.failures)
    # What the journal writes outside of transactions has no place in the code but the statement's own.
    named = {site for site in report.sites if site[0] == "sql COMMIT" or not site[0].startswith(("sql ", "statement"))}
    unseen = named - passed()
    assert not unseen, f"`python -m tests.kills --write` does not know these: {sorted(unseen)}"
    assert report.counts["killed"] > 7
    assert KINDS.get(name, set()) <= report.killed_kinds
