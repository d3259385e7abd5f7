"""A file and a folder that want one name: each rule of `dorkyd.core.clashes`."""

from __future__ import annotations

import pytest

from dorkyd.core.clashes import Neighbour, Wait, settle_clash
from dorkyd.core.model import (
    Action,
    Base,
    DeleteLocal,
    DeleteRemote,
    Digest,
    Download,
    Fetch,
    KeepBoth,
    Local,
    Look,
    Path,
    Problem,
    Remote,
    StepAside,
    Upload,
)
from dorkyd.core.paths import aside_folder, conflict_name
from tests.core.sides import NEW, OLD, V1, V2, a_base, a_local, a_remote, foreign, listed

FILE, CHILD, DEEP = Path("d/f"), Path("d/f/x"), Path("d/f/y/z")
MINE = a_local(NEW, mtime_ns=1_793_715_330_000_000_000)
NEW_FILE, NEW_CHILD = Upload(FILE, MINE, None, 0o644), Upload(CHILD, MINE, None, 0o644)


def neighbour(path: Path, remote: Remote | None = None, base: Base | None = None) -> Neighbour:
    """A key in the bucket, nobody's that we agreed on unless `base` says so."""
    return Neighbour(path, remote or a_remote(), base)


def leaving(path: Path) -> Neighbour:
    """A key we agreed on and whose deletion comes next."""
    return neighbour(path, a_remote(OLD, V1), a_base(OLD, V1))


def settled(
    path: Path,
    action: Action | None,
    local: Local | None = MINE,
    remote: Remote | None = None,
    *,
    above: tuple[Neighbour, ...] = (),
    below: tuple[Neighbour, ...] = (),
) -> Action | Wait | Problem | None:
    """What the action becomes on the device `pc`."""
    return settle_clash(path, action, local, remote, above=above, below=below, device="pc")


def test_no_clashing_key_known_no_change() -> None:
    """Rule 1: a creation goes ahead."""
    assert settled(FILE, NEW_FILE) is NEW_FILE


@pytest.mark.parametrize(
    ("action", "above", "below", "on"),
    [
        pytest.param(NEW_FILE, (), (leaving(CHILD), leaving(DEEP)), CHILD, id="a file for a folder (D02)"),
        pytest.param(NEW_CHILD, (leaving(FILE),), (), FILE, id="a folder for a file (E18)"),
    ],
)
def test_what_is_leaving_goes_first(
    action: Upload, above: tuple[Neighbour, ...], below: tuple[Neighbour, ...], on: Path
) -> None:
    """Rule 2: the deletion of the clashing key is sent before ours is created."""
    assert settled(action.path, action, above=above, below=below) == Wait(action.path, on)


def test_a_key_that_changed_since_is_not_leaving() -> None:
    """An edit beats a deletion: a neighbour edited by a teammate stays, so ours steps aside."""
    edited = neighbour(CHILD, a_remote(NEW, V2), a_base(OLD, V1))
    assert not edited.leaving
    assert isinstance(settled(FILE, NEW_FILE, below=(edited,)), StepAside)


def test_a_key_that_was_never_agreed_on_is_not_leaving() -> None:
    """Without a base, or one whose version is unknown, nothing says that it may go."""
    assert not neighbour(CHILD).leaving
    assert not neighbour(CHILD, a_remote(), a_base(version=None)).leaving
    assert leaving(CHILD).leaving


def test_a_file_steps_aside_as_a_conflict_copy() -> None:
    """Rule 3: a file whose name is a folder elsewhere gets an ordinary conflict copy's name (B08)."""
    to = conflict_name(FILE, device="pc", mtime_ns=MINE.stat.mtime_ns, digest=MINE.digest)
    action = settled(FILE, NEW_FILE, below=(leaving(DEEP), neighbour(CHILD)))
    assert action == StepAside(FILE, MINE, to, "'d/f' is a folder elsewhere")


def test_children_step_aside_into_a_folder_that_every_holder_names_alike() -> None:
    """Rule 3: children of a folder whose name is a file elsewhere keep their place inside the folder's new name."""
    moves = [
        settled(child, Upload(child, local, None, 0o644), local, above=(neighbour(FILE),))
        for child, local in ((CHILD, MINE), (DEEP, a_local(OLD)))
    ]
    targets = [move.to for move in moves if isinstance(move, StepAside)]
    assert targets == [Path(f"{aside_folder(FILE)}/x"), Path(f"{aside_folder(FILE)}/y/z")]


def test_one_that_stays_outweighs_one_that_leaves() -> None:
    """Waiting for a key that leaves is no use while another stays."""
    action = settled(CHILD, NEW_CHILD, above=(leaving(Path("d")), neighbour(FILE)))
    assert isinstance(action, StepAside)
    assert action.to == f"{aside_folder(FILE)}/x"


def test_ours_steps_aside_for_what_another_tool_put_there() -> None:
    """Rule 3: only ours is renamed."""
    assert isinstance(settled(CHILD, NEW_CHILD, above=(neighbour(FILE, foreign()),)), StepAside)


