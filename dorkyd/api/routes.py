"""The routes: each calls the control, and turns what it says into a message.

What never blocks (statuses) is answered on the event loop, so that `status` answers while everything else waits. What
may block runs in the framework's thread pool. Waiting for a sync, which may take hours, has threads of its own, so that
it cannot use up that pool.
"""

from __future__ import annotations

import os
import posixpath
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, FastAPI, Query, Request
from fastapi.responses import StreamingResponse

from dorkyd.api import artifacts, commits, freezes, history, imports, logs, manual, problems, prospects, tables
from dorkyd.api import messages as m
from dorkyd.api.depending import Control, Project
from dorkyd.api.description import PROBLEMS, Described
from dorkyd.api.streams import SLICE, Feeds, followed_log, status_events, streamed
from dorkyd.api.waits import Waits
from dorkyd.control import DaemonControl, NewProject
from dorkyd.core.model import Digest
from dorkyd.core.picking import picked
from dorkyd.core.report import ConflictSeen, ProjectStatus, State, SyncResult
from dorkyd.errors import Refused

T = TypeVar("T")
M = TypeVar("M", bound=m.Answer)

MOST_ITEMS = 100_000
"""Of one page."""
MOST_BYTES = 2**63 - 1
LAST_SEQ = 2**53
"""Past this number JSON's readers no longer tell integers apart, and no history gets there."""

router = APIRouter(prefix="/v1", responses=PROBLEMS)
"""The daemon, and its projects together."""
one = APIRouter(prefix="/v1/projects/{p}", responses=PROBLEMS)
"""One project."""


def build_app(control: DaemonControl, feeds: Feeds) -> FastAPI:
    """The application over a daemon."""
    app = described(control.version)
    app.state.control = control
    app.state.feeds = feeds
    app.state.waits = Waits()
    problems.install(app)
    return app


