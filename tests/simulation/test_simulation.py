"""The simulator: histories of some hundred seeds, that the same seed is the same story, and that it notices."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path as FilePath

import pytest

from dorkyd import deciding
from dorkyd.core.model import Action, Base, Download, KeepBoth, Local, Path, Remote
from dorkyd.core.reconcile import reconcile
from tests.simulation import run
from tests.simulation.steps import Cycle, Edit, Setting, Settle, Story

HISTORIES = int(os.environ.get("DORKY_HISTORIES", "2000"))
"""How many are played here; `python -m tests.simulation` plays more."""
GROUPS = 17
"""Odd, so that encrypted histories, which are every eighth and the longest, are spread over all of them."""


@pytest.fixture(autouse=True, scope="module")
def _cheap() -> Iterator[None]:
    with run.many():
        yield


@pytest.mark.parametrize("group", range(GROUPS))
def test_nothing_is_lost_and_all_agree(group: int) -> None:
    """After any history, what must hold does."""
    for seed in range(group, HISTORIES, GROUPS):
        run.run_history(seed)


def test_the_same_seed_is_the_same_story() -> None:
    """Two plays of one seed tell the same, to the letter."""
    for seed in range(15):
        assert run.play_seed(seed).lines == run.play_seed(seed).lines


def test_a_story_is_its_steps() -> None:
    """A story that was made up while it was played is the same when its steps are played again."""
    for seed in range(20):
        first = run.play_seed(seed)
        assert run.play_story(first.story).lines == first.lines


def test_a_failure_is_told_in_few_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is told of a story that breaks a rule is the shortest story that breaks it."""
    monkeypatch.setattr(deciding, "reconcile", _forgetful)
    steps = (
        Edit("A", "write", "b", "w1"),
        Settle(),
        Edit("A", "write", "a", "w2"),
        Edit("C", "delete", "b"),
        Cycle("A", "whole", 1.0),
        Edit("B", "write", "a", "w3"),
        Settle(),
    )
    report = run.play_story(Story(Setting(devices=3, seconds=True), steps))
    assert "lost: ['w3']" in str(report.failure)
    text = run.told(7, report)
    assert text.splitlines()[0].startswith("seed 7: lost")
    told = [line.strip() for line in text.splitlines()[2:] if not line.startswith("   ")]
    assert told[:-1] == ["A: a := w2", "B: a := w3", "all settle"]


def _forgetful(path: Path, base: Base | None, local: Local | None, remote: Remote | None) -> Action | None:
    """The table, with one wrong cell: the remote edit replaces the local one."""
    action = reconcile(path, base, local, remote)
    if isinstance(action, KeepBoth):
        return Download(path, action.remote, replaces=action.local, mode=action.mode)
    return action


def test_the_same_seed_is_the_same_story_in_another_process() -> None:
    """Neither the order of sets nor the time of day is in a story."""
    script = "from tests.simulation import run; print([run.play_seed(seed).lines for seed in range(6)])"
    told = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": salt},
            cwd=FilePath(__file__).parents[2],
            check=True,
            capture_output=True,
        ).stdout
        for salt in ("1", "2")
    }
    assert len(told) == 1
