"""Calls about a bucket that no folder is paired with yet, as in `calls`."""

from __future__ import annotations

from dorkyd.api.calls import Call, given, of_project
from dorkyd.api.prospect_messages import Invitation, Prospect, ProspectRequest

PATIENCE_S = 300.0
"""Trying each right takes some forty requests, on a slow line a while."""


def prospect(wish: ProspectRequest) -> Call[Prospect]:
    """What is there."""
    return Call("POST", "/v1/prospect", Prospect, body=given(wish.model_dump()), patience_s=PATIENCE_S)


def invitation(project: str) -> Call[Invitation]:
    """What a teammate needs."""
    return Call("GET", of_project(project, "invitation"), Invitation)
