"""Mode manual: how a path's sides differ, as a person is told, from the action that the mode took away. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from dorkyd.core.model import (
    Action,
    Base,
    DeleteLocal,
    DeleteRemote,
    Download,
    Fetch,
    KeepBoth,
    Local,
    PatchMode,
    SetMode,
    Upload,
)


class Differs(StrEnum):
    """How a side differs from base."""

    NOT = ""
    NEW = "new"
    """Base does not have it."""
    MODIFIED = "modified"
    DELETED = "deleted"
    MODE = "mode"
    """Its permission bits alone."""


@dataclass(frozen=True, slots=True)
class Apart:
    """A path that is not what was last pushed or pulled. At least one side differs."""

    here: Differs
    """The folder's: what `stage` and `push` would send."""
    there: Differs
    """The bucket's: what `pull` would bring. Not `NOT`: the path is behind."""


def apart(action: Action, base: Base | None, local: Local | None) -> Apart | None:
    """What a taken-away action says of its path. None: nothing that a person is told of.

    An edit here of what is gone there is not behind: an edit beats a deletion, and a pull would leave it alone.
    """
    match action:
        case Upload():
            return Apart(_edited(base), Differs.NOT)
        case PatchMode():
            return Apart(Differs.MODE, Differs.NOT)
        case DeleteRemote():
            return Apart(Differs.DELETED, Differs.NOT)
        case Download() | KeepBoth() | Fetch():
            return Apart(_here(base, local), _edited(base))
        case DeleteLocal():
            return Apart(Differs.NOT, Differs.DELETED)
        case SetMode():
            return Apart(Differs.NOT, Differs.MODE)
        case _:
            return None


def _edited(base: Base | None) -> Differs:
    return Differs.NEW if base is None else Differs.MODIFIED


def _here(base: Base | None, local: Local | None) -> Differs:
    if local is None:
        return Differs.NOT if base is None else Differs.DELETED
    if base is None:
        return Differs.NEW
    return Differs.NOT if local.digest == base.digest else Differs.MODIFIED