@pytest.mark.parametrize(
    ("action", "above", "below", "on"),
    [
        pytest.param(NEW_CHILD, (neighbour(FILE, listed()),), (), FILE, id="a file above"),
        pytest.param(NEW_FILE, (), (leaving(DEEP), neighbour(CHILD, listed())), CHILD, id="a child below"),
    ],
)
def test_nothing_steps_aside_for_what_was_not_looked_at(
    action: Upload, above: tuple[Neighbour, ...], below: tuple[Neighbour, ...], on: Path
) -> None:
    """Rule 3: a listing does not tell whether the other key is a late write of our own, which goes again."""
    assert settled(action.path, action, above=above, below=below) == Look(on)


@pytest.mark.parametrize("action", [None, Upload(CHILD, MINE, a_remote(), 0o644)])
def test_both_in_the_bucket_the_holder_moves_the_children(action: Action | None) -> None:
    """Rule 4: the file keeps the name; whoever has a child on disk moves it, whatever else was to be done."""
    moved = settled(CHILD, action, MINE, a_remote(), above=(neighbour(FILE),))
    assert moved == StepAside(CHILD, MINE, Path(f"{aside_folder(FILE)}/x"), "'d/f' is a file elsewhere")


@pytest.mark.parametrize(
    ("child", "file", "expected"),
    [
        pytest.param(listed(), a_remote(), Look(CHILD), id="the child first"),
        pytest.param(a_remote(), listed(), Look(FILE), id="then the file"),
        pytest.param(listed(), listed(), Look(CHILD), id="neither looked at: one by one"),
    ],
)
def test_both_are_looked_at_before_anything_moves(child: Remote, file: Remote, expected: Look) -> None:
    """Rule 4: a listing may be old; only fresh looks at both keys move a person's file."""
    assert settled(CHILD, None, MINE, child, above=(neighbour(FILE, file),)) == expected


def test_a_child_that_another_tool_put_there_is_never_moved() -> None:
    """Rule 4: then the file is the problem, and the child syncs as ever (D05)."""
    action = Download(CHILD, foreign(V2, OLD), MINE, 0o644)
    assert settled(CHILD, action, MINE, foreign(V2, OLD), above=(neighbour(FILE),)) is action


def test_both_in_the_bucket_while_the_file_is_leaving() -> None:
    """A file that is about to be deleted is in nobody's way."""
    assert settled(CHILD, None, MINE, a_remote(), above=(leaving(FILE),)) is None


def test_a_file_in_the_bucket_keeps_its_name() -> None:
    """Rule 4: of a file with children below it, the file does nothing."""
    assert settled(FILE, None, MINE, a_remote(), below=(neighbour(CHILD),)) is None


@pytest.mark.parametrize(
    "action",
    [
        Download(CHILD, a_remote(), None, 0o644),
        Fetch(CHILD, foreign()),
        Look(CHILD),
        KeepBoth(CHILD, MINE, a_remote(), 0o644),
    ],
)
def test_a_device_that_holds_no_child_reports_a_problem(action: Action) -> None:
    """Rule 5: nothing is touched until a holder has moved it, and the message names the file."""
    found = settled(CHILD, action, None, a_remote(), above=(neighbour(FILE),))
    assert isinstance(found, Problem)
    assert (found.path, found.code) == (CHILD, "clash")
    assert repr(FILE) in found.detail
    assert found.hint


def test_a_child_that_nobody_here_holds_is_looked_at_first() -> None:
    """Rule 5: a request of our own may have landed late, and only the object's metadata tells whose it is."""
    child = listed()
    assert settled(CHILD, Fetch(CHILD, child), None, child, above=(neighbour(FILE),)) == Look(CHILD)


@pytest.mark.parametrize(
    ("action", "local", "remote"),
    [
        pytest.param(DeleteRemote(CHILD, V1, a_base()), None, a_remote(), id="a child leaves the bucket"),
        pytest.param(DeleteLocal(CHILD, a_local(), a_base()), a_local(), None, id="a child leaves the folder"),
    ],
)
def test_deletions_make_room_and_go_on(action: Action, local: Local | None, remote: Remote | None) -> None:
    """What takes a clashing key away is never held up by the clash."""
    assert settled(CHILD, action, local, remote, above=(neighbour(FILE),)) is action


def test_the_file_itself_is_downloaded() -> None:
    """Keys below do not stop the file above them: the folder on disk will say whether there is room."""
    action = Download(FILE, a_remote(), None, 0o644)
    assert settled(FILE, action, None, a_remote(), below=(neighbour(CHILD),)) is action


def test_every_device_makes_the_same_name_for_a_child() -> None:
    """The new name depends on the file's path alone, not on device, time or content."""
    made = set()
    for device, digest in (("a", OLD), ("b", NEW)):
        local = a_local(Digest(digest))
        action = settle_clash(
            CHILD, Upload(CHILD, local, None, 0o600), local, None, above=[neighbour(FILE)], below=[], device=device
        )
        assert isinstance(action, StepAside)
        made.add(action.to)
    assert len(made) == 1
