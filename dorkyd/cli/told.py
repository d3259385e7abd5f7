"""One thing that was done, as a line for people."""

from __future__ import annotations

from dorkyd.api.messages import LogItem
from dorkyd.cli.units import size


def done(item: LogItem) -> str:
    """One thing done, for people."""
    amount = "" if item.size is None else f"  {size(item.size)}"
    detail = f"  {item.detail}" if item.detail else ""
    return f"{item.at}  {item.device}  {item.verb:<13}  {item.path}{amount}{detail}"
