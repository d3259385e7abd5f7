"""Bodies about a project's past: they mirror `dorkyd.core.past` and `dorkyd.core.audit` field by field."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from dorkyd.api.messages import LONGEST_S, Answer, FileItem, Page, Request, Said, Text
from dorkyd.api.table_messages import TableDifference


class HistoryItem(Answer):
    """One state of a path."""

    path: Text
    digest: str | None
    size: int | None
    version: str | None
    at: str | None
    """RFC 3339: when it was written; None: not known."""
    until: str | None
    """When it was replaced or deleted; None: it stands, or nobody knows."""
    device: Text | None
    mode: int | None
    current: bool
    kept: list[str]
    """Where its bytes are: `bucket`, `trash` (the folder's), `bucket-trash`, `versions` (the store's own). Empty: nowhere
    that is known, so that it cannot be restored.
    """


class History(Page[HistoryItem]):
    """The states of a path, newest first."""

    retention: Text
    """How long states are kept, for people."""
    missing: Text
    """Why the bucket could not be asked; empty: it was."""


class OutcomeItem(Answer):
    """What came of one path."""

    path: Text
    digest: str | None
    size: int | None
    version: str | None
    mode: int | None
    done: bool
    """False: it was left as it is, for the reason in `detail`."""
    detail: Text
    code: str


class Restored(FileItem):
    """What came back: a file, or with a closing `/` what was restored of a folder, all in `items`."""

    digest: str | None = None
    items: list[OutcomeItem]


class Undone(Page[OutcomeItem]):
    """What an undo did, or with `dry_run` would do."""

    action: str
    at: str
    """When the action ended."""
    device: Text
    """Whose change it was."""
    verbs: dict[str, int]
    """How many paths it changed in which way."""
    dry_run: bool


class Emptied(Answer):
    """What was removed from a trash for good."""

    removed: int
    bytes: int
    kept: int
    """Items that were meant and stayed: written to since, or still needed."""


class DiffSide(Answer):
    """One of two states that are compared."""

    label: Text
    digest: str | None
    size: int | None
    version: str | None
    there: bool


class Difference(Answer):
    """How two states of a path differ."""

    path: Text
    kind: str
    """`same`, `text`, `binary` (told by digest and size), `masked` (no value of a secret), or `table`."""
    before: DiffSide
    after: DiffSide
    text: str
    """A unified diff; empty where there is none to show."""
    table: TableDifference | None = None
    """Of two tables."""


class AuditItem(Answer):
    """One change of one object, by anyone running dorkyd."""

    number: int
    """Of the log's entry: the order is the same for everybody."""
    place: int
    """In that entry."""
    at: str
    """RFC 3339, by the writer's clock."""
    author: Text
    device: Text
    replica: str
    verb: str
    """`put`, `copy` (moved), `patch` (permission bits or metadata) or `delete`."""
    path: Text
    digest: str | None
    size: int | None
    replaces: str | None
    """The version before; None: there was none."""
    version: str | None
    """The version since; None: it is deleted, or the writer did not learn it."""
    approved: bool
    batch: str | None


class Audit(Page[AuditItem]):
    """Changes in the order of the bucket's log."""

    retention: Text


class RestoreRequest(Request):
    """Bring a file or folder back as a new version."""

    path: Said = Field(min_length=1)
    """`PATH@VERSION` is understood; a closing `/` means all of a folder."""
    at: Said | None = Field(default=None, min_length=1)
    """A version, a digest, a name in a trash, or a time (`2h`, `2026-11-20T10:00`)."""
    to: Said | None = Field(default=None, min_length=1)
    """Another place in the project, which must be free."""


class UndoRequest(Request):
    """Take back the last action of sync."""

    dry_run: bool = False


class EmptyTrashRequest(Request):
    """Remove what is in a trash for good."""

    where: Literal["folder", "bucket"] = "folder"
    path: Said | None = Field(default=None, min_length=1)
    """Only of this path, or with a closing `/` of this folder."""
    older_than_s: float | None = Field(default=None, ge=0, le=LONGEST_S, allow_inf_nan=False)
    """Only what was put away longer ago."""
