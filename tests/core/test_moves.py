"""Halves of moves find each other, and only where there is no doubt."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from dorkyd.core.model import (
    Action,
    DeleteLocal,
    DeleteRemote,
    Digest,
    Download,
    Forget,
    KeepBoth,
    MoveLocal,
    MoveRemote,
    Path,
    Upload,
)
from dorkyd.core.moves import pair_moves
from tests.core.sides import NEW, OLD, OTHER, V1, a_base, a_local, a_remote, foreign


def upload(path: str, digest: Digest = OLD, *, over: Digest | None = None) -> Upload:
    """A file that appeared here, or (`over`) was edited here."""
    return Upload(Path(path), a_local(digest), a_remote(over) if over else None, 0o644)


def unsent(path: str, digest: Digest = OLD) -> DeleteRemote:
    """A file that went away here."""
    return DeleteRemote(Path(path), V1, a_base(digest))


def download(path: str, digest: Digest | None = OLD, *, over: Digest | None = None) -> Download:
    """An object that appeared, or (`over`) was edited there."""
    remote = a_remote(digest) if digest else foreign()
    return Download(Path(path), remote, a_local(over) if over else None, 0o644)


def discard(path: str, digest: Digest = OLD) -> DeleteLocal:
    """An object that went away there."""
    return DeleteLocal(Path(path), a_local(digest), a_base(digest))


def test_a_rename_here_is_one_move_in_the_bucket() -> None:
    """A deletion and a creation of one content are a move, at the place of the creation (E01)."""
    gone, new, other = unsent("f"), upload("g"), Forget(Path("x"))
    assert pair_moves([gone, other, new]) == [other, MoveRemote(gone, new)]


def test_a_rename_there_is_one_move_here() -> None:
    """A teammate's rename is a rename in the folder (E01)."""
    gone, new = discard("f"), download("g")
    assert pair_moves([new, gone]) == [MoveLocal(gone, new)]


def test_a_secret_that_gets_an_ordinary_name_is_put_in_place() -> None:
    """A file whose own bits counted for nothing is not renamed to where they would count; every other way it is."""
    gone, new = discard(".env"), download("c")
    assert pair_moves([new, gone]) == [new, gone]
    for old, now in ((".env", ".env.old"), ("c", ".env")):
        gone, new = discard(old), download(now)
        assert pair_moves([new, gone]) == [MoveLocal(gone, new)]


def test_the_sides_are_not_mixed() -> None:
    """A file deleted there and one created here are no move."""
    actions: list[Action] = [discard("f"), upload("g")]
    assert pair_moves(actions) == actions
    actions = [unsent("f"), download("g")]
    assert pair_moves(actions) == actions


def test_other_content_is_no_move() -> None:
    """A file that was renamed and edited at once is deleted and created (E08)."""
    actions: list[Action] = [unsent("f", OLD), upload("g", NEW)]
    assert pair_moves(actions) == actions


def test_what_is_ambiguous_is_no_move() -> None:
    """Two candidates that no ending tells apart: both deleted, one created."""
    actions: list[Action] = [unsent("a"), unsent("b"), upload("c")]
    assert pair_moves(actions) == actions
    actions = [unsent("a"), upload("b"), upload("c")]
    assert pair_moves(actions) == actions


def test_a_name_that_agrees_resolves_the_doubt() -> None:
    """Of equal files the one whose name stayed is the one that moved; what is then left alone pairs too."""
    first, second, kept, other = unsent("d/a"), unsent("d/b"), upload("e/a"), upload("e/c")
    assert pair_moves([first, second, kept, other]) == [MoveRemote(first, kept), MoveRemote(second, other)]
    third = upload("e/d")
    assert pair_moves([first, second, kept, other, third]) == [second, MoveRemote(first, kept), other, third]


