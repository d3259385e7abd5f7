"""One GET over the Unix socket, by the standard library alone: what a prompt or a script asks every few seconds must not cost a
third of a second of imports. Everything else is `DorkyClient`.
"""

from __future__ import annotations

import os
import socket
from http.client import HTTPConnection, HTTPException

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
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(min(CONNECT_S, self.timeout or CONNECT_S))
        self.sock.connect(self._path)
        if peer_uid(self.sock) != os.geteuid():
            raise not_ours()
        self.sock.settimeout(self.timeout)


def get(path: str, *, patience_s: float = ANSWER_S) -> bytes:
    """The body of an answer. `path` is percent-encoded. Raises what `DorkyClient.send` does."""
    place, request_id = find_socket(), os.urandom(8).hex()
    connection = OverSocket(place, patience_s)
    try:
        connection.request("GET", path, headers={REQUEST_ID: request_id})
        answer = connection.getresponse()
        body = answer.read()
    except TimeoutError as exc:
        raise too_slow(request_id) from exc
    except (FileNotFoundError, ConnectionRefusedError) as exc:
        raise not_running(place, request_id) from exc
    except (OSError, HTTPException) as exc:
        raise (cut_off(request_id) if connection.sock is not None else not_running(place, request_id)) from exc
    finally:
        connection.close()
    raise_for(answer.status, dict(answer.headers), body, request_id)
    return body
