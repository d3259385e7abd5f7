"""How an opened project stands: what its status tells of what waits, and why. While it is not open, nothing does."""

from __future__ import annotations

from dataclasses import dataclass

from dorkyd.core.model import DeleteLocal, DeleteRemote, Path
from dorkyd.core.pace import Pace
from dorkyd.engine import Engine


@dataclass(frozen=True, slots=True)
class Standing:
    """See the module. Engine thread, but for `met`, `next_tries` and `waits_for_batch`, which any may ask."""

    engine: Engine

    @property
    def met(self) -> bool:
        """The bucket was proved and is this project's."""
        opened = self.engine.opened
        return opened is not None and opened.contact.met

    @property
    def deletions(self) -> list[DeleteLocal | DeleteRemote]:
        """Those that wait."""
        opened = self.engine.opened
        return [wait.action for wait in opened.deletions.waiting.values()] if opened is not None else []

    @property
    def stuck(self) -> set[Path]:
        """Paths that wait for a person. What failed in passing is still to be done."""
        opened = self.engine.opened
        return opened.retries.stuck() if opened is not None else set()

    @property
    def frozen(self) -> tuple[str, str] | None:
        """What a person is told while changes wait for a freeze to be released; None: none does."""
        opened = self.engine.opened
        return opened.freezing.told() if opened is not None and opened.freezing.not_now() else None

    @property
    def half_here(self) -> set[Path]:
        """Objects of atomic batches that are not complete, for which this folder waits."""
        opened = self.engine.opened
        return opened.batches.incomplete() if opened is not None else set()

    @property
    def half_told(self) -> str | None:
        """What a person is told while files of an atomic batch that is not complete are left out here; None: none are."""
        half = self.half_here
        return self.waits_for_batch(min(half)) if half else None

    def waits_for_batch(self, path: Path) -> str | None:
        """Why this path waits for the rest of an atomic batch; None: it does not."""
        opened = self.engine.opened
        return opened.batches.told_of(path) if opened is not None else None

    def next_tries(self) -> dict[Path, float]:
        """Seconds until each path that failed is tried again."""
        now = self.engine.clock.monotonic()
        opened = self.engine.opened
        waits = dict(opened.retries.waits) if opened is not None else {}
        return {path: max(0.0, retry.due - now) for path, retry in waits.items()}

    def list_every_s(self) -> float:
        """Seconds between two full listings, as things are."""
        opened = self.engine.opened
        if opened is not None:
            return opened.contact.list_every_s()
        return Pace(self.engine.project.list_every_s).interval_s(0)
