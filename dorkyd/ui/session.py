"""Who may see the page: the one browser that came with the token, which is good once.

Two secrets are needed from then on. A cookie does not know its port: a browser sends it to whatever server another user of this
machine runs on the loopback. So it is not enough by itself; every request for data carries a key as well, which was told once and lies
in the browser's storage for exactly this host and port (`docs/decisions/0097-a-cookie-does-not-know-its-port.md`).
"""

from __future__ import annotations

import secrets
import threading
from dataclasses import dataclass, field

SECRET_BYTES = 32


def secret() -> str:
    """What nobody guesses."""
    return secrets.token_urlsafe(SECRET_BYTES)


@dataclass(slots=True)
class Session:
    """See the module. From any thread. Nothing of it is shown by `repr`."""

    port: int
    token: str = field(default_factory=secret, repr=False)
    """In the address that is printed."""
    cookie: str = field(default_factory=secret, repr=False)
    key: str = field(default_factory=secret, repr=False)
    _spent: bool = False
    _guard: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def spent(self) -> bool:
        """Some browser has come."""
        return self._spent

    def spend(self, token: str) -> bool:
        """True once: for the first who has the token."""
        if not _same(token, self.token):
            return False
        with self._guard:
            first, self._spent = not self._spent, True
        return first

    @property
    def cookie_name(self) -> str:
        """Of this server alone: others on this machine have cookies for the same host."""
        return f"dorky-ui-{self.port}"

    def set_cookie(self) -> str:
        """The header that gives it to the browser, until that ends."""
        return f"{self.cookie_name}={self.cookie}; HttpOnly; SameSite=Strict; Path=/"

    def knows(self, header: str | None) -> bool:
        """The request's cookies have ours."""
        # Read by hand: one odd cookie of another server on this machine makes the library see none of them.
        pairs = [part.strip().partition("=") for part in (header or "").split(";")]
        return any(_same(value, self.cookie) for name, _, value in pairs if name == self.cookie_name)

    def has_key(self, header: str | None) -> bool:
        """The request comes from our page."""
        return _same(header or "", self.key)


def _same(said: str, secret: str) -> bool:
    return secrets.compare_digest(said.encode(), secret.encode())
