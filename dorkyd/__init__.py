"""dorkyd keeps project folders in two-way sync with a bucket the team owns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dorkyd.client import AsyncDorkyClient, DorkyClient

__version__ = "0.1.0"
__all__ = ["AsyncDorkyClient", "DorkyClient", "__version__"]


def __getattr__(name: str) -> Any:
    """Import the clients when they are first named: the daemon and its core need no HTTP client."""
    if name in {"AsyncDorkyClient", "DorkyClient"}:
        import dorkyd.client

        return getattr(dorkyd.client, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
