"""What the API may ask of the daemon's own log. Any thread."""

from __future__ import annotations

from typing import Protocol


class LogsControl(Protocol):
    """Where it goes, and how much is written."""

    @property
    def to(self) -> str:
        """`journal`, `file` or `stderr`."""

    @property
    def file(self) -> str | None:
        """Its file, where it is one of ours."""

    @property
    def level(self) -> str:
        """`debug`, `info`, `warning` or `error`."""

    def set_level(self, level: str) -> None:
        """For this process's life."""
