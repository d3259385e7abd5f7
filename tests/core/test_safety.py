"""What is not done even though the table says so: modes and the guard."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from dorkyd.core.model import (
    Action,
    Adopt,
    BeginUpload,
    DeleteLocal,
    DeleteRemote,
    Download,
    Fetch,
    Forget,
    KeepBoth,
    Look,
    MoveLocal,
    MoveRemote,
    PatchMode,
    Path,
    Problem,
    SetMode,
    StepAside,
    Upload,
    Version,
)
from dorkyd.core.safety import Delete, Vetted, allowed, approval_key, counted, vet
from dorkyd.core.settings import Guard, Mode
from tests.core.sides import OLD, V1, a_base, a_local, a_remote

F, G = Path("f"), Path("g")
ADOPT = Adopt(F, a_local(), a_remote(), 0o644)
UPLOAD = Upload(F, a_local(), None, 0o644)
DOWNLOAD = Download(F, a_remote(), None, 0o644)
KEEP_BOTH = KeepBoth(F, a_local(), a_remote(), 0o644)
DELETE_LOCAL = DeleteLocal(G, a_local(), a_base())
DELETE_REMOTE = DeleteRemote(G, V1, a_base())
SET_MODE = SetMode(F, a_local(), a_remote(), 0o755)
PATCH_MODE = PatchMode(F, a_local(), a_remote(), 0o755)
STEP_ASIDE = StepAside(F, a_local(), G, "why")
MOVE_LOCAL = MoveLocal(DELETE_LOCAL, DOWNLOAD)
MOVE_REMOTE = MoveRemote(DELETE_REMOTE, UPLOAD)
FOLDER_WRITES = [DOWNLOAD, DELETE_LOCAL, MOVE_LOCAL, SET_MODE, STEP_ASIDE]
BUCKET_WRITES = [UPLOAD, BeginUpload(UPLOAD), DELETE_REMOTE, MOVE_REMOTE, PATCH_MODE]
NO_WRITES = [ADOPT, Forget(F), Look(F), Fetch(F, a_remote())]
ALL: list[Action] = [*FOLDER_WRITES, *BUCKET_WRITES, *NO_WRITES, KEEP_BOTH]


def kind(action: Action) -> str:
    """A readable id."""
    return type(action).__name__


# --- modes -----------------------------------------------------------------------------------------------------------


def test_every_action_is_judged_here() -> None:
    """A new kind of action must be given a place in these lists."""
    assert {type(action) for action in ALL} == set(Action.__args__)  # type: ignore[attr-defined]


@pytest.mark.parametrize("action", ALL, ids=kind)
def test_two_way_takes_nothing_away(action: Action) -> None:
    """Two-way is the table as it stands."""
    assert allowed(action, Mode.TWO_WAY) is action


@pytest.mark.parametrize("action", FOLDER_WRITES, ids=kind)
def test_push_never_writes_the_folder(action: Action) -> None:
    """Whatever would change the folder is taken away in push mode, and stays in pull mode."""
    assert allowed(action, Mode.PUSH) is None
    assert allowed(action, Mode.PULL) is action


@pytest.mark.parametrize("action", BUCKET_WRITES, ids=kind)
def test_pull_never_writes_the_bucket(action: Action) -> None:
    """Whatever would change the bucket is taken away in pull mode, and stays in push mode."""
    assert allowed(action, Mode.PULL) is None
    assert allowed(action, Mode.PUSH) is action


@pytest.mark.parametrize("action", NO_WRITES, ids=kind)
@pytest.mark.parametrize("mode", Mode)
def test_what_writes_neither_side_goes_on_in_every_mode(action: Action, mode: Mode) -> None:
    """Looking and remembering are never taken away; mode manual does not move the bytes of a fetch unasked."""
    assert allowed(action, mode) is (None if mode is Mode.MANUAL and isinstance(action, Fetch) else action)


@pytest.mark.parametrize("action", [*BUCKET_WRITES, *FOLDER_WRITES], ids=kind)
def test_manual_moves_nothing(action: Action) -> None:
    """Whatever would write a side is taken away."""
    assert allowed(action, Mode.MANUAL) is None


def test_a_conflict_that_push_may_not_settle_is_a_problem() -> None:
    """Two edits that would face each other for ever are shown to a person, with what to do."""
    found = allowed(KEEP_BOTH, Mode.PUSH)
    assert isinstance(found, Problem)
    assert (found.path, found.code) == (F, "conflict-in-push-mode")
    assert found.hint


def test_pull_settles_conflicts_in_the_folder() -> None:
    """Keeping both writes the folder alone, which pull may."""
    assert allowed(KEEP_BOTH, Mode.PULL) is KEEP_BOTH


# --- the guard -------------------------------------------------------------------------------------------------------

Make = Callable[[int], list[Delete]]


def local_deletes(count: int) -> list[Delete]:
    """Objects that went away: files to delete here."""
    return [DeleteLocal(Path(f"d{n}"), a_local(), a_base()) for n in range(count)]


def remote_deletes(count: int) -> list[Delete]:
    """Files that went away: objects to delete there."""
    return [DeleteRemote(Path(f"d{n}"), V1, a_base()) for n in range(count)]


def never(_delete: Delete) -> bool:
    """No deletion is."""
    return False


def vetted(
    actions: Sequence[Action],
    *,
    files: int = 20,
    recent: tuple[int, int] = (0, 0),
    guard: Guard | None = None,
    approved: Callable[[Delete], bool] = never,
    elsewhere: Callable[[Delete], bool] = never,
) -> Vetted:
    """Vet with the defaults of the settings: 25 % and 10 files, or 5000."""
    return vet(
        actions,
        guard=guard or Guard(),
        files=files,
        recent_local=recent[0],
        recent_remote=recent[1],
        is_approved=approved,
        lives_elsewhere=elsewhere,
    )


both_ways = pytest.mark.parametrize("make", [local_deletes, remote_deletes])


@both_ways
@pytest.mark.parametrize(
    ("deletions", "files", "held"),
    [
        pytest.param(11, 20, True, id="past both (C11)"),
        pytest.param(10, 20, False, id="ten files are not past ten"),
        pytest.param(10, 10, False, id="the whole of a small folder"),
        pytest.param(11, 44, False, id="exactly 25 percent is not past it"),
        pytest.param(11, 43, True, id="just past 25 percent"),
        pytest.param(1000, 5000, False, id="many, but few of all"),
        pytest.param(5000, 10**6, False, id="exactly max"),
        pytest.param(5001, 10**6, True, id="past max, however few of all"),
        pytest.param(11, 0, True, id="nothing in base"),
    ],
)
def test_the_guard_needs_percent_and_files_or_max(make: Make, deletions: int, files: int, held: bool) -> None:
    """Deletions are held past both thresholds together, or past the maximum; on a threshold they go."""
    deletes = make(deletions)
    result = vetted(deletes, files=files)
    assert (result.held, result.go) == ((tuple(deletes), ()) if held else ((), tuple(deletes)))


def test_deletions_of_the_window_count() -> None:
    """Six now after five before are eleven of what was there before them, in their own direction only."""
    assert vetted(local_deletes(6), files=15, recent=(5, 0)).held
    assert vetted(remote_deletes(6), files=15, recent=(0, 5)).held
    assert not vetted(local_deletes(6), files=15, recent=(0, 5)).held
    assert not vetted(remote_deletes(6), files=15, recent=(5, 0)).held


def test_the_window_counts_what_was_there_before() -> None:
    """What was deleted in the window is part of the whole that percent is of."""
    assert not vetted(local_deletes(1), files=40, recent=(10, 0)).held  # 11 of 50
    assert vetted(local_deletes(1), files=33, recent=(10, 0)).held  # 11 of 43


def test_a_full_window_holds_nothing_but_deletions() -> None:
    """Past deletions alone are no reason to stop."""
    assert vetted([UPLOAD], recent=(9999, 9999)) == Vetted((UPLOAD,), ())


def test_directions_are_judged_apart() -> None:
    """Ten deletions each way are not twenty; and one held direction leaves the other alone."""
    deletes = [*local_deletes(10), *remote_deletes(10)]
    assert not vetted(deletes).held
    held = vetted([*local_deletes(11), *remote_deletes(10)])
    assert (held.held, held.go) == (tuple(local_deletes(11)), tuple(remote_deletes(10)))


@both_ways
def test_all_else_passes_in_its_order(make: Make) -> None:
    """Only the deletions past the guard are held back, exactly those; moves are none."""
    deletes = make(11)
    others = [UPLOAD, MOVE_REMOTE, MOVE_LOCAL, KEEP_BOTH, DOWNLOAD]
    mixed: list[Action] = [UPLOAD, *deletes, MOVE_REMOTE, MOVE_LOCAL, KEEP_BOTH, DOWNLOAD]
    assert vetted(mixed) == Vetted(tuple(others), tuple(deletes))


@both_ways
def test_what_lives_elsewhere_is_not_counted(make: Make) -> None:
    """A deletion whose content both sides hold at another path loses nothing: it goes, and does not count (C13)."""
    deletes = make(12)
    elsewhere = deletes[:2]
    assert not vetted(deletes, elsewhere=lambda d: d in elsewhere).held
    result = vetted(deletes, elsewhere=lambda d: d in elsewhere[:1])
    assert (result.go, result.held) == (tuple(deletes[:1]), tuple(deletes[1:]))


@both_ways
def test_what_was_approved_goes_and_does_not_count(make: Make) -> None:
    """A person let exactly these through; the rest is judged without them."""
    deletes = make(22)
    allowed_ones = deletes[:11]
    result = vetted(deletes, approved=lambda d: d in allowed_ones)
    assert (result.go, result.held) == (tuple(allowed_ones), tuple(deletes[11:]))
    assert not vetted(deletes[:21], approved=lambda d: d in allowed_ones).held


def test_a_guard_of_zero_holds_every_deletion() -> None:
    """The strictest settings ask about each."""
    strict = Guard(percent=0, files=0)
    assert vetted(local_deletes(1), files=10**6, guard=strict).held


def test_an_approval_names_a_path_in_one_state() -> None:
    """The state's version, or its digest where no version is known."""
    assert approval_key(DELETE_REMOTE) == (G, V1)
    assert approval_key(DeleteLocal(G, a_local(), a_base(version=None))) == (G, Version(OLD))


def test_counted_are_the_deletions_alone() -> None:
    """Halves of moves are no deletions."""
    assert counted(ALL) == [DELETE_LOCAL, DELETE_REMOTE]
