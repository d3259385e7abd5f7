"""Stories that once broke a rule, as short as the simulator made them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulation import run
from tests.simulation.steps import Cycle, Die, Edit, Fail, Setting, Settle, Step, Story, Stranger, Sync, Work


@pytest.fixture(autouse=True, scope="module")
def _cheap() -> Iterator[None]:
    with run.many():
        yield


def _play(*steps: Step, setting: Setting = Setting()) -> None:  # noqa: B008  a value
    report = run.play_story(Story(setting, steps))
    assert report.failure is None, "\n".join([*report.lines, str(report.failure)])


@pytest.mark.parametrize("written_by", ["a teammate", "another tool"])
def test_power_goes_at_any_step_of_a_download(written_by: str) -> None:
    """Bytes that were fetched and were not on the disk yet when the power went are fetched again: neither installed, nor
    taken for what an exchange brought out.
    """
    write: Step = Edit("A", "write", "a", "w11") if written_by == "a teammate" else Stranger("a", "w11")
    for nth in range(1, 22):
        _play(write, Sync("A"), Die("B", nth, power=True), Sync("B"), Settle())


def test_power_goes_after_half_of_a_foreign_object_arrived() -> None:
    """What another tool wrote has no digest of its own to prove the whole: its first half is not gone on from."""
    work = (Cycle("B", "", 1.0), Work("B", (0,)))
    for nth in range(1, 6):
        _play(
            Stranger("a", "w11"), Sync("A"), Fail("B", "lost", "midway", nth, "read"), Cycle("B", "whole", 1.0),
            Work("B", (0,)), *work, *work, Die("B", 0, power=True), Settle(),
        )  # fmt: skip
