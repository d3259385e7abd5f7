"""Every call of the API as a value: what to send, and what comes back. No I/O.

`DorkyClient`, `AsyncDorkyClient` and the command line send the same values, so a route is written down once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar
from urllib.parse import quote

from dorkyd.api import messages as m

T = TypeVar("T", bound=m.Answer)

Query = Mapping[str, "str | int | Sequence[str]"]

ANSWER_S = 60.0
"""How long an ordinary call may take. Most answer in milliseconds; some wait for the engine's cycle to end."""
WAIT_SLACK_S = 15.0
"""A wait of so many seconds is given this much more before the client gives up on the daemon."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request, and the model of its answer."""

    method: str
    path: str
    answer: type[T]
    query: Query = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    patience_s: float | None = ANSWER_S
    """How long to wait for the answer; None: as long as it takes."""


def of_project(project: str, rest: str) -> str:
    """The path of a route of one project."""
    return f"/v1/projects/{quote(project, safe='')}/{rest}"


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """What is not None."""
    return {key: value for key, value in values.items() if value is not None}


def health() -> Call[m.HealthAnswer]:
    """The daemon answers."""
    return Call("GET", "/v1/health", m.HealthAnswer)


def status(project: str | None = None) -> Call[m.StatusDocument]:
    """Everything, or one project."""
    return Call("GET", "/v1/status", m.StatusDocument, given({"project": project}))


def stop() -> Call[m.Stopping]:
    """End the daemon."""
    return Call("POST", "/v1/stop", m.Stopping)


def events() -> Call[m.ProjectStatus]:
    """Server-sent events; each one's data is the answer."""
    return Call("GET", "/v1/events", m.ProjectStatus, patience_s=None)


def projects() -> Call[m.Page[m.ProjectStatus]]:
    """All projects."""
    return Call("GET", "/v1/projects", m.Page[m.ProjectStatus])


def add(new: m.AddRequest) -> Call[m.ProjectStatus]:
    """Add a project. The store is probed meanwhile, which takes a while on a slow line."""
    return Call("POST", "/v1/projects", m.ProjectStatus, body=given(new.model_dump()), patience_s=300)


def remove(project: str) -> Call[m.Removed]:
    """Forget a project."""
    return Call("DELETE", f"/v1/projects/{quote(project, safe='')}", m.Removed)


def files(
    project: str,
    prefix: str = "",
    *,
    after: str = "",
    limit: int = 1000,
    remote: bool = False,
    pick: Mapping[str, str | int | Sequence[str] | None] | None = None,
) -> Call[m.Page[m.FileItem]]:
    """Synced paths. `pick`: `match` (patterns), `at_least`, `at_most` (bytes), `state`."""
    query: Query = {
        "prefix": prefix,
        "after": after,
        "limit": limit,
        "remote": str(remote).lower(),
        **given(pick or {}),
    }
    return Call("GET", of_project(project, "files"), m.Page[m.FileItem], query)


def artifacts(
    project: str, prefix: str = "", *, after: str = "", limit: int = 1000, meta: Mapping[str, str] | None = None
) -> Call[m.Page[m.ArtifactItem]]:
    """What the bucket is known to hold, with all of this metadata."""
    query: Query = {"prefix": prefix, "after": after, "limit": limit}
    if meta:
        query = {**query, "meta": [f"{name}={value}" for name, value in meta.items()]}
    return Call("GET", of_project(project, "artifacts"), m.Page[m.ArtifactItem], query)


def versions(project: str, path: str) -> Call[m.Page[m.VersionItem]]:
    """The states of an artifact that are known. Slashes of the path are spelled out, so that no name is taken for a route."""
    return Call("GET", of_project(project, f"artifacts/{quote(path, safe='')}/versions"), m.Page[m.VersionItem])


def conflicts(project: str) -> Call[m.Page[m.ConflictItem]]:
    """Conflict copies."""
    return Call("GET", of_project(project, "conflicts"), m.Page[m.ConflictItem])


def problems(project: str) -> Call[m.Page[m.ProblemItem]]:
    """Paths that cannot sync."""
    return Call("GET", of_project(project, "problems"), m.Page[m.ProblemItem])


def log(
    project: str, *, after: int = -1, limit: int = 100, wanted: Mapping[str, str | None] | None = None
) -> Call[m.Page[m.LogItem]]:
    """What this device did and saw. `wanted`: `path`, `by`, `action`, `since`, `until`."""
    query: Query = {"after": after, "limit": limit, **given(wanted or {})}
    return Call("GET", of_project(project, "log"), m.Page[m.LogItem], query)


