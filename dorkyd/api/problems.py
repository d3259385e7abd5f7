"""Exceptions become problem documents (RFC 9457). The only place that knows which error has which HTTP status.

A message that a person must see is passed on as it is. An exception that nobody foresaw says only that it happened: its
text may quote anything, so it stays in the daemon's log.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException
from starlette.routing import Match

from dorkyd.api.failures import TYPE_PREFIX
from dorkyd.api.messages import Problem
from dorkyd.errors import (
    AuthExpired,
    Busy,
    Configuration,
    Denied,
    DiskFull,
    DorkyError,
    Integrity,
    NewerSchema,
    PathProblem,
    Refused,
    Stale,
    Transient,
    UnsafeStore,
)

MEDIA_TYPE = "application/problem+json"
LEAST_RETRY_S = 1
LONGEST_ECHO = 200
"""Of a path or a field's name that was sent, so many characters are told back."""
MOST_TOLD = 10
"""Wrong fields of one request that are told."""

KINDS: Sequence[tuple[type[DorkyError], int, str, str]] = (
    # The first class that fits decides, so subclasses stand before their parents.
    (Transient, 503, "temporary", "Try again later"),
    (Stale, 409, "stale", "The world changed meanwhile"),
    (Configuration, 422, "configuration", "The configuration is wrong"),
    (Denied, 403, "denied", "The store refuses this action"),
    (AuthExpired, 403, "auth", "Credentials are missing, wrong or expired"),
    (Integrity, 502, "integrity", "Bytes are not what their digest says"),
    (UnsafeStore, 409, "unsafe-store", "The store ignores a condition that safety rests on"),
    (DiskFull, 507, "disk-full", "No space left"),
    (Busy, 409, "busy", "Somebody else holds it"),
    (NewerSchema, 409, "newer-schema", "Written by a newer dorkyd"),
    (PathProblem, 409, "path", "This path cannot sync"),
    (Refused, 400, "refused", "The request was refused"),
    (DorkyError, 500, "error", "The daemon could not do it"),
)

_STATE = (409, "state", "The project or path is in a state that does not allow it")
_KEYS = (403, "auth", "This machine's key does not open that")
BY_CODE: Mapping[str, tuple[int, str, str]] = {
    "refused-by-guard": (409, "guard", "A safety guard refused"),
    "npm-project": (409, "guard", "A safety guard refused"),
    "precondition-failed": (412, "precondition", "The condition does not hold"),
    "key-reused": (422, "invalid-request", "The key belongs to another request"),
    "key-in-use": (409, "temporary", "The request is under way"),
    "bad-metadata": (422, "invalid-request", "The metadata cannot be stored"),
    "metadata-too-large": (422, "invalid-request", "The metadata cannot be stored"),
    "no-such-commit": (404, "not-found", "There is no such commit"),
    **dict.fromkeys(("nothing-to-commit", "not-settled", "local-edits", "not-exact", "lock-differs"), _STATE),
    **dict.fromkeys(("halted", "paused", "frozen", "mode", "ignored", "clash"), _STATE),
    **dict.fromkeys(("keys-exist", "member-exists", "last-member"), _STATE),
    **dict.fromkeys(("no-key", "no-list", "key-locked", "key-untrusted", "key-file", "cannot-sign"), _KEYS),
    **dict.fromkeys(("wrong-passphrase", "other-fingerprint"), _KEYS),
    **dict.fromkeys(
        ("key-list", "key-list-rewound"), (502, "integrity", "The bucket's member list is not to be trusted")
    ),
    **dict.fromkeys(("nothing-staged", "not-staged", "remote-moved", "outdated", "pulling", "not-here"), _STATE),
}
"""Codes that say more than their class."""


def install(app: FastAPI) -> None:
    """Answer every error of this application with a problem document."""
    app.add_exception_handler(DorkyError, _known)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unforeseen)


def answer(
    status: int, kind: str, title: str, detail: str, *, hint: str, code: str, headers: Mapping[str, str] | None = None
) -> Response:
    """One problem document as a response."""
    body = Problem(type=TYPE_PREFIX + kind, title=title, status=status, detail=detail, hint=hint, code=code)
    return Response(body.model_dump_json(), status, headers=headers, media_type=MEDIA_TYPE)


def not_http() -> Response:
    """The answer to bytes that are not HTTP/1.1."""
    return answer(
        400,
        "invalid-request",
        "Bad Request",
        "What was sent is not an HTTP/1.1 request.",
        hint="See RFC 9112; lines and headers together may have 64 KiB.",
        code="not-http",
    )


def not_text() -> Response:
    """The answer to a target that names nothing: not UTF-8 when decoded, or with a NUL in it."""
    return answer(
        400,
        "invalid-request",
        "Bad Request",
        "The request's path or query is not UTF-8 when percent-decoded, or holds a NUL.",
        hint="Percent-encode the UTF-8 bytes of every name.",
        code="not-text",
    )


_FOREIGN = {
    "host": (
        "The request's Host names no address of this machine's loopback.",
        "Use localhost or 127.0.0.1 in the address.",
    ),
    "origin": ("The request comes from a web page.", "Browsers are not served; ask from a program."),
    "protocol": ("Only HTTP requests are served.", ""),
}


def foreign(what: str) -> Response:
    """The answer to a request over TCP that a web page may have caused. `what`: host, origin or protocol."""
    detail, hint = _FOREIGN[what]
    return answer(403, "denied", "Not from here", detail, hint=hint, code=f"foreign-{what}")


