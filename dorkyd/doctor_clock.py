"""What `doctor` says of this machine's clock, by the times that the store gives its objects."""

from __future__ import annotations

from dorkyd.core.report import Finding

CLOCK_OFF_S = 300.0
"""S3 refuses requests signed 15 minutes off; well before that something is wrong."""
_SECOND_NS = 1_000_000_000


def clock_offset_s(modified: int, before_ns: int, after_ns: int) -> float:
    """How far our clock is ahead of the store's, in seconds; negative: behind. `modified` is what the store says of a
    write that began and ended at these times of ours, in whole seconds, rounded down.
    """
    earliest_ns, latest_ns = modified * _SECOND_NS, (modified + 1) * _SECOND_NS
    if before_ns > latest_ns:
        return (before_ns - latest_ns) / _SECOND_NS
    if after_ns < earliest_ns:
        return (after_ns - earliest_ns) / _SECOND_NS
    return 0.0


def clock_finding(offset_s: float) -> Finding:
    """Is our clock near enough to the store's? Nothing is decided by it, but stores refuse requests signed far off."""
    if abs(offset_s) <= CLOCK_OFF_S:
        return Finding("clock", ok=True, detail=f"this machine's clock is within {abs(offset_s):.0f} s of the bucket's")
    way = "ahead of" if offset_s > 0 else "behind"
    detail = f"this machine's clock is {abs(offset_s):.0f} s {way} the bucket's"
    hint = "set it: `sudo timedatectl set-ntp true` (macOS: `sudo sntp -sS time.apple.com`)"
    return Finding("clock", ok=False, detail=detail, hint=hint, code="clock-off")