def follow_log(project: str, *, after: int = -1, limit: int = 100) -> Call[m.LogItem]:
    """History as NDJSON that does not end; each line is the answer."""
    query: Query = {"after": after, "limit": limit, "follow": "true"}
    return Call("GET", of_project(project, "log"), m.LogItem, query, patience_s=None)


def why(project: str, path: str) -> Call[m.Why]:
    """Everything about one path."""
    return Call("GET", of_project(project, "why"), m.Why, {"path": path})


def check_ignore(project: str, paths: Sequence[str]) -> Call[m.Page[m.IgnoreItem]]:
    """Which rule ignores each path."""
    return Call("GET", of_project(project, "check-ignore"), m.Page[m.IgnoreItem], {"path": list(paths)})


def doctor(project: str, shell: Sequence[str] = ()) -> Call[m.Page[m.Finding]]:
    """Check everything. `shell`: names of variables set here, never their values."""
    query: Query = {"shell": list(shell)} if shell else {}
    return Call("GET", of_project(project, "doctor"), m.Page[m.Finding], query, patience_s=300)


def sync(project: str, *, wait: bool = False, timeout_s: float | None = None) -> Call[m.SyncResult]:
    """Look at both sides now."""
    patience_s: float | None = ANSWER_S
    if wait:
        patience_s = None if timeout_s is None else timeout_s + WAIT_SLACK_S
    body = given({"wait": wait, "timeout_s": timeout_s})
    return Call("POST", of_project(project, "sync"), m.SyncResult, body=body, patience_s=patience_s)


def pause(project: str, for_s: float | None = None) -> Call[m.ProjectStatus]:
    """Hold everything."""
    return Call("POST", of_project(project, "pause"), m.ProjectStatus, body=given({"for_s": for_s}))


def resume(project: str) -> Call[m.ProjectStatus]:
    """End a pause."""
    return Call("POST", of_project(project, "resume"), m.ProjectStatus)


def limits(project: str | None) -> Call[m.Bandwidth]:
    """Bandwidth limits in force: a project's, or (None) those of all together."""
    return Call("GET", "/v1/limit" if project is None else of_project(project, "limit"), m.Bandwidth)


def limit(project: str | None, *, up: int | None = None, down: int | None = None) -> Call[m.Bandwidth]:
    """Change bandwidth limits, bytes a second; 0 lifts one."""
    path = "/v1/limit" if project is None else of_project(project, "limit")
    return Call("POST", path, m.Bandwidth, body=given({"up": up, "down": down}))


def allow(project: str, patterns: Sequence[str]) -> Call[m.Allowed]:
    """Let paths that look like secrets be uploaded in plain."""
    return Call("POST", of_project(project, "allow"), m.Allowed, body={"patterns": list(patterns)})


def approve(project: str, token: str) -> Call[m.ProjectStatus]:
    """Let a halt through."""
    return Call("POST", of_project(project, "approve"), m.ProjectStatus, body={"token": token})


def reject(project: str, token: str) -> Call[m.ProjectStatus]:
    """Undo what a halt showed."""
    return Call("POST", of_project(project, "reject"), m.ProjectStatus, body={"token": token})


def resolve(project: str, path: str, keep: str) -> Call[m.Page[m.ConflictItem]]:
    """Settle a conflict."""
    return Call("POST", of_project(project, "resolve"), m.Page[m.ConflictItem], body={"path": path, "keep": keep})


def unlock(passphrase: str, *, keyring: bool | None = None) -> Call[m.Unlocked]:
    """Open this machine's key."""
    return Call("POST", "/v1/key/unlock", m.Unlocked, body={"passphrase": passphrase, "keyring": keyring})


def team(project: str) -> Call[m.Team]:
    """Who may read what is encrypted."""
    return Call("GET", of_project(project, "team"), m.Team)


def begin_keys(project: str, member: str, recovery: str) -> Call[m.Team]:
    """Make the project's keys."""
    return Call("POST", of_project(project, "keys"), m.Team, body={"member": member, "recovery": recovery})


def add_member(project: str, member: str, key: str) -> Call[m.Team]:
    """Let one more read."""
    return Call("POST", of_project(project, "team/add"), m.Team, body={"member": member, "key": key})


def remove_member(project: str, member: str) -> Call[m.Team]:
    """Take one off the list."""
    return Call("POST", of_project(project, "team/remove"), m.Team, body={"member": member})


def trust(project: str, fingerprint: str) -> Call[m.Team]:
    """Trust the project's keys."""
    return Call("POST", of_project(project, "team/trust"), m.Team, body={"fingerprint": fingerprint})


def encrypt(project: str, add: Sequence[str] = (), remove: Sequence[str] = ()) -> Call[m.Team]:
    """Change what is encrypted."""
    return Call("POST", of_project(project, "encrypt"), m.Team, body={"add": list(add), "remove": list(remove)})
