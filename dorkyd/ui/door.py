"""Whether a request may pass, from its head alone. Pure: what is decided here touches nothing.

It names us by an address of this machine (a page of `evil.example` whose name was made to lead to 127.0.0.1 does not), comes
from our own page or a person (other pages on this machine do not), and brings what only our browser has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dorkyd.ui.session import Session

KEY = "x-dorky-key"
START = "/start"
"""Where the token is spent: a person follows a link to it, from wherever it was shown."""
_READS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True, slots=True)
class Asked:
    """The head of a request."""

    method: str
    path: str
    """Without the query."""
    headers: Mapping[str, str]
    """By lower-case name; a name that came twice has both values, which no rule takes for one."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why it may not."""

    code: str
    detail: str


def refusal(asked: Asked, session: Session) -> Refusal | None:
    """None: it may."""
    headers = asked.headers
    hosts = {f"127.0.0.1:{session.port}", f"localhost:{session.port}"}
    host = headers.get("host", "")
    if host not in hosts:
        return Refusal("other-host", "This page is at 127.0.0.1, under no other name.")
    if asked.method not in {*_READS, "POST"}:
        return Refusal("method", "That is not done here.")
    is_start = asked.path == START and asked.method == "GET"
    if headers.get("sec-fetch-site", "none") not in {"same-origin", "none"} and not is_start:
        return Refusal("other-origin", "Another page asked for this.")
    origin = headers.get("origin")
    if (origin is not None or asked.method == "POST") and origin != f"http://{host}" and not is_start:
        return Refusal("other-origin", "Another page asked for this.")
    if is_start:
        return None
    if not session.knows(headers.get("cookie")):
        return Refusal("no-session", "This browser has no part in this page.")
    if (asked.method == "POST" or asked.path.startswith("/v1/")) and not session.has_key(headers.get(KEY)):
        return Refusal("no-key", "This tab has no part in this page.")
    return None
