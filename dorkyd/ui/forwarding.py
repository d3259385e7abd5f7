"""What the page may ask of the daemon: a fixed list, so that this server is a way to these routes and to nothing else.

Nothing here shows a secret (`reveal` is in no list), stops the daemon, or changes what is configured.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, unquote_to_bytes, urlencode

_PROJECT = re.compile(r"/v1/projects/(?P<project>[^/]+)/(?P<verb>[a-z-]+)")
_NAME_LENGTH = 1024

DAEMON = {"status": {"project"}, "events": set[str]()}
"""`GET /v1/...`, and what its query may have."""
READS = {
    "tree": {"folder", "after", "limit", "match", "unsettled"},
    "conflicts": set[str](),
    "problems": set[str](),
    "samples": set[str](),
    "log": {"after", "limit", "path"},
    "history": {"path"},
    "why": {"path"},
    "diff": {"path", "before", "after", "other"},
}
"""`GET /v1/projects/NAME/...`."""
ACTIONS = frozenset({"sync", "pause", "resume", "approve", "reject", "resolve", "restore"})
"""`POST /v1/projects/NAME/...`; the body is the daemon's to check."""


@dataclass(frozen=True, slots=True)
class Forward:
    """A request to the daemon."""

    method: str
    target: str
    """Percent-encoded, with its query."""
    stream: bool = False
    """It does not end by itself."""


def forward(method: str, path: str, query: str) -> Forward | None:
    """The daemon's request for one of the page's; None: it stands in no list."""
    verb = path.removeprefix("/v1/")
    if method == "GET" and verb in DAEMON:
        return _made("GET", path, query, DAEMON[verb], stream=verb == "events")
    found = _PROJECT.fullmatch(path)
    if found is None or (name := _segment(found["project"])) is None:
        return None
    target, verb = f"/v1/projects/{quote(name, safe='')}/{found['verb']}", found["verb"]
    if method == "GET" and verb in READS:
        return _made("GET", target, query, READS[verb])
    if method == "POST" and verb in ACTIONS:
        return _made("POST", target, query, set())
    return None


def content(project: str, path: str, at: str) -> Forward:
    """The bytes of one state of a file."""
    return Forward("GET", f"/v1/projects/{quote(project, safe='')}/content?{urlencode({'path': path, 'at': at})}")


def _segment(encoded: str) -> str | None:
    """One segment of a path, decoded; None: the daemon might read it as several, or as another."""
    try:
        name = unquote_to_bytes(encoded).decode()
    except UnicodeDecodeError:
        return None
    is_one = name not in {".", ".."} and "/" not in name and name.isprintable() and 0 < len(name) <= _NAME_LENGTH
    return name if is_one else None


def _made(method: str, path: str, query: str, known: set[str], *, stream: bool = False) -> Forward | None:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=bool(query), errors="strict")
    except ValueError:
        return None
    names = [name for name, _ in pairs]
    if not known.issuperset(names) or len(names) != len(set(names)):
        return None
    return Forward(method, f"{path}?{urlencode(pairs)}" if pairs else path, stream)
