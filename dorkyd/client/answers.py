"""What an answer that is an error means, and what none means. Apart from `wire`, so that nobody pays for an HTTP client who
only wants to know.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from dorkyd.api.failures import KINDS, TYPE_PREFIX, ApiError, Failed, NotAllowed, NotRunning, Temporary

REQUEST_ID = "X-Request-Id"
_WAIT = re.compile(r"[0-9]{1,6}")


def raise_for(status: int, headers: Mapping[str, str], body: bytes, request_id: str) -> None:
    """Raise the exception that a problem document stands for; do nothing for an answer."""
    if status < 400:
        return
    try:
        problem = json.loads(body)
        kind = str(problem["type"]).removeprefix(TYPE_PREFIX)
        detail, hint, code = str(problem["detail"]), str(problem.get("hint", "")), str(problem["code"])
    except (ValueError, KeyError, TypeError):
        kind, detail, hint, code = "", f"The daemon answered {status} without saying why.", "", "http"
    wait = headers.get("Retry-After", "")
    raise KINDS.get(kind, Failed)(
        detail,
        code=code,
        hint=hint,
        status=status,
        retry_after_s=float(wait) if _WAIT.fullmatch(wait) else None,
        body=body,
        request_id=headers.get(REQUEST_ID, request_id),
    )


def not_ours() -> ApiError:
    """What answers on the socket is another user's."""
    return NotAllowed(
        "What answers on the socket is another user's process; nothing was sent to it.",
        code="foreign-daemon",
        hint="Run this as the user whose daemon it is, or set DORKY_HOME to a directory of yours.",
    )


def not_running(place: str, request_id: str, *, tcp: bool = False) -> ApiError:
    """Nothing answers."""
    return NotRunning(
        f"The daemon is not running (nothing answers on {place}).",
        code="daemon-not-running",
        hint="Run `dorkyctl up`" + (", and set `listen` in its configuration." if tcp else "."),
        request_id=request_id,
    )


def too_slow(request_id: str) -> ApiError:
    """It did not answer in time."""
    return Temporary(
        "The daemon did not answer in time.",
        code="timeout",
        hint="It may still be doing it; run `dorkyctl status`.",
        request_id=request_id,
    )


def cut_off(request_id: str) -> ApiError:
    """It ended the connection."""
    return NotRunning(
        "The daemon ended the connection without an answer.",
        code="connection-lost",
        hint="It is stopping, or runs as another user; run `dorkyctl status`.",
        request_id=request_id,
    )
