"""Connections: whose they may be, how many, and how long one may take to say what it wants.

All come from this user, so this is not a defence against an enemy. It keeps a program that leaks connections, or one
that stalls, from using up the descriptors that sync needs and from keeping other clients out.
"""

from __future__ import annotations

import asyncio
from typing import cast

import h11
from fastapi.responses import Response
from uvicorn.protocols.http.h11_impl import H11Protocol

from dorkyd.api import problems
from dorkyd.api.sending import CONNECTION
from dorkyd.peer import peer_uid

MOST_CONNECTIONS = 256
"""At one time. Past that the one that asked for nothing the longest gives way, and if all are being answered, the new
one does. A thousand descriptors is what systems commonly allow a process."""
HEADERS_S = 15.0
"""How long a connection may stay without a whole request, also between two: longer than clients keep one to use it again
(httpx: 5 s), so that none is closed under a request that is just being sent."""


def only_from(
    allowed_uid: int | None, *, most: int = MOST_CONNECTIONS, headers_s: float = HEADERS_S
) -> type[asyncio.Protocol]:
    """The protocol that speaks to one user and hangs up on all others, before a byte is read.

    None: whoever it is, where a kernel does not tell (TCP). Then something else must ask (`dorkyd.api.admission`).
    """
    idle: dict[OwnUid, None] = {}
    """Connections without a request under way, those that have been so for the longest first."""

    class OwnUid(H11Protocol):
        _refused = False
        _patience: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            # First super: it records the connection, which the abort below takes back.
            super().connection_made(cast("asyncio.Transport", transport))
            self.app_state = {**self.app_state, CONNECTION: self}
            stranger = allowed_uid is not None and peer_uid(transport.get_extra_info("socket")) != allowed_uid
            full = len(self.connections) > most
            if stranger or (full and not idle):
                self.hang_up()
                return
            if full:
                next(iter(idle)).hang_up()
            self._note()

        def connection_lost(self, exc: Exception | None) -> None:
            self._forget()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            if self._refused:
                return
            super().data_received(data)
            self._note()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._note()

        def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the base class's words, which tell less
            """What is not HTTP. In the middle of an answer there is no place for another one."""
            if self.cycle is not None and not self.cycle.response_complete:
                self.cycle.disconnected = True
                self.cycle.message_event.set()
            if self.conn.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
                self.transport.abort()
                return
            refusal = problems.not_http()
            self._send(h11.Response(status_code=refusal.status_code, headers=_closing(refusal), reason=b"Bad Request"))
            self._send(h11.Data(data=bytes(refusal.body)))
            self._send(h11.EndOfMessage())
            self.transport.close()

        def _send(self, event: h11.Event) -> None:
            self.transport.write(self.conn.send(event) or b"")

        def hang_up(self) -> None:
            """End it without a word."""
            self._refused = True
            self._forget()
            self.connections.discard(self)
            self.transport.abort()

        def _note(self) -> None:
            """Keep in mind since when there is no request. A byte now and then does not begin the time anew."""
            if self.transport.is_closing() or (self.cycle is not None and not self.cycle.response_complete):
                self._forget()
            elif self not in idle:
                idle[self] = None
                self._patience = self.loop.call_later(headers_s, self.hang_up)

        def _forget(self) -> None:
            idle.pop(self, None)
            if self._patience is not None:
                self._patience.cancel()
                self._patience = None

    return OwnUid


def _closing(response: Response) -> list[tuple[bytes, bytes]]:
    return [*response.raw_headers, (b"connection", b"close")]
