"""What the page may ask of the daemon, and that it is nothing else."""

from __future__ import annotations

import pytest

from dorkyd.ui.forwarding import ACTIONS, READS, content, forward


@pytest.mark.parametrize(
    ("method", "path", "query", "target"),
    [
        ("GET", "/v1/status", "", "/v1/status"),
        ("GET", "/v1/status", "project=api", "/v1/status?project=api"),
        ("GET", "/v1/events", "", "/v1/events"),
        (
            "GET",
            "/v1/projects/a%20b/tree",
            "folder=d%2Fe%2F&limit=5",
            "/v1/projects/a%20b/tree?folder=d%2Fe%2F&limit=5",
        ),
        (
            "GET",
            "/v1/projects/api/history",
            "path=a%26reveal%3Dtrue",
            "/v1/projects/api/history?path=a%26reveal%3Dtrue",
        ),
        ("POST", "/v1/projects/api/resolve", "", "/v1/projects/api/resolve"),
    ],
)
def test_is_passed_on(method: str, path: str, query: str, target: str) -> None:
    """As it was asked, encoded anew."""
    found = forward(method, path, query)
    assert found is not None
    assert (found.method, found.target, found.stream) == (method, target, path == "/v1/events")


@pytest.mark.parametrize(
    ("method", "path", "query"),
    [
        ("POST", "/v1/stop", ""),
        ("POST", "/v1/limit", ""),
        ("GET", "/v1/logging", ""),
        ("GET", "/openapi.json", ""),
        ("POST", "/v1/projects", ""),
        ("GET", "/v1/projects", ""),
        ("POST", "/v1/projects/api/empty-trash", ""),
        ("POST", "/v1/projects/api/undo", ""),
        ("POST", "/v1/projects/api/allow", ""),
        ("POST", "/v1/projects/api/encrypt", ""),
        ("GET", "/v1/projects/api/content", "path=f&at=v"),
        ("GET", "/v1/projects/api/artifacts/f", ""),
        ("GET", "/v1/projects/api/sync", ""),
        ("POST", "/v1/projects/api/tree", ""),
        ("POST", "/v1/projects/api/sync", "wait=1"),
        # A secret is never shown.
        ("GET", "/v1/projects/api/diff", "path=.env&reveal=true"),
        ("GET", "/v1/projects/api/log", "follow=true"),
        # What the daemon might read in another way.
        ("GET", "/v1/projects/api%2Fartifacts%2Fx/history", "path=f"),
        ("GET", "/v1/projects/../status", ""),
        ("GET", "/v1/projects/%2e%2e/history", "path=f"),
        ("GET", "/v1/projects/a%00b/history", "path=f"),
        ("GET", "/v1/projects/%ff/history", "path=f"),
        ("GET", "/v1/projects//history", "path=f"),
        ("GET", "/v1/projects/api/history\n", "path=f"),
        ("GET", "/v1/projects/api/history", "path=f&path=g"),
        ("GET", "/v1/projects/api/history", "path"),
        ("GET", "//v1/status", ""),
        ("HEAD", "/v1/status", ""),
    ],
)
def test_is_not(method: str, path: str, query: str) -> None:
    """Not in the list, or not as it stands there."""
    assert forward(method, path, query) is None


def test_no_list_reveals_anything() -> None:
    """Whatever is added to the lists: no secret is shown, and nothing is deleted for good."""
    assert not [verb for verb, known in READS.items() if "reveal" in known]
    assert not ACTIONS & {"empty-trash", "allow", "encrypt", "gc", "stop", "undo"}
    assert "reveal" not in content("p", "f", "v").target
    assert content("a/b", "d/f&x", "v").target == "/v1/projects/a%2Fb/content?path=d%2Ff%26x&at=v"
