"""What is told of histories, restores and undoing: immutable values, as `dorkyd.core.report` has for the present."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from dorkyd.core.differing import Compared
from dorkyd.core.model import Digest, Path, Version

if TYPE_CHECKING:
    from dorkyd.tables.changes import TableDifference


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One state of a path."""

    path: Path
    digest: Digest | None
    size: int | None
    version: Version | None
    at: str | None
    """RFC 3339: when it was written; None: not known."""
    until: str | None
    """When it was replaced or deleted; None: it stands, or nobody knows."""
    device: str | None
    mode: int | None
    current: bool
    """It is what the bucket holds now."""
    kept: Sequence[str]
    """Where its bytes are: `bucket`, `trash` (the folder's), `bucket-trash`, `versions`. Empty: no place is known."""


@dataclass(frozen=True, slots=True)
class History:
    """The states of a path, newest first."""

    items: Sequence[HistoryItem]
    retention: str
    """How long states are kept, for people."""
    missing: str
    """Why the bucket could not be asked, so that there may be more; empty: it was."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one path."""

    path: Path
    """Where it is now."""
    digest: Digest | None
    """Of what stands there now; None: nothing does."""
    size: int | None
    mode: int | None
    done: bool
    detail: str = ""
    """Where it was left as it is: why."""
    code: str = ""
    version: Version | None = None
    """The store's, of the state that came back; None: not known."""


@dataclass(frozen=True, slots=True)
class Undone:
    """What an undo did, or would do."""

    action: str
    at: str
    """RFC 3339: when the action ended."""
    device: str
    """Whose change it was."""
    verbs: Mapping[str, int]
    """How many paths were changed in which way."""
    items: Sequence[Outcome]


@dataclass(frozen=True, slots=True)
class Emptied:
    """What was removed from a trash for good."""

    removed: int
    bytes: int
    kept: int
    """Items that were meant and stayed: written to since, or still needed."""


@dataclass(frozen=True, slots=True)
class Side:
    """One of two states that are compared."""

    label: str
    """What it is, for people."""
    digest: Digest | None
    size: int | None
    version: Version | None
    there: bool = True
    """False: nothing is."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How two states of a path differ."""

    path: Path
    before: Side
    after: Side
    compared: Compared
    table: TableDifference | None = None
    """How they differ as tables; None: one of them is none."""


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of one state of a path, open to be read. Whoever gets it closes `body`."""

    path: Path
    digest: Digest
    size: int
    version: Version | None
    """None: the store's is not known."""
    body: BinaryIO
