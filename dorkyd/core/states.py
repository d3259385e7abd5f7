"""The words for a project's state and for why it halted. Apart from `report`, since a command that prints them needs no more."""

from __future__ import annotations

from enum import StrEnum


class State(StrEnum):
    """A project's state, as `status` names it."""

    IN_SYNC = "in-sync"
    SYNCING = "syncing"
    PAUSED = "paused"
    HALTED = "halted"
    OFFLINE = "offline"
    AUTH_EXPIRED = "auth-expired"
    ERROR = "error"


class HaltReason(StrEnum):
    """Why a project stopped until a person decides."""

    MASS_DELETE = "mass-delete"
    ROOT_MISSING = "root-missing"
    ROOT_EMPTIED = "root-emptied"
    REMOTE_EMPTIED = "remote-emptied"
    FOLDER_COPIED = "folder-copied"
    FOLDER_REWOUND = "folder-rewound"
    REMOTE_REWOUND = "remote-rewound"


NO_FILES = frozenset({"symlink", "special", "mount", "bad-name", "case-clash", "kept-folder"}) | frozenset(
    {"unsafe-key", "reserved-name", "name-too-long", "bad-path"}
)
"""Codes of problems of what never is a file on one of the sides: what is done to a folder is complete without it."""

FILE_STATES = ("synced", "local", "remote", "problem", "changing")
"""Of one path: `FileItem.state`."""
