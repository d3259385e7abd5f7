"""Stories that once broke a rule, as short as the simulator made them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulation import run
from tests.simulation.steps import (
    CheckOut,
    Commit,
    Cycle,
    Die,
    Edit,
    Fail,
    ForgetUploads,
    Late,
    Open,
    Refused,
    Setting,
    Settle,
    Step,
    Story,
    Stranger,
    Sync,
    Unreadable,
    Within,
    Work,
)


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


def test_a_late_write_where_the_folder_has_become_a_file() -> None:
    """Its conflict copy goes where its folder would have stepped aside to."""
    for setting in (Setting(tree=3), Setting(tree=3, stepwise=True)):
        _play(
            Edit("A", "collapse", "d", "w2"), Open("B", "d/e/a"), Settle(), Late("B", "w8"), Settle(), setting=setting
        )


def test_the_folder_becomes_a_file_while_a_deletion_takes_a_newer_file_out() -> None:
    """What came out has no place to go back to: it is kept where its folder would have stepped aside to."""
    for nth in range(1, 6):
        for stepwise in (False, True):
            _play(
                Edit("A", "delete", "d/a"), Edit("A", "delete", "d/b"), Sync("A"), Within(nth, Edit("B", "write", "d/a", "w4")),
                Within(nth + 1, Edit("B", "collapse", "d", "w3")), Sync("B"), Settle(), setting=Setting(tree=2, stepwise=stepwise),
            )  # fmt: skip


def test_a_listing_that_is_joined_is_not_the_last() -> None:
    """What another tool wrote after a listing passed by is found by the one that follows."""
    _play(Cycle("A", "whole", 0.0), Stranger("b", "w1"), Sync("B"))


def test_a_file_is_ignored_while_it_is_sent() -> None:
    """What became of our own write is found out all the same: its intent does not stay open for ever."""
    _play(
        Edit("A", "write", "d/e/a", "w2"), Cycle("A", "whole", 0.0), Edit("A", "swap", "d/e/a", "a"),
        Edit("A", "ignore", ".dorkyignore", "e\n"), setting=Setting(tree=1),
    )  # fmt: skip


def test_what_waits_for_a_name_goes_on_when_the_object_is_gone() -> None:
    """A look that proves it gone frees the names that clash with it: they do not wait out their back-off."""
    _play(Refused("B", "a"), Edit("A", "turn", "a", "w5"), Edit("B", "move", "a", "b/y/z"), setting=Setting(tree=1))


def test_variables_come_together() -> None:
    """Both add one to a file that both hold: neither is lost, wherever a device dies meanwhile."""
    for at in (0, 4, 8, 12, 16):
        _play(
            Edit("A", "set", ".env.team", "V1=1"), Settle(), Edit("A", "set", ".env.team", "V2=2"),
            Edit("B", "set", ".env.team", "V3=3"), Sync("B"), Die("A", at, after=True), Sync("A"), Settle(),
        )  # fmt: skip


def test_a_folder_stands_where_a_file_would_step_aside_to() -> None:
    """It steps aside to the next name."""
    copy = "a (conflict ca9781)/x"
    _play(
        Edit("B", "save", copy, "w8"), Edit("B", "turn", copy, "w9"), Die("C", 0, forgets=True, power=True),
        Edit("C", "turn", "a", "w10"), setting=Setting(devices=3, tree=1, joined=True),
    )  # fmt: skip


def test_the_store_forgets_the_upload_of_an_encrypted_file() -> None:
    """Of the ciphertext that it was begun with nothing stays."""
    _play(
        Edit("A", "write", "d/a", "one"), Cycle("A", "whole", 0.0), Work("A", (5,)), ForgetUploads(),
        setting=Setting(joined=True, sessions=True, sealed=True),
    )  # fmt: skip


def test_permission_bits_changed_where_a_journal_was_lost() -> None:
    """A listing proves content and tells of no bits: what the log tells of them is looked at."""
    _play(Die("B", 0, forgets=True), Edit("A", "chmod", "a", "755"), setting=Setting(tree=1, joined=True, etags=True))


def test_a_checkout_beside_a_folder_that_cannot_be_read() -> None:
    """It does not say that the folder is the commit."""
    _play(
        Edit("B", "write", "d/a", "w1"), Edit("B", "move", "d/a", "b/y/z"), Unreadable("B", "b"), Commit("B"),
        CheckOut("B", 0, overwrite=False), setting=Setting(joined=True),
    )  # fmt: skip
