"""What is not done even though the table says so.

Two filters, both pure. `allowed` takes away what a project's mode forbids. `vet` does not believe too many deletions at
once: it tells them from all else, for a halt that names exactly those. While a project is halted its engine carries out
nothing, the rest of the batch neither: it is decided anew afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dorkyd.core.model import (
    Action,
    BeginUpload,
    DeleteLocal,
    DeleteRemote,
    Download,
    Fetch,
    KeepBoth,
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
from dorkyd.core.settings import Guard, Mode

_WRITES_FOLDER = (Download, DeleteLocal, KeepBoth, MoveLocal, SetMode, StepAside)
WRITES_BUCKET = (Upload, BeginUpload, DeleteRemote, MoveRemote, PatchMode)

Delete = DeleteLocal | DeleteRemote


def allowed(action: Action, mode: Mode) -> Action | Problem | None:
    """The action as the mode has it: unchanged, taken away (None), or, where taking it away would leave two edits
    facing each other for ever, a problem.
    """
    if mode is Mode.BUCKET and isinstance(action, _WRITES_FOLDER + WRITES_BUCKET):
        return None
    if mode is Mode.MANUAL and isinstance(action, (*_WRITES_FOLDER, *WRITES_BUCKET, Fetch)):
        return None
    if mode is Mode.PUSH and isinstance(action, KeepBoth):
        return Problem(
            action.path,
            "conflict-in-push-mode",
            "edited here and in the bucket, and mode push never writes the folder",
            "make the two equal by hand, or set mode: two-way",
        )
    if mode is Mode.PUSH and isinstance(action, _WRITES_FOLDER):
        return None
    if mode is Mode.PULL and isinstance(action, WRITES_BUCKET):
        return None
    return action


@dataclass(frozen=True, slots=True)
class Vetted:
    """What the guard believes, and what a person must see first."""

    go: tuple[Action, ...]
    """All that is not held back; to be carried out only if nothing is."""
    held: tuple[Delete, ...]
    """Deletions past the guard; empty: no halt."""


def approval_key(delete: Delete) -> tuple[Path, Version]:
    """What an approval names: this path in this state. A state without a version is approved by its digest."""
    return delete.path, delete.base.version or Version(delete.base.digest)


def vet(
    actions: Iterable[Action],
    *,
    guard: Guard,
    files: int,
    recent_local: int,
    recent_remote: int,
    is_approved: Callable[[Delete], bool],
    lives_elsewhere: Callable[[Delete], bool],
) -> Vetted:
    """Hold back deletions of one direction when, with those of the guard's window, they are past the guard.

    `files` is how many paths base holds; `recent_*` how many counted deletions that direction saw in the window. Not
    counted: approved ones, and those whose content both sides hold at another path.
    """
    actions = list(actions)
    held: list[Delete] = []
    for kind, recent in ((DeleteLocal, recent_local), (DeleteRemote, recent_remote)):
        counted: list[Delete] = [
            a for a in actions if isinstance(a, kind) and not is_approved(a) and not lives_elsewhere(a)
        ]
        if counted and _past(guard, len(counted) + recent, files + recent):
            held += counted
    held_ids = {id(a) for a in held}
    return Vetted(tuple(a for a in actions if id(a) not in held_ids), tuple(held))


def _past(guard: Guard, deletions: int, files: int) -> bool:
    if deletions > guard.max:
        return True
    return deletions > guard.files and deletions * 100 > guard.percent * max(files, 1)


def counted(actions: Sequence[Action]) -> list[Delete]:
    """The deletions among actions (halves of moves are none)."""
    return [a for a in actions if isinstance(a, DeleteLocal | DeleteRemote)]
