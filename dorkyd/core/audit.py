"""The bucket's log as an audit: one line for each change, with who made it and from which version to which.

The words are those of the log: `put` (new content), `copy` (moved inside the store), `patch` (permission bits or metadata),
`delete`. Times are by the clock of whoever wrote; the order is the log's, which no clock decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dorkyd.core.logbook import Entry
from dorkyd.core.model import Path, Version

LOCAL_VERBS = {"put": ("put", "upload"), "delete": ("delete-local", "delete-remote"), "undo": ("undo", "not-undone")}
"""The same for what a device did itself, whose history has finer words."""
VERBS = {
    "upload": ("put",),
    "write": ("put", "copy"),
    "move": ("copy",),
    "set-mode": ("patch",),
    "annotate": ("patch",),
}
"""What else people may call an action when they filter."""


@dataclass(frozen=True, slots=True)
class AuditItem:
    """One change of one object."""

    number: int
    """Of the log's entry: a total order, the same for everybody."""
    place: int
    """In that entry."""
    at: str
    """RFC 3339, UTC, by the writer's clock."""
    device: str
    author: str
    """Empty: the writer told none."""
    replica: str
    """The folder it came from."""
    verb: str
    path: Path
    digest: str | None
    """What the object holds since; None: nothing, or not told."""
    size: int | None
    replaces: Version | None
    """The version it replaced or deleted; None: it created."""
    version: Version | None
    """The version it made; None: it deleted, or the writer did not learn it."""
    approved: bool = False
    """A person let this deletion pass a guard."""
    batch: str | None = None

    @property
    def cursor(self) -> str:
        """For `after`."""
        return f"{self.number}.{self.place}"


@dataclass(frozen=True, slots=True)
class Filter:
    """Which changes are asked for; None: all."""

    path: str | None = None
    """Or a folder, with a closing `/`."""
    who: str | None = None
    """A device, an author, or a part of an author's name."""
    verbs: tuple[str, ...] = ()
    """Empty: all."""
    since_ns: int | None = None
    """Not before this time, wall clock."""
    until_ns: int | None = None
    """Before this time."""


EVERYTHING = Filter()


def items_of(number: int, entry: Entry) -> Iterator[AuditItem]:
    """The changes of one entry."""
    for place, change in enumerate(entry.changes):
        yield AuditItem(
            number,
            place,
            entry.time,
            entry.device,
            entry.author,
            entry.replica,
            change.verb,
            change.path,
            change.digest,
            change.size,
            change.replaces,
            change.version,
            change.approved,
            entry.batch,
        )


def verbs_of(text: str) -> tuple[str, ...]:
    """The log's words for what a person calls an action."""
    return VERBS.get(text, (text,))
