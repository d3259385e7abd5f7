"""What the API may ask about a project's freeze. From any thread; every method blocks."""

from __future__ import annotations

from typing import Protocol

from dorkyd.core.report import Freeze, Thawed


class FreezeControl(Protocol):
    """Nothing leaves the project before it is released, and then all of it together."""

    def freeze(self, name: str, holder: str, *, lease_s: float, limit_s: float) -> Freeze:
        """Freeze it, under a name that the holder made up; the same again renews it. `Refused` (`frozen`: somebody else did,
        `mode`: nothing leaves it by itself, `bad-lease`), and what `GET /status` tells where the project is not open.
        """

    def renew(self, name: str) -> Freeze:
        """The holder lives. `Refused` (`no-such-freeze`) when it is over."""

    def release(self, name: str | None) -> Thawed:
        """Let all of it go (None: whoever holds it); returns once the bucket's log tells of its batches. May be repeated.
        `Refused` (`no-such-freeze`), `Transient` (`not-told-yet`).
        """
