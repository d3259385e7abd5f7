"""What the API may ask of a project in mode manual. From any thread; every method blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from dorkyd.core.report import ChangeItem, ManualStatus, PushResult, SkippedItem, SyncResult


class ManualControl(Protocol):
    """Stage, push, pull. `Refused` (`mode`) in any other mode, but for `unstage` and `changes`."""

    def changes(self, after: str, limit: int) -> Sequence[ChangeItem]:
        """At most `limit` paths that are staged, or not what was last pushed or pulled, in order, after `after`."""

    def stage(self, paths: Sequence[str]) -> tuple[Sequence[ChangeItem], Sequence[SkippedItem]]:
        """Keep these paths as they are for the next push; a folder, or `.` for the project, stands for all that differs in
        it. Returns what is staged now of it, and what could not be. `Refused`: `ignored`, `not-here`.
        """

    def unstage(self, paths: Sequence[str]) -> Sequence[ChangeItem]:
        """Stage these no more; files stay as they are. Returns them. `Refused`: `not-staged`."""

    def reword(self, message: str) -> ManualStatus:
        """Write down the message of the next push. `Refused`: `nothing-staged`, `bad-message`."""

    def push(self, message: str | None) -> PushResult:
        """Send what is staged. `message` None: what `reword` wrote down. `Refused`: `nothing-staged`, `remote-moved`,
        `outdated`, `pulling`, `clash`, `ignored`. `Transient` (`outcome-unknown`) when only a later look can tell.
        """

    def pull(self, *, timeout_s: float | None) -> SyncResult:
        """Bring what the bucket holds; local edits stay, and two edits become a conflict copy. Goes on by itself after
        `timeout_s`.
        """
