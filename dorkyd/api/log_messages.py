"""Messages about the daemon's own log."""

from __future__ import annotations

from typing import Literal

from dorkyd.api.messages import Answer, Request

Level = Literal["debug", "info", "warning", "error"]


class Logging(Answer):
    """Where the daemon's log goes, and how much of it is written."""

    to: Literal["journal", "file", "stderr"]
    file: str | None
    """Its path, where it is a file of the daemon's own."""
    level: Level


class LevelRequest(Request):
    """What is less than this is not logged, until the daemon ends."""

    level: Level
