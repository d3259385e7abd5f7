"""What both clients share of HTTP: where the daemon is, a request's form, and what an answer or none of it means."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import httpx2

from dorkyd.api import messages as m
from dorkyd.api.calls import Call
from dorkyd.api.failures import (
    KINDS,
    TYPE_PREFIX,
    ApiError,
    BadRequest,
    Failed,
    NotAllowed,
    NotRunning,
    Temporary,
)
from dorkyd.client.plans import Ask
from dorkyd.locate import find_socket, find_token
from dorkyd.peer import peer_uid

T = TypeVar("T", bound=m.Answer)

CONNECT_S = 5.0
MOST_CONNECTIONS = 64
REQUEST_ID = "X-Request-Id"
RETRY_FOR_S = 30.0
"""How long operations on artifacts are tried again, unless a client says otherwise."""
_BASE_URL = "http://dorkyd"
"""Over the socket only a name for the Host header: the socket decides who answers."""
_WAIT = re.compile(r"[0-9]{1,6}")
LIMITS = httpx2.Limits(max_connections=MOST_CONNECTIONS, max_keepalive_connections=MOST_CONNECTIONS)


class Reply(Generic[T]):
    """An answer: the body as it came, and the value it stands for (parsed when asked for)."""

    __slots__ = ("_answer", "body")

    def __init__(self, body: bytes, answer: type[T]) -> None:
        self.body = body
        self._answer = answer

    @property
    def value(self) -> T:
        """The body as its model."""
        return self._answer.model_validate_json(self.body)


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


def not_ours() -> ApiError:
    """The error of `is_foreign`."""
    return NotAllowed(
        "What answers on the socket is another user's process; nothing was sent to it.",
        code="foreign-daemon",
        hint="Run this as the user whose daemon it is, or set DORKY_HOME to a directory of yours.",
    )


def data_of(line: str) -> bytes:
    """The JSON of one line of either kind of stream; empty for lines that carry none."""
    if line.startswith("{"):
        return line.encode()
    return line[len("data: ") :].encode() if line.startswith("data: ") else b""


def no_answer(exc: Exception, place: Place, request_id: str) -> ApiError:
    """The error that a request without an answer is."""
    if isinstance(exc, httpx2.TimeoutException | TimeoutError):
        return Temporary(
            "The daemon did not answer in time.",
            code="timeout",
            hint="It may still be doing it; run `dorkyctl status`.",
            request_id=request_id,
        )
    if isinstance(exc, httpx2.ConnectError):
        tcp = place.socket_path is None
        return NotRunning(
            f"The daemon is not running (nothing answers on {place}).",
            code="daemon-not-running",
            hint="Run `dorkyctl up`" + (", and set `listen` in its configuration." if tcp else "."),
            request_id=request_id,
        )
    return NotRunning(
        "The daemon ended the connection without an answer.",
        code="connection-lost",
        hint="It is stopping, or runs as another user; run `dorkyctl status`.",
        request_id=request_id,
    )


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
