"""What a person should know of conversions, remembered in the journal: files of which no table was made, or not all of it."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field

from dorkyd.contents import Contents
from dorkyd.core.model import Digest, Path
from dorkyd.core.printable import printable
from dorkyd.core.report import Warning as Told
from dorkyd.engine import Engine

KEPT = "convert"
"""The journal's word for it."""
MOST_TOLD = 5
_log = logging.getLogger("dorkyd.tables")


@dataclass(frozen=True, slots=True)
class Shortfall:
    """Of a path, in one of its states."""

    content: Digest
    by: str
    """`siblings.manner`."""
    code: str
    detail: str
    hint: str
    final: bool
    """This content is not tried again in this manner."""

    def is_of(self, content: Digest, by: str) -> bool:
        """It speaks of this state."""
        return (self.content, self.by) == (content, by)


@dataclass(slots=True)
class Shortfalls:
    """For one project. Changed by one thread, told to any."""

    engine: Engine
    _known: dict[Path, Shortfall] = field(default_factory=dict)

    def __iter__(self) -> Iterator[Path]:
        return iter(list(self._known))

    def __contains__(self, path: Path) -> bool:
        return path in self._known

    def __bool__(self) -> bool:
        return bool(self._known)

    def of(self, path: Path) -> Shortfall | None:
        """What is known of a path."""
        return self._known.get(path)

    def told(self) -> tuple[Told, ...]:
        """For the status."""
        found = sorted(self._known.copy().items())
        told = [Told(each.code, f"{path}: {each.detail}", each.hint) for path, each in found[:MOST_TOLD]]
        if len(found) > MOST_TOLD:
            what = f"{len(found) - MOST_TOLD} more files could not be converted, or not all of each"
            told.append(Told("convert-more", what, "the daemon's log names them"))
        return tuple(told)

    def note(self, path: Path, found: Shortfall | None) -> None:
        """Remember it, also over a restart; None: nothing is to be told."""
        if found is not None:
            detail, hint = (printable(text, keep="") for text in (found.detail, found.hint))
            found = dataclasses.replace(found, detail=detail, hint=hint)
        if self._known.get(path) == found:
            return
        if found is None:
            del self._known[path]
        else:
            self._known[path] = found
        text = json.dumps({each: dataclasses.asdict(known) for each, known in self._known.items()})

        def keep() -> None:
            journal = self.engine.journal
            if journal is not None:
                with journal.atomic():
                    journal.put(KEPT, text)

        Contents(self.engine).ask(keep)
        self.engine.wake()

    def recall(self) -> None:
        """What was remembered before."""
        read = lambda: self.engine.journal.get(KEPT) if self.engine.journal is not None else None
        text = Contents(self.engine).ask(read)
        try:
            self._known = {Path(path): Shortfall(**known) for path, known in json.loads(text or "{}").items()}
        except (TypeError, ValueError, AttributeError):
            # Another version's: what is still so is found again.
            _log.warning("verb=convert outcome=not-understood")
            self._known = {}