_WHERE = (
    "Send `Authorization: Bearer TOKEN`; the token is in the file `token` of the daemon's state directory. DorkyClient finds it"
    " there as the daemon's user with the same DORKY_HOME; elsewhere set DORKY_TOKEN or give `token=`."
)


def no_token() -> Response:
    """The answer over TCP to a request without a token."""
    headers = {"WWW-Authenticate": 'Bearer realm="dorkyd"'}
    told = "Over TCP every request needs the token."
    return answer(401, "denied", "Who asks?", told, hint=_WHERE, code="token-missing", headers=headers)


def wrong_token() -> Response:
    """The answer over TCP to a token that is not ours (RFC 6750, section 3)."""
    headers = {"WWW-Authenticate": 'Bearer realm="dorkyd", error="invalid_token"'}
    told = "This is not the token of this daemon."
    return answer(401, "denied", "Who asks?", told, hint=_WHERE, code="token-wrong", headers=headers)


def stopping() -> Response:
    """The answer to a request that the daemon's end cuts off: it may have happened, and can be asked again."""
    return answer(
        503,
        "temporary",
        "Try again later",
        "The daemon is stopping: it is not known how this request ended.",
        hint="ask again when it runs; `dorkyctl up` starts it",
        code="stopping",
        headers={"Retry-After": str(LEAST_RETRY_S), "Connection": "close"},
    )


def too_large(most_bytes: int) -> Response:
    """The answer to a document past the limit."""
    return answer(
        413,
        "invalid-request",
        "Content Too Large",
        f"The body is larger than {most_bytes} bytes.",
        hint="GET /openapi.json describes every request.",
        code="too-large",
    )


def _known(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, DorkyError)
    status, kind, title = next(row[1:] for row in KINDS if isinstance(exc, row[0]))
    if isinstance(exc, Refused) and exc.code.startswith("no-such-"):
        status, kind, title = 404, "not-found", "There is no such thing"
    status, kind, title = BY_CODE.get(exc.code, (status, kind, title))
    headers = {}
    if isinstance(exc, Transient):
        headers["Retry-After"] = str(max(LEAST_RETRY_S, math.ceil(exc.retry_after_s or 0)))
    return answer(status, kind, title, str(exc), hint=exc.hint, code=exc.code, headers=headers)


def _invalid(_request: Request, exc: Exception) -> Response:
    """Says where and why; never echoes the value that was sent, which may be a secret in the wrong field."""
    assert isinstance(exc, RequestValidationError)
    wrong = exc.errors()
    more = f" (and {len(wrong) - MOST_TOLD} more)" if len(wrong) > MOST_TOLD else ""
    return answer(
        422,
        "invalid-request",
        "The request is not valid",
        "; ".join(_spot(error)[:LONGEST_ECHO] for error in wrong[:MOST_TOLD]) + more,
        hint="GET /openapi.json describes every request.",
        code="invalid-request",
    )


def _spot(error: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in error["loc"])
    return f"{place}: {error['msg']}"


_HTTP: Mapping[int, tuple[str, str, str]] = {
    408: ("too-slow", "temporary", "The body did not arrive in time."),
    416: ("bad-range", "invalid-request", "There are no such bytes."),
    400: (
        "unreadable-body",
        "invalid-request",
        "The body is a part, did not arrive whole and in time, or is not JSON.",
    ),
    404: ("no-such-route", "not-found", ""),
    405: ("method-not-allowed", "invalid-request", ""),
    411: (
        "length-required",
        "invalid-request",
        "A body needs Content-Length, 0 for an empty one, or Transfer-Encoding: chunked.",
    ),
    415: ("content-encoding", "invalid-request", "A body is stored as it comes: send it without Content-Encoding."),
    413: ("too-large", "invalid-request", "The body is too large."),
}
"""What the framework refuses: code, kind, and what to say; "": what was asked for."""


def _http(request: Request, exc: Exception) -> Response:
    """What the router itself refuses: no such route, the wrong method on one, a body that cannot be read."""
    assert isinstance(exc, HTTPException)
    phrase = HTTPStatus(exc.status_code).phrase
    code, kind, detail = _HTTP.get(exc.status_code, ("http", "refused", ""))
    return answer(
        exc.status_code,
        kind,
        phrase,
        detail or f"{request.method} {request.url.path[:LONGEST_ECHO]}: {phrase.lower()}.",
        hint="GET /openapi.json lists what there is.",
        code=code,
        headers={"Allow": _allowed(request)} if exc.status_code == HTTPStatus.METHOD_NOT_ALLOWED else exc.headers,
    )


_METHODS = ("DELETE", "GET", "HEAD", "PATCH", "POST", "PUT")


def _allowed(request: Request) -> str:
    """Every method of the target (RFC 9110, section 15.5.6): the router names those of its first route that fits."""
    asked = ({**request.scope, "method": method} for method in _METHODS)
    fits = (any(route.matches(scope)[0] is Match.FULL for route in request.app.routes) for scope in asked)
    return ", ".join(method for method, fit in zip(_METHODS, fits, strict=True) if fit)


def _unforeseen(_request: Request, _exc: Exception) -> Response:
    return answer(
        500,
        "internal",
        "The daemon made a mistake",
        "The daemon failed in a way it did not foresee.",
        hint="Its log has the details; please report them.",
        code="internal",
    )
