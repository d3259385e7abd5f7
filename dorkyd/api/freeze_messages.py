"""Messages about freezes."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import Field

from dorkyd.api.messages import Answer, Request

LEASE_S, LIMIT_S = 30.0, 3600.0


class FreezeRequest(Request):
    """Freeze a project, or say that whoever did still works."""

    holder: str = Field(default="a client", min_length=1, max_length=200)
    """Who it is, for people."""
    lease_s: float = LEASE_S
    """It is released when it is not renewed for so long, 2 to 600 seconds."""
    limit_s: float = LIMIT_S
    """It is released after so long in any case, seconds."""
    renew: bool = False
    """It is frozen already under this name, and stays so."""


class Freeze(Answer):
    """A project of which nothing leaves before it is released."""

    name: str
    holder: str
    lease_s: float
    left_s: float
    """Until it is released in any case, seconds."""


class Thawed(Answer):
    """How a freeze ended: all of it is in the bucket, but for what is a problem."""

    name: str
    changes: int
    """Paths that had waited."""
    batches: Sequence[str]
    """Atomic batches in which files went, of at most 500 each; none where there were fewer than two."""
