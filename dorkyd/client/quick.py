"""Requests over the Unix socket by the standard library alone: what a prompt or a script asks every few seconds, and most commands,
must not cost a third of a second of imports. Artifacts, TCP and programs are `DorkyClient`'s.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from http.client import HTTPConnection, HTTPException, HTTPResponse
from typing import Any

from dorkyd.client.answers import REQUEST_ID, cut_off, not_ours, not_running, raise_for, too_slow
from dorkyd.locate import find_socket
from dorkyd.peer import peer_uid

ANSWER_S = 60.0
"""As `calls.ANSWER_S`."""
CONNECT_S = 5.0


class OverSocket(HTTPConnection):
    """To the daemon on the socket at `path`. An answer is waited for `patience_s`; None: however long it takes."""

    def __init__(self, path: str, patience_s: float | None) -> None:
        super().__init__("dorkyd", timeout=patience_s)
        self._path = path

    def connect(self) -> None:
        """`NotAllowed` where another user's process answers: it gets nothing from us."""
        reaching = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            reaching.settimeout(min(CONNECT_S, self.timeout or CONNECT_S))
            reaching.connect(self._path)
            if peer_uid(reaching) != os.geteuid():
                raise not_ours()
        except BaseException:
            reaching.close()
            raise
        reaching.settimeout(self.timeout)
        self.sock = reaching  # from here on somebody was there


def get(path: str, *, patience_s: float = ANSWER_S) -> bytes:
    """The body of an answer. `path` is percent-encoded. Raises what `DorkyClient.send` does."""
    return ask("GET", path, patience_s=patience_s)


def ask(
    method: str, path: str, document: Mapping[str, Any] | None = None, *, patience_s: float | None = ANSWER_S
) -> bytes:
    """The same with another method, and a JSON body. `patience_s` None: as long as it takes."""
    with answering(method, path, document, patience_s=patience_s) as answer:
        return answer.read()


@contextmanager
def answering(
    method: str, path: str, document: Mapping[str, Any] | None = None, *, patience_s: float | None = ANSWER_S
) -> Iterator[HTTPResponse]:
    """The same, while it comes: an answer that is no error."""
    place, request_id = find_socket(), os.urandom(8).hex()
    headers = {REQUEST_ID: request_id}
    body = None
    if document is not None:
        headers["Content-Type"] = "application/json"
        body = json.dumps(document, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
    with closing(OverSocket(place, patience_s)) as connection:
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            if answer.status >= 400:
                raise_for(answer.status, dict(answer.headers), answer.read(), request_id)
            yield answer
        except TimeoutError as exc:
            raise too_slow(request_id) from exc
        except (FileNotFoundError, ConnectionRefusedError) as exc:
            raise not_running(place, request_id) from exc
        except (OSError, HTTPException) as exc:
            raise (cut_off(request_id) if connection.sock is not None else not_running(place, request_id)) from exc