def described(version: str) -> Described:
    """The routes. No documentation pages: they would fetch scripts from the internet."""
    app = Described(
        title="dorkyd",
        version=version,
        description="The local API of dorkyd: projects in sync, and single artifacts. Errors are problem documents (RFC 9457).",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.include_router(router)
    app.include_router(logs.router)
    app.include_router(prospects.router)
    app.include_router(imports.router)
    app.include_router(imports.one)
    app.include_router(one)
    app.include_router(history.router)
    app.include_router(tables.router)
    app.include_router(commits.router)
    app.include_router(artifacts.router)
    app.include_router(artifacts.batches)
    app.include_router(freezes.router)
    app.include_router(manual.router)
    return app


def _page(model: type[M], items: Iterable[Any], following: str | None = None) -> m.Page[M]:
    return m.Page[M](items=[model.model_validate(item) for item in items], next=following)


# --- the daemon -------------------------------------------------------------------------------------------------------


@router.get("/health")
async def health(control: Control) -> m.HealthAnswer:
    """The daemon answers, and who it is."""
    return m.HealthAnswer(daemon=_daemon(control))


@router.get("/status")
async def status(control: Control, project: str | None = None) -> m.StatusDocument:
    """Everything at one glance; `project`: only that one."""
    chosen = control.projects() if project is None else [control.project(project)]
    statuses = [each.status() for each in chosen]
    return m.StatusDocument(
        health=health_of(statuses),
        daemon=_daemon(control),
        projects=[m.ProjectStatus.model_validate(each) for each in statuses],
        warnings=[m.Notice.model_validate(each) for each in control.warnings()],
    )


def health_of(statuses: Sequence[ProjectStatus]) -> m.Health:
    """The worst of the projects."""
    if any(each.state is State.ERROR for each in statuses):
        return "broken"
    if any(
        each.state in (State.HALTED, State.AUTH_EXPIRED) or each.halt or each.conflicts or each.problems
        for each in statuses
    ):
        return "attention"
    return "ok"


def _daemon(control: DaemonControl) -> m.DaemonStatus:
    return m.DaemonStatus(
        version=control.version,
        pid=os.getpid(),
        uptime_s=round(time.monotonic() - control.started, 3),
        device=control.device,
        bandwidth=m.Bandwidth.model_validate(control.bandwidth),
    )


@router.post("/stop", status_code=202)
async def stop(control: Control) -> m.Stopping:
    """End the daemon. Returns at once; it is gone when the socket no longer answers."""
    control.stop()
    return m.Stopping(pid=os.getpid())


@router.get("/limit")
async def shared_limit(control: Control) -> m.Bandwidth:
    """The bandwidth limits in force for all projects together."""
    return m.Bandwidth.model_validate(control.bandwidth)


@router.post("/limit")
def set_shared_limit(body: m.LimitRequest, control: Control) -> m.Bandwidth:
    """Write bandwidth limits for all projects together to the configuration; they hold at once."""
    return m.Bandwidth.model_validate(control.limit(None, up=body.up, down=body.down))


@router.get(
    "/events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}},
)
async def events(request: Request, control: Control) -> StreamingResponse:
    """Server-sent events: `status` with one project's status, first of each as it is now, then of each change."""
    return StreamingResponse(
        status_events(request.app.state.feeds, lambda: [each.status() for each in control.projects()]),
        media_type="text/event-stream",
        headers={"Cache-Control": "no-store"},
    )


# --- projects ---------------------------------------------------------------------------------------------------------


@router.get("/projects")
async def projects(control: Control) -> m.Page[m.ProjectStatus]:
    """All projects, in configuration order."""
    return _page(m.ProjectStatus, [each.status() for each in control.projects()])


@router.post("/projects", status_code=201)
def add(body: m.AddRequest, control: Control) -> m.ProjectStatus:
    """Write a project to the configuration and start it."""
    if body.path is not None and not posixpath.isabs(body.path):
        raise Refused(
            f"The folder must be an absolute path, and this is not: {body.path}",
            hint="The daemon does not share your working directory.",
            code="not-absolute",
        )
    return m.ProjectStatus.model_validate(control.add(NewProject(**body.model_dump())).status())


@router.delete("/projects/{p}")
def remove(p: str, control: Control) -> m.Removed:
    """Forget a project; delete nothing."""
    control.remove(p)
    return m.Removed(name=p)


# --- reading one project ----------------------------------------------------------------------------------------------

Limit = Annotated[int, Query(ge=1, le=MOST_ITEMS)]


@one.get("/files")
def files(
    project: Project,
    prefix: str = "",
    after: str = "",
    limit: Limit = 1000,
    remote: bool = False,
    match: Annotated[list[str] | None, Query(description="Patterns of gitignore, which the path must match")] = None,
    at_least: Annotated[int | None, Query(ge=0, le=MOST_BYTES, description="Bytes")] = None,
    at_most: Annotated[int | None, Query(ge=0, le=MOST_BYTES, description="Bytes")] = None,
    state: str | None = None,
) -> m.Page[m.FileItem]:
    """Synced paths in order; `remote`: what the bucket is known to hold. A page of what is picked by `match`, sizes or `state`
    may have few items, or none, while there is a `next`.
    """
    pick = picked(tuple(match or ()), at_least, at_most, state)
    take = partial(project.files, prefix, remote=remote, pick=pick)
    page = take(after, min(limit, SLICE))
    if page.next is None or limit <= SLICE:
        return _page(m.FileItem, page.items, page.next)
    # FastAPI passes a response through, whatever the declared model, which describes it.
    return StreamingResponse(  # type: ignore[return-value]
        streamed(page, limit, take), media_type="application/json"
    )


@one.get("/tree")
def tree(
    project: Project,
    folder: Annotated[str, Query(description="Of the project; empty: its root.")] = "",
    after: Annotated[str, Query(description="An entry's path.")] = "",
    limit: Limit = 1000,
    match: Annotated[str, Query(description="Files below it whose path holds this.")] = "",
    unsettled: Annotated[bool, Query(description="Files below it that are not in sync.")] = False,
) -> m.Page[m.TreeItem]:
    """The entries of one folder, folders with a closing `/`; on the last page also what is ignored there."""
    found = list(project.tree(folder, after, limit + 1, match=match, unsettled=unsettled))
    synced = [item for item in found if item.state != "ignored"]
    if len(synced) > limit:
        return _page(m.TreeItem, synced[:limit], synced[limit - 1].path)
    return _page(m.TreeItem, found)


@one.get("/samples")
async def samples(p: str, control: Control) -> m.Page[m.Sample]:
    """The last day, a minute each, oldest first: bytes that moved and work that was left. It begins with the daemon."""
    return _page(m.Sample, control.samples(p))


@one.get("/conflicts")
def conflicts(project: Project) -> m.Page[m.ConflictItem]:
    """Conflict copies that wait for a person."""
    return _page(m.ConflictItem, project.conflicts())


@one.get("/problems")
def problem_list(project: Project) -> m.Page[m.ProblemItem]:
    """Paths that cannot sync, and why."""
    return _page(m.ProblemItem, project.problems())


@one.get("/log", responses={200: {"content": {"application/x-ndjson": {"schema": {"type": "string"}}}}})
def log(
    request: Request,
    project: Project,
    after: Annotated[int, Query(ge=-1, le=LAST_SEQ)] = -1,
    limit: Limit = 100,
    follow: bool = False,
    path: history.PathWanted = None,
    by: Annotated[str | None, Query(min_length=1)] = None,
    action: Annotated[str | None, Query(min_length=1)] = None,
    since: history.Moment = None,
    until: history.Moment = None,
) -> m.Page[m.LogItem]:
    """What this device did and saw, oldest first, with seq above `after`; -1: the last `limit`. `follow`: NDJSON that does not
    end, of everything. `audit` tells what anyone did to the bucket.
    """
    wanted = history.filter_of(path, by, action, since, until)
    if follow:
        # FastAPI passes a response through, whatever the declared model, which describes the list.
        return StreamingResponse(  # type: ignore[return-value]
            followed_log(request.app.state.feeds, project, after, limit), media_type="application/x-ndjson"
        )
    if after < 0:
        return _page(m.LogItem, project.log(after, limit, wanted))
    found = list(project.log(after, limit + 1, wanted))
    following = str(found[limit - 1].seq) if len(found) > limit else None
    return _page(m.LogItem, found[:limit], following)


@one.get("/why")
def why(project: Project, path: str) -> m.Why:
    """Everything known about one path."""
    return m.Why.model_validate(project.why(path))


@one.get("/check-ignore")
def check_ignore(project: Project, path: Annotated[list[str], Query(min_length=1)]) -> m.Page[m.IgnoreItem]:
    """Which rule ignores each path."""
    return _page(m.IgnoreItem, project.check_ignore(path))


@one.get("/limit")
async def limit(project: Project) -> m.Bandwidth:
    """The project's bandwidth limits in force."""
    return m.Bandwidth.model_validate(project.status().bandwidth)


@one.get("/doctor")
def doctor(project: Project, shell: Annotated[list[str] | None, Query()] = None) -> m.Page[m.Finding]:
    """Check folder, bucket, permissions, clock and limits. `shell`: names of variables set where the person asks."""
    return _page(m.Finding, project.doctor(shell or ()))


# --- acting on one project --------------------------------------------------------------------------------------------


@one.post("/sync")
async def sync(request: Request, project: Project, body: m.SyncRequest) -> m.SyncResult:
    """Look at both sides now; `wait`: answer when quiescent, halted, paused, blocked, or after `timeout_s`."""
    waits: Waits = request.app.state.waits
    ended: SyncResult = await waits.run(partial(project.sync, wait=body.wait, timeout_s=body.timeout_s))
    return m.SyncResult.model_validate(ended)


@one.post("/pause")
def pause(project: Project, body: m.PauseRequest) -> m.ProjectStatus:
    """Nothing moves until `resume`, or for `for_s` seconds. Survives restarts."""
    return m.ProjectStatus.model_validate(project.pause(body.for_s))


@one.post("/resume")
def resume(project: Project) -> m.ProjectStatus:
    """End a pause."""
    return m.ProjectStatus.model_validate(project.resume())


@one.post("/limit")
def set_limit(p: str, body: m.LimitRequest, control: Control) -> m.Bandwidth:
    """Write the project's bandwidth limits to the configuration; they hold at once, also for what is under way."""
    return m.Bandwidth.model_validate(control.limit(p, up=body.up, down=body.down))


@one.post("/allow")
def allow(p: str, body: m.AllowRequest, control: Control) -> m.Allowed:
    """Let paths that look like secrets be uploaded in plain: gitignore patterns, written to the configuration."""
    return m.Allowed(patterns=list(control.allow(p, body.patterns)))


@one.post("/approve")
def approve(project: Project, body: m.TokenRequest) -> m.ProjectStatus:
    """Let through exactly what the halt showed."""
    return m.ProjectStatus.model_validate(project.approve(body.token))


@one.post("/reject")
def reject(project: Project, body: m.TokenRequest) -> m.ProjectStatus:
    """Delete nothing, and restore what the halt found missing."""
    return m.ProjectStatus.model_validate(project.reject(body.token))


@one.post("/resolve")
def resolve(project: Project, body: m.ResolveRequest) -> m.Page[m.ConflictItem]:
    """Settle a conflict; answers with those that remain. The bytes not kept go to trash."""
    return _page(m.ConflictItem, project.resolve(body.path, body.keep, _seen(body.seen)))


def _seen(seen: m.ConflictSeen | None) -> ConflictSeen | None:
    if seen is None:
        return None
    copy, named = (Digest(each) if each is not None else None for each in (seen.copy_, seen.named))
    return ConflictSeen(copy, named)


# --- keys -------------------------------------------------------------------------------------------------------------


@router.post("/key/unlock")
def unlock(body: m.UnlockRequest, control: Control) -> m.Unlocked:
    """Open this machine's key, which a passphrase protects, for the daemon's life."""
    control.unlock(body.passphrase.get_secret_value(), keyring=body.keyring)
    return m.Unlocked()


@one.get("/team")
def team(project: Project) -> m.Team:
    """Who may read what is encrypted, by the signed list in the bucket."""
    return m.Team.model_validate(project.team.list())


@one.post("/keys", status_code=201)
def begin_keys(project: Project, body: m.KeysRequest) -> m.Team:
    """Make the project's keys: this machine's key and the recovery key are the first members."""
    return m.Team.model_validate(project.team.begin(body.member, body.recovery))


@one.post("/team/add")
def add_member(project: Project, body: m.MemberRequest) -> m.Team:
    """Let one more read everything that is encrypted."""
    return m.Team.model_validate(project.team.add(body.member, body.key))


@one.post("/team/remove")
def remove_member(project: Project, body: m.GoneRequest) -> m.Team:
    """Take one off the list. Current files are encrypted anew; `rotate` is what that person could read."""
    return m.Team.model_validate(project.team.remove(body.member))


@one.post("/team/trust")
def trust(project: Project, body: m.TrustRequest) -> m.Team:
    """Trust the project's keys by their fingerprint, which a person compared."""
    return m.Team.model_validate(project.team.trust(body.fingerprint))


@one.post("/encrypt")
def encrypt(project: Project, body: m.PatternsRequest) -> m.Team:
    """Change the patterns of what is encrypted."""
    return m.Team.model_validate(project.team.encrypt(body.add, body.remove))
