"""Who is let in over TCP, where no kernel says who asks. Everything needs the token; a browser is never let in.

A page from anywhere can make its reader's browser send requests to this machine's loopback, and with a name that its
owner points at 127.0.0.1 (DNS rebinding) even read the answers. Such a request names the page's host in `Host`, or the
page in `Origin`: both are looked at before the token, so that a page does not even learn whether a token is right.
"""

from __future__ import annotations

import hmac
import ipaddress
import re
from collections.abc import Callable

from fastapi.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from dorkyd.api import problems

_HOST = re.compile(rb"(?:\[([0-9A-Fa-f:.]+)\]|([^\[\]:]+))(?::[0-9]*)?")
_BEARER = re.compile(rb"bearer +(\S+)", re.IGNORECASE)


def only_with(token: str) -> Callable[[ASGIApp], ASGIApp]:
    """What stands before an application that is reachable over TCP."""
    return lambda app: _Admission(app, token.encode())


class _Admission:
    def __init__(self, app: ASGIApp, token: bytes) -> None:
        self._app = app
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = self._refusal(scope)
        await (self._app if refusal is None else refusal)(scope, receive, send)

    def _refusal(self, scope: Scope) -> Response | None:
        if scope["type"] != "http":
            return problems.foreign("protocol")
        hosts, origins, said = (_all(scope, name) for name in (b"host", b"origin", b"authorization"))
        if len(hosts) != 1 or not _is_loopback(hosts[0]):
            return problems.foreign("host")
        # Programs send none, and the pages that may ask us are those we serve: none.
        if origins:
            return problems.foreign("origin")
        if not said:
            return problems.no_token()
        given = _BEARER.fullmatch(said[0].strip()) if len(said) == 1 else None
        if given is None or not hmac.compare_digest(given[1], self._token):
            return problems.wrong_token()
        return None


def _all(scope: Scope, name: bytes) -> list[bytes]:
    return [value for key, value in scope["headers"] if key == name]


def _is_loopback(host: bytes) -> bool:
    """Of any port: a tunnel (`ssh -L`) has its own, and a page cannot choose the host that its browser names."""
    found = _HOST.fullmatch(host.lower())
    if found is None:
        return False
    if found[2] == b"localhost":
        return True
    try:
        address = ipaddress.ip_address((found[1] or found[2]).decode("ascii"))
    except ValueError:
        return False
    return address.is_loopback and (found[1] is None) == (address.version == 4)
