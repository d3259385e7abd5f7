"""Bodies about commits: they mirror `dorkyd.core.commits` and `dorkyd.core.committed`."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dorkyd.api.messages import Answer, Page, Request, Said, Text

LONGEST_LOCK = 64 * 1024 * 1024
"""Characters of a lock file."""
CommitName = Annotated[Said, Field(min_length=1, max_length=64)]
"""A commit's id, or its beginning."""


class CommitItem(Answer):
    """One commit, without its files."""

    id: str
    seq: int
    parent: str | None
    author: Text
    device: Text
    time: str
    """RFC 3339, UTC, by the author's clock."""
    message: Text
    files: int
    bytes: int


class CommitFileItem(Answer):
    """One file of a commit."""

    path: Text
    digest: str
    """Of an encrypted file its keyed digest, `hmac-sha256:`."""
    size: int | None
    """None: it is encrypted."""
    version: str | None
    mode: int | None
    epoch: str | None
    """Of an encrypted file: whose key opens it."""


class CommitDocument(CommitItem):
    """One commit, and a page of its files."""

    items: list[CommitFileItem]
    next: str | None


class Committed(CommitItem):
    """A commit that was made."""

    conflicts: list[Text]
    """Conflict copies that it holds."""


class DifferenceItem(Answer):
    """One path that two states do not agree on; what the second has, or where it has none, the first."""

    path: Text
    kind: str
    """`added`, `removed`, `changed`, `mode` where the permission bits alone differ, or `unknown`: see `waits`."""
    digest: str
    size: int | None
    """None: it is encrypted."""
    version: str | None
    mode: int | None
    before_digest: str | None
    before_size: int | None
    before_mode: int | None
    waits: Text
    """Why it cannot be said here whether the content differs: the key that is missing. Empty: it can."""


class UnlikeItem(Answer):
    """A path that is not as the commit has it, and why."""

    path: Text
    why: Text


class CheckedOut(Answer):
    """What a checkout did."""

    id: str
    seq: int
    placed: int
    modes: int
    taken_out: int
    same: int
    unlike: list[UnlikeItem]
    """Empty: the folder, or what of it was asked for, is exactly the commit."""


class LockDocument(Answer):
    """The text of a lock file."""

    commit: str
    text: Text


class Collected(Answer):
    """What a collection did, or would do."""

    commits: list[int]
    """Numbers of the commits removed."""
    condemned: int
    """Contents that no commit needs: a run a day from now removes them."""
    condemned_bytes: int
    removed: int
    removed_bytes: int
    timeless: bool
    """The store tells no times, so that nothing is ever old enough to be removed."""
    dry_run: bool


class CommitRequest(Request):
    """Commit the project."""

    message: Annotated[Said, Field(max_length=64 * 1024)]


class CheckoutRequest(Request):
    """Bring a commit back: by its id, or exactly as the text of a lock file says."""

    commit: CommitName | None = None
    lock: Annotated[Said, Field(max_length=LONGEST_LOCK)] | None = None
    paths: list[Said] = Field(default_factory=list)
    """None: all of it, and what it does not have goes to the trash."""
    overwrite: bool = False


class CollectRequest(Request):
    """Remove what is past its retention. Neither: every commit stays."""

    keep_last: Annotated[int, Field(ge=1, le=10**9)] | None = None
    keep_days: Annotated[float, Field(ge=0, le=36_500)] | None = None
    dry_run: bool = False


CommitPage = Page[CommitItem]
