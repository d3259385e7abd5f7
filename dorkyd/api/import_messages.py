"""Bodies of `POST /v1/import-dorky`. They mirror `dorkyd.core.npm_plan`."""

from __future__ import annotations

from pydantic import Field

from dorkyd.api.messages import Answer, Notice, Request, Said, Text
from dorkyd.core.npm_plan import Standing


class ImportRequest(Request):
    """A project of the npm tool to adopt."""

    path: Said = Field(min_length=1)
    """Absolute."""
    dry_run: bool = False
    """Answer with the plan, and change nothing."""
    bucket: Said | None = None
    """None: as its credentials.json names it, below the folder's name."""
    name: Said | None = None
    endpoint_url: Said | None = None
    region: Said | None = None
    profile: Said | None = None
    everything: bool = False
    """Sync the whole folder, also files that the npm tool was never given."""
    retire: bool = False
    """Move the npm tool's files from `.dorky/` to `.dorky/npm/`."""
    history: bool = False
    """`POST …/import-dorky-history` follows: a folder that is a project already is no reason to refuse."""
    token: Said | None = None
    """Of the plan that a person agreed to: another one is refused. None: whatever it is now."""


class ImportItem(Answer):
    """One file of the plan."""

    path: Text
    standing: Standing
    """`same` joined as it is · `unproved` fetched once to compare · `differs` the object and a conflict copy · `only-here`
    sent · `only-there` fetched · `nowhere` tracked, and on neither side.
    """
    size: int | None
    """Bytes, of the object where there is one."""
    digest: str | None
    """`md5:…` of the object, else of the file; null: not known."""
    version: str | None
    """Of the object."""
    tracked: bool
    detail: Text


class HistoryCopies(Answer):
    """The npm tool's history in the bucket: it stays as it is."""

    pushes: int
    ids: int
    objects: int
    bytes: int
    unknown_ids: list[Text]
    repeated_ids: list[Text]
    missing: int
    differing: int


class ImportPlan(Answer):
    """What adopting does, or did."""

    done: bool = False
    """False: a dry run, nothing was changed."""
    name: str
    path: Text
    bucket: Text
    region: str | None
    storage: Text
    items: list[ImportItem]
    next: None = None
    counts: dict[str, int]
    """Files by standing."""
    history: HistoryCopies
    untracked: int
    untracked_bytes: int
    everything: bool
    ignore: list[Text]
    """Patterns for the project's settings."""
    moves: list[Text]
    """Files of `.dorky/` that go to `.dorky/npm/`."""
    token: str
    warnings: list[Notice]


class ImportedHistory(Answer):
    """How the npm tool's history became commits."""

    pushes: int
    commits: int
    made: int
    """Just now: the others were there."""
    missing: int
    """Files without a copy in the bucket: the commits are without them, and say so."""
    differing: int
    """Files whose copy is not what history.json says: the commits have the copy, and say so."""
    head: str
    """The id of the last commit."""
