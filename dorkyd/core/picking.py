"""Which of very many files a person wants to see."""

from __future__ import annotations

from dataclasses import dataclass, field

from dorkyd.core.ignore import Patterns
from dorkyd.core.report import FileItem
from dorkyd.core.states import FILE_STATES
from dorkyd.errors import Refused


@dataclass(frozen=True, slots=True)
class Picked:
    """Files that have all of what is said. What is None is not asked."""

    patterns: Patterns | None = None
    at_least: int | None = None
    """Bytes."""
    at_most: int | None = None
    state: str | None = None

    def takes(self, item: FileItem) -> bool:
        """Whether it is one of them."""
        return (
            (self.state is None or item.state == self.state)
            and (self.at_least is None or item.size >= self.at_least)
            and (self.at_most is None or item.size <= self.at_most)
            and (self.patterns is None or self.patterns.picks(item.path))
        )


@dataclass(frozen=True, slots=True)
class FilePage:
    """Some files, in order."""

    items: list[FileItem] = field(default_factory=list)
    """May be fewer than were asked for, or none, while more follow: looking stops after some time."""
    next: str | None = None
    """What the following page comes after; None: this is the last."""


def picked(patterns: tuple[str, ...], at_least: int | None, at_most: int | None, state: str | None) -> Picked | None:
    """None: all of them. `Refused` for a pattern or a state that is none."""
    if state is not None and state not in FILE_STATES:
        raise Refused(f"{state!r} is no state of a file", hint=f"one of {', '.join(FILE_STATES)}")
    if not patterns and at_least is None and at_most is None and state is None:
        return None
    try:
        return Picked(Patterns(patterns) if patterns else None, at_least, at_most, state)
    except Refused as exc:
        raise Refused(
            str(exc), code="bad-pattern", hint="write it as a line of .gitignore: *.parquet, /data/**"
        ) from exc
