"""What the API may ask about projects of the npm tool `dorky`. Beside `dorkyd.control`, which says the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from dorkyd.core.npm_plan import ImportPlan


@dataclass(frozen=True, slots=True)
class ImportWish:
    """Which folder, and what a person said about it."""

    path: str
    """Absolute."""
    bucket: str | None = None
    """None: as its credentials.json names it, below the folder's name. `s3://bucket` alone gets the folder's name too."""
    name: str | None = None
    endpoint_url: str | None = None
    region: str | None = None
    """None: as its credentials.json says."""
    profile: str | None = None
    everything: bool = False
    """Sync the whole folder, also what the npm tool was never given."""
    retire: bool = False
    """Move the npm tool's files to `.dorky/npm/`."""
    history: bool = False
    """Its history is to become commits afterwards: a folder that is a project already is no reason to refuse."""
    token: str | None = None
    """Of the plan that was shown; None: whatever it is now."""


@dataclass(frozen=True, slots=True)
class ImportedHistory:
    """How a history became commits."""

    pushes: int
    """In history.json."""
    commits: int
    """That they make; a push that changes nothing makes none."""
    made: int
    """Just now: the others were there."""
    missing: int
    """Files of pushes of which the bucket has no copy: the commits are without them, and say so."""
    differing: int
    """Files whose copy is not what history.json says: the commits have the copy, and say so."""
    head: str
    """The id of the last commit."""


class ImportControl(Protocol):
    """Adopting projects of the npm tool. From any thread; reads the whole folder and lists the bucket.

    `Refused`: `no-such-npm-project`, `npm-malformed`, `npm-encrypted`, `google-drive`, `no-bucket`, `already-imported`,
    `prefix-in-use`, `too-many-patterns`, and `refused-by-guard` when the plan is no longer the one of the token. `Configuration` as for `add`,
    `AuthExpired`, `Denied` and `Transient` of the bucket.
    """

    def plan(self, wish: ImportWish) -> ImportPlan:
        """What `carry_out` would do. Changes nothing, anywhere."""

    def carry_out(self, wish: ImportWish) -> ImportPlan:
        """Make it a project, which starts syncing, and move the npm tool's files where that was asked."""