def test_a_renamed_folder_of_equal_files_pairs_file_by_file() -> None:
    """Equal `__init__.py` files pair by the longest ending that both paths have (E02)."""
    names = ["__init__.py", "x/__init__.py", "x/y/__init__.py", "z/__init__.py", "z/y/__init__.py"]
    gone, new = [unsent(f"d/{name}") for name in names], [upload(f"e/{name}") for name in names]
    paired = pair_moves([*gone, *reversed(new)])
    # `d/__init__.py` ends as all others do: it is left over, and pairs last.
    assert paired == [MoveRemote(old, made) for old, made in reversed(list(zip(gone, new, strict=True)))]


def test_a_swap_is_two_edits() -> None:
    """f and g that traded names are two edits, and nothing is paired (E14)."""
    actions: list[Action] = [upload("f", NEW, over=OLD), upload("g", OLD, over=NEW)]
    assert pair_moves(actions) == actions
    actions = [download("f", NEW, over=OLD), download("g", OLD, over=NEW)]
    assert pair_moves(actions) == actions


def test_a_rotation_moves_only_what_left_its_name() -> None:
    """g -> h, f -> g: f left, so its content moved to g; what g held was never deleted, so h is sent."""
    gone, over, sent = unsent("f", OLD), upload("g", OLD, over=NEW), upload("h", NEW)
    assert pair_moves([gone, over, sent]) == [MoveRemote(gone, over), sent]


def test_a_move_over_a_file_is_a_move_in_the_bucket() -> None:
    """A server-side copy can replace a state; what stood there is named as replaced (E11)."""
    gone, over = unsent("f"), upload("g", OLD, over=NEW)
    assert pair_moves([gone, over]) == [MoveRemote(gone, over)]


def test_a_move_over_a_file_here_is_no_rename() -> None:
    """What stands there would have to leave first: the content at hand is copied instead."""
    actions: list[Action] = [discard("f"), download("g", OLD, over=NEW)]
    assert pair_moves(actions) == actions


def test_a_conflict_is_no_half() -> None:
    """A name that both sides edited is settled by itself (E12)."""
    actions: list[Action] = [discard("f"), KeepBoth(Path("g"), a_local(NEW), a_remote(OLD), 0o644)]
    assert pair_moves(actions) == actions


def test_unknown_content_is_no_half() -> None:
    """A foreign object whose bytes were not read cannot be known to be the file that left."""
    actions: list[Action] = [discard("f"), download("g", None)]
    assert pair_moves(actions) == actions


def test_no_copies_in_a_bucket_that_cannot_be_trusted_with_them() -> None:
    """`in_bucket` False leaves uploads and deletes as they are; renames here go on."""
    gone, new, leaving, arriving = unsent("f"), upload("g"), discard("h"), download("i")
    paired = pair_moves([gone, new, leaving, arriving], in_bucket=False)
    assert paired == [gone, new, MoveLocal(leaving, arriving)]


def parts(action: Action) -> list[Action]:
    """What a move stands for."""
    match action:
        case MoveRemote(delete, creation) | MoveLocal(delete, creation):
            return [delete, creation]
        case _:
            return [action]


names = st.lists(st.sampled_from("abc"), min_size=1, max_size=6).map("/".join)
kinds = st.sampled_from([upload, unsent, download, discard])


@given(
    st.lists(st.tuples(kinds, names, st.sampled_from([OLD, NEW, OTHER])), unique_by=lambda made: made[1]),
    st.booleans(),
)
def test_pairing_loses_and_invents_nothing(made: list, in_bucket: bool) -> None:  # type: ignore[type-arg]
    """A batch and its pairing have the same effects, each once, and a move's halves hold one content."""
    actions: list[Action] = [make(path, digest) for make, path, digest in made]
    paired = pair_moves(actions, in_bucket=in_bucket)
    assert Counter(part for action in paired for part in parts(action)) == Counter(actions)
    for action in paired:
        if isinstance(action, MoveRemote):
            assert in_bucket
            assert action.delete.base.digest == action.upload.local.digest
        if isinstance(action, MoveLocal):
            assert action.delete.base.digest == action.download.remote.digest
