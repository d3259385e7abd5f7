"""What came of what a person asked about commits."""

from __future__ import annotations

from dataclasses import dataclass

from dorkyd.core.commits import CommitId, Header, Named
from dorkyd.core.model import Path


@dataclass(frozen=True, slots=True)
class Made:
    """A commit that was made."""

    named: Named
    conflicts: tuple[Path, ...]
    """Conflict copies that it holds: somebody may want to settle them."""


@dataclass(frozen=True, slots=True)
class Unlike:
    """A path that is not as the commit has it, and why."""

    path: Path
    why: str


@dataclass(frozen=True, slots=True)
class CheckedOut:
    """What a checkout did."""

    id: CommitId
    header: Header
    placed: int = 0
    """Files put in place."""
    modes: int = 0
    """Files whose permission bits alone were set."""
    taken_out: int = 0
    """Files that the commit does not have, now in the trash."""
    same: int = 0
    """Files that were as the commit has them."""
    unlike: tuple[Unlike, ...] = ()
    """What is not as the commit has it all the same; empty: the folder is exactly that."""


@dataclass(frozen=True, slots=True)
class Collected:
    """What a collection did, or would do."""

    commits: tuple[int, ...] = ()
    """Numbers of the commits removed."""
    condemned: int = 0
    """Contents that no commit needs and that stay for now."""
    condemned_bytes: int = 0
    removed: int = 0
    """Contents removed."""
    removed_bytes: int = 0
    timeless: bool = False
    """The store tells no times, so that nothing ever is old enough to be removed."""
