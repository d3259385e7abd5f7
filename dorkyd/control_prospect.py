"""What the API may ask about a bucket before a folder is paired with it. Any thread; every method asks the bucket."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dorkyd.core.report import Finding


@dataclass(frozen=True, slots=True)
class Wish:
    """Which bucket, as a person names it."""

    bucket: str
    endpoint_url: str | None = None
    region: str | None = None
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class Prospect:
    """What is there."""

    bucket: str
    """The URL in its one form."""
    project: str | None
    """The id of the project there; None: none was begun."""
    fingerprint: str | None
    """Of its keys, as the bucket claims, which proves nothing; None: it has none."""
    files: int
    bytes: int
    more: bool
    """There are more: they were not all counted."""
    names: Sequence[str]
    """Some of them."""
    newest: str | None
    """When an object changed last, RFC 3339 by the store's clock; None: there is none, or the store tells no times."""
    findings: Sequence[Finding]
    """What was tried, when that was asked for."""


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a teammate needs."""

    bucket: str
    project: str | None
    """None: the first sync has not begun the project yet."""
    fingerprint: str | None
    """As trusted here; None: the project has no keys."""


class ProspectControl(Protocol):
    """Looking before anything is paired."""

    def look(self, wish: Wish, *, try_it: bool) -> Prospect:
        """What is there. `try_it`: also try each right and condition, on throw-away objects. `Configuration` for a URL that is
        none; what reading raises when it cannot be read at all.
        """

    def invitation(self, name: str) -> Invitation:
        """For a project's `.dorky.yaml`. `Refused` (`no-such-project`)."""
