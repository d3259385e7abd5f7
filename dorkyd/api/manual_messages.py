"""Bodies of mode manual (`dorkyd.api.messages` has the rules they share)."""

from __future__ import annotations

from pydantic import Field

from dorkyd.api.messages import LONGEST_S, Answer, Page, Request, Said, Text

MOST_PATHS = 10_000
"""Named in one request."""


class ChangeItem(Answer):
    """One path that is staged, or not what was last pushed or pulled."""

    path: Text
    staged: str
    """`new`, `modified`, `mode` or `deleted`; empty: not staged."""
    outdated: bool
    """Staged over a state that a pull has replaced since."""
    changed: str
    """How the file differs, if not just as it is staged; empty: it does not."""
    behind: str
    """How the object differs; empty: it does not."""
    digest: str | None
    size: int
    version: str | None


class SkippedItem(Answer):
    """A path that was not staged, and why."""

    path: Text
    code: str
    detail: Text


class Staged(Page[ChangeItem]):
    """What is staged now of what was named."""

    skipped: list[SkippedItem] = Field(default_factory=list)


class Pushed(Answer):
    """A push that happened."""

    id: str
    """Of its commit."""
    seq: int
    message: Text
    author: Text
    device: Text
    time: str
    paths: int
    """Changes it made."""
    lost: list[Text]
    """Changed in the bucket meanwhile: the commit has what was pushed, the path what the other wrote."""
    told: bool
    """The bucket's log names it; false: it will, and so will all of it be in place."""


class PathsRequest(Request):
    """What to stage, or not any more. A folder, or `.` for the project, stands for all in it."""

    paths: list[Said] = Field(min_length=1, max_length=MOST_PATHS)


class MessageRequest(Request):
    """The message of the next push."""

    message: Said = Field(min_length=1)


class PushRequest(Request):
    """Send what is staged."""

    message: Said | None = None
    """None: the one written down before, or else how many paths from which device."""


class PullRequest(Request):
    """Bring what the bucket holds."""

    timeout_s: float | None = Field(default=None, ge=0, le=LONGEST_S, allow_inf_nan=False)
    """None: however long it takes."""
