"""What is put on record is what was done, and what cannot be explained is told. Without daemons: the test is the sync."""

from __future__ import annotations

import os
import random
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.blackbox.judge import Tally, Unexplained, explained
from tests.blackbox.model import ABSENT, Event, Late, Open, Read, Stable, Write
from tests.blackbox.story import PATHS, Story, Uncertain


@dataclass
class Machine:
    """What a story needs of a daemon that is never started."""

    name: str
    root: Path


@pytest.fixture
def story(tmp_path: Path) -> Story:
    """Two folders, nothing happened yet."""
    machines = [Machine(name, tmp_path / name) for name in ("ann", "ben")]
    for machine in machines:
        machine.root.mkdir()
    return Story(machines, random.Random(0), "s")  # type: ignore[arg-type]


def events(story: Story, path: str) -> list[Event]:
    """What is on record of a path."""
    return [event for event, _ in story.trace(path)]


@pytest.mark.parametrize("style", ["_in_place", "_exchanging"])
def test_who_knows_what_was_replaced(story: Story, style: str) -> None:
    """Edits in place and exchanges put on record what they replaced; a new file replaced nothing."""
    for _ in range(2):
        getattr(story, style)(0, "b")
    first, second = events(story, "b")
    assert isinstance(first, Write)
    assert isinstance(second, Write)
    assert (first.knows, first.old) == (True, ABSENT)
    assert (second.knows, second.old) == (True, first.value)
    assert story._read(0, "b") == second.value != first.value
    assert [p.name for p in (story.daemons[0].root / "s").iterdir()] == ["b"]


@pytest.mark.parametrize("style", ["_truncating", "_renaming"])
def test_who_does_not_know_what_was_replaced(story: Story, style: str) -> None:
    """Blind writes say so."""
    for _ in range(2):
        getattr(story, style)(0, "b")
    assert events(story, "b") == [Write(0, "s.0001", False), Write(0, "s.0002", False)]
    assert story._read(0, "b") == "s.0002"


def test_a_rename_is_a_deletion_and_a_write(story: Story) -> None:
    """On the two paths, of the value that moved; over another file nothing is renamed."""
    story._create(0, "a.txt")
    story._rename(0, "a.txt", "d/.env")
    assert events(story, "a.txt")[1:] == [Write(0, ABSENT, True, "s.0001")]
    assert events(story, "d/.env") == [Write(0, "s.0001", True, ABSENT)]
    story._create(0, "b")
    story._rename(0, "b", "d/.env")
    assert len(events(story, "b")) == 1


def test_a_rename_that_met_a_swap_ends_the_story(story: Story, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which file went is not known, so nothing is claimed."""
    story._create(0, "b")

    def swapped(one: Path, two: Path, *, exchange: bool) -> None:
        one.unlink()
        two.write_text("of sync")

    monkeypatch.setattr("tests.blackbox.story._atomically", swapped)
    with pytest.raises(Uncertain):
        story._rename(0, "b", "a.txt")


def test_a_late_write_goes_where_the_file_went(story: Story) -> None:
    """Through what was opened, not through the name."""
    story._create(0, "b")
    story._open(0, "b")
    full = story.daemons[0].root / "s" / "b"
    os.rename(full, full.with_name("elsewhere"))
    story._close(0, "b")
    assert events(story, "b")[1:] == [Open(0, "s.0001"), Late(0, "s.0002")]
    assert story._value(full.with_name("elsewhere").read_bytes()) == "s.0002"
    assert story.done["late writes"] == 1


def test_copies_are_told_by_their_names(story: Story) -> None:
    """A conflict copy, and a copy of a copy, belong to the path that lost; one that names the wrong device fails."""
    story._create(0, "d/.env")
    value = story.daemons[0].root / "s" / "d" / ".env"
    for part in (
        "(conflict ann 20261122-204348 ef5b15)",
        "(conflict ben 20261122-204348 00aa11) (conflict ann 20261122-204348 ef5b15)",
    ):
        copy = value.with_name(f".env {part}")
        copy.write_bytes(value.read_bytes())
    assert story.copies(0) == {"a.txt": [], "b": [], "d/.env": ["s.0001", "s.0001"]}
    value.rename(value.with_name(".env (conflict ben 20261122-204348 ef5b15)"))
    with pytest.raises(AssertionError, match="holds what"):
        story.copies(0)


def test_a_torn_content_is_no_value(story: Story) -> None:
    """Half of one and half of another, or nothing at all, is something nobody wrote."""
    story.lines = 2
    assert story._value(b"s.0001\ns.0001\n") == "s.0001"
    for torn in (b"", b"s.0001\n", b"s.0001\ns.0002\n"):
        assert story._value(torn).startswith("torn")


def test_what_cannot_be_explained_is_told(story: Story) -> None:
    """A value that sync takes away fails the story, with the trace and the seed."""
    story._create(0, "b")
    nothing = Stable(((ABSENT, frozenset()),) * 2)
    story._note("b", Read(0, ABSENT), "looked")
    with pytest.raises(Unexplained, match=r"story 7(.|\n)*s/b on \['ann', 'ben'\]: event 1 (.|\n)*Write\(device=0"):
        explained(story, dict.fromkeys(PATHS, nothing), "7", Tally())
