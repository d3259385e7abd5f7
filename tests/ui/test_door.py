"""Who passes: our own page, in our own browser, under our own name. Everybody else meets a reason."""

from __future__ import annotations

import pytest

from dorkyd.ui.door import KEY, START, Asked, refusal
from dorkyd.ui.session import Session

SESSION = Session(8123)
HOST = {"host": "127.0.0.1:8123"}
OURS = {**HOST, "cookie": SESSION.set_cookie().partition(";")[0]}
WITH_KEY = {**OURS, KEY: SESSION.key}
POST = {**WITH_KEY, "origin": "http://127.0.0.1:8123"}
FETCHED = {"sec-fetch-site": "same-origin"}


def said(method: str, path: str, headers: dict[str, str]) -> str | None:
    """Why not; None: it passes."""
    found = refusal(Asked(method, path, headers), SESSION)
    return None if found is None else found.code


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", START, HOST),
        ("GET", START, {**HOST, "sec-fetch-site": "cross-site"}),
        ("GET", START, {**HOST, "origin": "null"}),
        ("GET", "/", OURS),
        ("GET", "/", {**OURS, "sec-fetch-site": "none"}),
        ("GET", "/app.js", {**OURS, **FETCHED}),
        ("GET", "/", {**OURS, "host": "localhost:8123"}),
        ("GET", "/v1/status", {**WITH_KEY, **FETCHED}),
        ("POST", "/v1/projects/p/sync", {**POST, **FETCHED}),
        ("POST", "/v1/projects/p/sync", POST),
    ],
)
def test_passes(method: str, path: str, headers: dict[str, str]) -> None:
    """The link of the terminal from anywhere; the page and its files with the cookie; data with the key as well."""
    assert said(method, path, headers) is None


@pytest.mark.parametrize(
    ("method", "path", "headers", "code"),
    [
        # A name that was made to lead to this machine.
        ("GET", START, {"host": "evil.example:8123"}, "other-host"),
        ("GET", "/v1/status", {**WITH_KEY, "host": "evil.example:8123"}, "other-host"),
        ("GET", "/", {**OURS, "host": "127.0.0.1"}, "other-host"),
        ("GET", "/", {**OURS, "host": "127.0.0.1:8124"}, "other-host"),
        ("GET", "/", {**OURS, "host": "127.0.0.1:8123, evil.example"}, "other-host"),
        ("GET", "/", {k: v for k, v in OURS.items() if k != "host"}, "other-host"),
        # Another page, on the web or on another port of this machine, whose requests carry our cookie.
        ("GET", "/", {**OURS, "sec-fetch-site": "same-site"}, "other-origin"),
        ("GET", "/v1/status", {**WITH_KEY, "sec-fetch-site": "cross-site"}, "other-origin"),
        ("GET", "/v1/status", {**WITH_KEY, "origin": "http://127.0.0.1:8124"}, "other-origin"),
        ("POST", "/v1/projects/p/sync", {**POST, "origin": "http://127.0.0.1:9"}, "other-origin"),
        ("POST", "/v1/projects/p/sync", {**POST, "origin": "null"}, "other-origin"),
        ("POST", "/v1/projects/p/sync", WITH_KEY, "other-origin"),
        ("POST", "/v1/projects/p/sync", {**POST, "origin": "http://localhost:8123"}, "other-origin"),
        ("POST", START, {**POST, "sec-fetch-site": "cross-site"}, "other-origin"),
        # Another user of this machine, or the cookie alone: a browser shows that to every port.
        ("GET", "/", HOST, "no-session"),
        ("GET", "/app.js", HOST, "no-session"),
        ("GET", "/v1/status", {**HOST, KEY: SESSION.key}, "no-session"),
        ("GET", "/v1/status", OURS, "no-key"),
        ("GET", "/v1/status", {**OURS, KEY: "x"}, "no-key"),
        ("POST", "/tickets", {k: v for k, v in POST.items() if k != KEY}, "no-key"),
        ("PUT", "/v1/projects/p/artifacts/f", POST, "method"),
        ("DELETE", "/v1/projects/p", POST, "method"),
        ("OPTIONS", "/v1/status", POST, "method"),
    ],
)
def test_is_refused(method: str, path: str, headers: dict[str, str], code: str) -> None:
    """Whatever one of them lacks."""
    assert said(method, path, headers) == code
