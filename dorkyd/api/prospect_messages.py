"""Messages about a bucket that no folder is paired with yet."""

from __future__ import annotations

from pydantic import Field

from dorkyd.api.messages import Answer, Finding, Request, Said, Text


class ProspectRequest(Request):
    """A bucket to look at."""

    bucket: Said = Field(min_length=1)
    endpoint_url: Said | None = None
    region: Said | None = None
    profile: Said | None = None
    try_it: bool = False
    """Also try each right and condition, on throw-away objects."""


class Prospect(Answer):
    """What is there."""

    bucket: str
    """The URL in its one form."""
    project: Text | None
    """The id of the project there; None: none was begun."""
    fingerprint: Text | None
    """Of its keys, as the bucket claims; None: it has none."""
    files: int
    bytes: int
    more: bool
    """There are more: they were not all counted."""
    names: list[Text]
    """Some of them."""
    newest: str | None
    """When an object changed last, by the store's clock; None: there is none, or the store tells no times."""
    findings: list[Finding]
    """What was tried."""


class Invitation(Answer):
    """What a teammate needs to join: it is what `.dorky.yaml` says."""

    bucket: str
    project: Text | None
    """None: the first sync has not begun the project yet."""
    fingerprint: Text | None
    """As trusted here; None: the project has no keys."""
