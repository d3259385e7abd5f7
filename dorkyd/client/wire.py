"""What both clients share of HTTP: where the daemon is, a request's form, and what an answer or none of it means."""

from __future__ import annotations

import ipaddress
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx2

from dorkyd.api.calls import Call
from dorkyd.api.failures import (
    ApiError,
    BadRequest,
)
from dorkyd.client.answers import REQUEST_ID, cut_off, not_running, too_slow
from dorkyd.client.plans import Ask
from dorkyd.locate import find_socket, find_token
from dorkyd.peer import peer_uid

CONNECT_S = 5.0
MOST_CONNECTIONS = 64
RETRY_FOR_S = 30.0
"""How long operations on artifacts are tried again, unless a client says otherwise."""
_BASE_URL = "http://dorkyd"
"""Over the socket only a name for the Host header: the socket decides who answers."""
LIMITS = httpx2.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=MOST_CONNECTIONS)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the daemon is asked."""

    base_url: str
    socket_path: str | None
    """None: over TCP."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Sent with every request; may hold the token."""

    @property
    def is_tls(self) -> bool:
        """Certificates are looked at, and loaded, only where there are any."""
        return self.base_url.startswith("https:")

    def __str__(self) -> str:
        return self.socket_path or self.base_url


def place_of(where: str | None, token: str | None) -> Place:
    """A socket's path or a URL; None: where the running daemon says it is. Raises `BadRequest` for a URL that is none of
    these, or to which a token must not be sent.
    """
    if where is None or "://" not in where:
        return Place(_BASE_URL, where or find_socket())
    try:
        url = httpx2.URL(where)
    except httpx2.InvalidURL:
        url = httpx2.URL("")
    if url.scheme not in {"http", "https"} or not url.host:
        raise BadRequest(f"{where} is no address of a daemon.", code="bad-address", hint="Write http://localhost:3000.")
    if url.scheme == "http" and not _is_loopback(url.host):
        raise BadRequest(
            f"{url.host} is another machine: the token would cross the network in the clear.",
            code="not-loopback",
            hint="Use a tunnel: ssh -L 3000:localhost:3000.",
        )
    # The daemon's own token is for this machine; whoever asks elsewhere has said which one to send.
    found = token or (find_token() if _is_loopback(url.host) else None)
    headers = {} if found is None else {"Authorization": f"Bearer {found}"}
    return Place(where.rstrip("/"), None, headers)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


# --- requests ---------------------------------------------------------------------------------------------------------


def ask_of(call: Call[Any]) -> Ask:
    """A call as a request."""
    return Ask(call.method, call.path, call.query, document=call.body, patience_s=call.patience_s)


def new_id() -> str:
    """By which the daemon's log and an error tell of one request."""
    return secrets.token_hex(8)


def request_of(ask: Ask, request_id: str) -> dict[str, Any]:
    """What httpx is given, but for a body, which is read in each client's own way."""
    headers = {**ask.headers, REQUEST_ID: request_id}
    if ask.body is not None and ask.body.size is not None:
        headers["Content-Length"] = str(ask.body.size)
    return {
        "method": ask.method,
        "url": ask.path,
        "params": dict(ask.query),
        "json": ask.document,
        "headers": headers,
        "timeout": httpx2.Timeout(ask.patience_s, connect=CONNECT_S),
    }


def is_foreign(uid: int, event: str, info: Mapping[str, Any]) -> bool:
    """Whether a connection was just made to another user's process. Such a one gets nothing from us, not even a path.

    https://www.encode.io/httpcore/extensions/#trace: the event comes between connecting and the first byte.
    """
    if event != "connection.connect_unix_socket.complete":
        return False
    return peer_uid(info["return_value"].get_extra_info("socket")) != uid


def own_uid(uid: int | None) -> int:
    """Whose daemon must answer on the socket."""
    return os.geteuid() if uid is None else uid


# --- answers ----------------------------------------------------------------------------------------------------------


def no_answer(exc: Exception, place: Place, request_id: str) -> ApiError:
    """The error that a request without an answer is."""
    if isinstance(exc, httpx2.TimeoutException | TimeoutError):
        return too_slow(request_id)
    if isinstance(exc, httpx2.ConnectError):
        return not_running(str(place), request_id, tcp=place.socket_path is None)
    return cut_off(request_id)
