"""`DorkyClient` and `AsyncDorkyClient`: the daemon's API, typed, over its Unix socket or over TCP.

What to send and what an answer means is written down once, without I/O: single calls in `dorkyd.api.calls`, operations on
artifacts as *plans* (`dorkyd.client.plans`). The two clients only carry requests: `blocking` and `awaiting`. Both raise the
exceptions of `dorkyd.api.failures`.

A single call is never tried again: an answer that did not arrive may still have been acted on. Operations on artifacts are,
since each carries a key by which the daemon knows a request again.

A command asks a few things and ends: `brief` does without the HTTP library.

Each name is imported when it is first used: who blocks needs no asyncio.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dorkyd.client.artifacts import Fetched
    from dorkyd.client.awaiting import AsyncArtifact, AsyncBatch, AsyncDorkyClient
    from dorkyd.client.blocking import Batch, DorkyClient
    from dorkyd.client.bodies import Progress
    from dorkyd.client.replies import Reply

__all__ = ["AsyncArtifact", "AsyncBatch", "AsyncDorkyClient", "Batch", "DorkyClient", "Fetched", "Progress", "Reply"]

_PLACES = {
    "Fetched": "artifacts",
    "AsyncArtifact": "awaiting",
    "AsyncBatch": "awaiting",
    "AsyncDorkyClient": "awaiting",
    "Batch": "blocking",
    "DorkyClient": "blocking",
    "Progress": "bodies",
    "Reply": "replies",
}


def __getattr__(name: str) -> Any:
    """The first use of a name."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415  for this alone

    found = globals()[name] = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    return found
