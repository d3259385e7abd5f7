"""What the API may ask of a project's tables. Every method may be called from any thread, and blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from dorkyd.tables.looking import Looked


class TableControl(Protocol):
    """A project's tables. `Refused` (`no-table`, `unreadable-table`, `hard-table`, `no-such-column`, `no-such-path`,
    `no-such-version`, `too-much`); `Transient` while the bucket, which has it, cannot be asked.
    """

    def look(self, path: str, at: str | None, *, head: int, columns: Sequence[str] | None) -> Looked:
        """What one state of a table is. `PATH@VERSION` is understood; `at` None: the file here, else the object. `head`: with
        so many of its first rows, 0 for none, of these `columns` (None: of the first ones).
        """

    def dismiss(self) -> None:
        """A person has read what `status` says of changed tables."""
