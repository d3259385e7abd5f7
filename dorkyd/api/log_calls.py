"""Calls about the daemon's own log, as in `calls`."""

from __future__ import annotations

from dorkyd.api.calls import Call
from dorkyd.api.log_messages import Logging


def logging() -> Call[Logging]:
    """Where it goes."""
    return Call("GET", "/v1/logging", Logging)


def set_level(level: str) -> Call[Logging]:
    """How much is written."""
    return Call("POST", "/v1/logging", Logging, body={"level": level})
