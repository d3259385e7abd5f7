"""What every request passes before a route sees it: a target that is text, and a body that ends. Each gets an id.

A target is decoded leniently further in, where what is not UTF-8 becomes a replacement character: another name than the one
that was asked for. So it is refused here. The id is the client's own or a new one; an answer carries it, and so does the
log where we failed, so that a person's report leads to what happened. Bodies of routes are small documents; the one that streams is a PUT.
A request that the daemon's end cuts off is told so.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
from urllib.parse import unquote_to_bytes

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dorkyd.api import problems

_log = logging.getLogger("dorkyd.api")

REQUEST_ID = b"x-request-id"
_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
MOST_BODY_BYTES = 2**20
BODY_S = 30.0
"""How long a whole document may take to arrive."""


class Gate:
    """See the module. An ASGI application around another."""

    def __init__(self, app: ASGIApp, *, body_s: float = BODY_S) -> None:
        self._app = app
        self._body_s = body_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        send = _Sending(_identified(scope, send))
        try:
            await self._ask(scope, receive, send)
        except asyncio.CancelledError:
            # Only a server that stops cancels a request. What was asked may have happened or not, as when a connection is lost.
            if send.begun:
                raise
            await problems.stopping()(scope, receive, send)

    async def _ask(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not _is_text(scope["raw_path"]) or not _is_text(scope["query_string"]):
            await problems.not_text()(scope, receive, send)
        elif scope["method"] == "PUT":
            await self._app(scope, receive, send)
        elif _declared(scope) > MOST_BODY_BYTES:
            await problems.too_large(MOST_BODY_BYTES)(scope, receive, send)
        else:
            await self._app(scope, _bounded(receive, self._body_s), send)


class _Sending:
    """`send`, and whether an answer has begun."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.begun = False

    async def __call__(self, message: Message) -> None:
        self.begun = True
        await self._send(message)


def _identified(scope: Scope, send: Send) -> Send:
    said = next((value for key, value in scope["headers"] if key == REQUEST_ID), b"")
    request_id = said if _ID.fullmatch(said) else secrets.token_hex(8).encode()

    async def identified(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (REQUEST_ID, request_id)]}
            if message["status"] == 500:
                _log.error("verb=answer outcome=500 request=%s", request_id.decode())
        await send(message)

    return identified


def _is_text(encoded: bytes) -> bool:
    """Percent-decoded it is UTF-8 without NUL, which no path, name or setting can have."""
    try:
        text = unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        return False
    return "\0" not in text


def _declared(scope: Scope) -> int:
    """Content-Length, which the protocol below has found to be a number; 0: not said."""
    return next((int(value) for key, value in scope["headers"] if key == b"content-length"), 0)


def _bounded(receive: Receive, body_s: float) -> Receive:
    """`receive`, for a body of at most `MOST_BODY_BYTES` that arrives in time. After it, as it was."""
    taken, ended = 0, False
    deadline = asyncio.get_running_loop().time() + body_s

    async def bounded() -> Message:
        nonlocal taken, ended
        if ended:
            return await receive()
        try:
            async with asyncio.timeout_at(deadline):
                message = await receive()
        except TimeoutError:
            ended = True
            return {"type": "http.disconnect"}
        taken += len(message.get("body", b""))
        ended = not message.get("more_body", False)
        if taken > MOST_BODY_BYTES:
            raise HTTPException(413)
        return message

    return bounded
