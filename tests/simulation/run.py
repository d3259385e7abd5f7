"""Play the stories of seeds; tell the ones that break a rule, as short as they can be made."""

from __future__ import annotations

import gc
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import pytest

from dorkyd import codecs, reinstating, schema
from tests.devices import Trap, trap_commits
from tests.journals import template
from tests.simulation import beginnings
from tests.simulation.checks import settle
from tests.simulation.play import Play
from tests.simulation.sealed import TurningAge
from tests.simulation.sharing import Shared, is_shared
from tests.simulation.shrink import shorter
from tests.simulation.steps import Setting, Settle, Step, Story
from tests.simulation.stories import Author
from tests.trace import tell_decisions


@dataclass(slots=True)
class Report:
    """What a story came to."""

    story: Story
    lines: list[str]
    failure: BaseException | None
    faults: Counter[str] = field(default_factory=Counter)


def run_history(seed: int) -> None:
    """Play the story of this seed. `AssertionError` with the shortest story that fails so, when a rule is broken."""
    report = play_seed(seed)
    if report.failure is not None:
        raise AssertionError(told(seed, report)) from report.failure


def play_seed(seed: int) -> Report:
    """Play the story of this seed, as its author makes it up."""
    author = Author(seed)
    steps: list[Step] = []

    def act(play: Play) -> None:
        def perform(step: Step) -> None:
            steps.append(step)
            _perform(play, step)

        author.write(play, perform)

    lines, failure, faults = _played(author.setting, act)
    return Report(Story(author.setting, tuple(steps)), lines, failure, faults)


def play_story(story: Story, tell: Callable[[str], None] | None = None) -> Report:
    """Play a story as it stands. `tell` hears all that its devices decide and do, too."""

    def act(play: Play) -> None:
        for step in story.steps:
            _perform(play, step)
        if not story.steps or not isinstance(story.steps[-1], Settle):
            settle(play)

    lines, failure, faults = _played(story.setting, act, tell)
    return Report(story, lines, failure, faults)


def told(seed: int, report: Report) -> str:
    """A failure as a person wants to read it."""
    short = shorter(report.story, kind_of(report.failure), lambda story: kind_of(play_story(story).failure))
    last = play_story(short)
    lines = [f"seed {seed}: {last.failure or report.failure}", f"  {short.setting}"]
    lines += [f"  {line}" for line in last.lines]
    lines += ["as steps:", *(f"    {step!r}," for step in short.steps)]
    return "\n".join(lines)


def kind_of(failure: BaseException | None) -> str | None:
    """What tells one defect from another, roughly."""
    if failure is None:
        return None
    words = str(failure).split(":")[-1] if isinstance(failure, AssertionError) else ""
    return type(failure).__name__ + " ".join(word for word in words.split()[:3] if word.isalpha())


def _perform(play: Play, step: Step) -> None:
    if isinstance(step, Settle):
        settle(play)
    else:
        play.step(step)


def _played(
    setting: Setting, act: Callable[[Play], None], tell: Callable[[str], None] | None = None
) -> tuple[list[str], BaseException | None, Counter[str]]:
    with simulated(tell) as traps:
        if setting.joined:
            beginnings.begin(setting)
        play = Play(setting, beginnings.place(), tell)
        traps.update(play.traps)
        failure: BaseException | None = None
        try:
            act(play)
        except Exception as exc:
            failure = exc
        finally:
            play.close()
            _connected.clear()
    return play.lines, failure, play.tally.faults


@contextmanager
def simulated(tell: Callable[[str], None] | None = None) -> Iterator[dict[str, Trap]]:
    """Commits can be killed, and a journal costs no more than it must in a simulation."""
    traps: dict[str, Trap] = {}
    with pytest.MonkeyPatch.context() as patch:
        trap_commits(patch, traps)
        patch.setattr(schema, "connect", _connect)
        patch.setattr(schema, "connect_readonly", _connect_readonly)
        patch.setattr(codecs, "pyrage", TurningAge)
        # While a person waits for a busy path nobody else works, so that waiting ends it no sooner.
        patch.setattr(reinstating, "BUSY_S", 0.0)
        # Every journal here was a copy of one that has this program's tables.
        patch.setattr(schema, "prepare", lambda _db, _file: None)
        if tell is not None:
            tell_decisions(patch, tell)
        yield traps


_connected: dict[Path, sqlite3.Connection] = {}


def _connect(file: Path) -> sqlite3.Connection:
    """No process but this one, and no power to be lost."""
    if not file.exists() or not file.stat().st_size:
        file.write_bytes(template())
    if file in _connected:
        _connected[file].close()  # whoever was killed while it opened could not
    conn = _connected[file] = sqlite3.connect(file, isolation_level=None)
    conn.execute("PRAGMA locking_mode=EXCLUSIVE")
    conn.execute("PRAGMA journal_mode=WAL")
    conn.execute("PRAGMA synchronous=OFF")
    conn.execute("PRAGMA temp_store=MEMORY")
    return conn


def _connect_readonly(file: Path) -> sqlite3.Connection:
    """Only of a journal that nobody has open. Whoever was killed while it opened holds its lock until its frames are gone,
    which would be waited for.
    """
    if file in _connected and is_shared():
        return cast("sqlite3.Connection", Shared(_connected[file]))
    if file in _connected:
        _connected[file].close()
        trying = sqlite3.connect(file, timeout=0.0)
        try:
            trying.execute("SELECT 1 FROM meta LIMIT 1").fetchone()
        except sqlite3.OperationalError:
            gc.collect()
        finally:
            trying.close()
    return _whole_connect_readonly(file)


_whole_connect_readonly = schema.connect_readonly


@contextmanager
def many() -> Iterator[None]:
    """Around many histories: without this, half of the time goes into looking for garbage."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()
        gc.collect()  # journals that were open when their device was killed have descriptors
        gc.freeze()  # as it was (`tests/conftest.py`)
        beginnings.leave()
