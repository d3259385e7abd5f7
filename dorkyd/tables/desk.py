"""A project's tables for the API: `dorkyd.control_tables.TableControl`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dorkyd.contents import Contents
from dorkyd.tables import notices
from dorkyd.tables.looking import Looked, Tables


@dataclass(frozen=True, slots=True)
class TableDesk:
    """See `TableControl` for what each promises."""

    tables: Tables
    tell: Callable[[], None]
    """Publishes the status anew. Engine thread."""

    def look(self, path: str, at: str | None, *, head: int, columns: Sequence[str] | None) -> Looked:
        """One state of a table."""
        return self.tables.look(path, at, head=head, columns=columns)

    def dismiss(self) -> None:
        """The notices were read."""
        engine = self.tables.engine

        def dismiss() -> None:
            if engine.journal is not None:
                notices.seen(engine.journal)
                self.tell()

        Contents(engine).ask(dismiss)
