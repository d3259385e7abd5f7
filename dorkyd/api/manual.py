"""The routes of mode manual."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request

from dorkyd.api import manual_messages as mm
from dorkyd.api import messages as m
from dorkyd.api.depending import Project
from dorkyd.api.description import PROBLEMS
from dorkyd.api.waits import Waits
from dorkyd.core.report import PushResult, SyncResult

MOST_ITEMS = 10_000
"""Of one page."""

router = APIRouter(prefix="/v1/projects/{p}", responses=PROBLEMS, tags=["manual"])


@router.get("/changes")
def changes(
    project: Project, after: str = "", limit: Annotated[int, Query(ge=1, le=MOST_ITEMS)] = 1000
) -> m.Page[mm.ChangeItem]:
    """Paths that are staged, or not what was last pushed or pulled, in order."""
    found = list(project.manual.changes(after, limit + 1))
    following = found[limit - 1].path if len(found) > limit else None
    return m.Page[mm.ChangeItem](items=[mm.ChangeItem.model_validate(one) for one in found[:limit]], next=following)


@router.post("/stage")
async def stage(request: Request, project: Project, body: mm.PathsRequest) -> mm.Staged:
    """Keep these paths as they are for the next push. Copying many or large files takes a while."""
    waits: Waits = request.app.state.waits
    staged, skipped = await waits.run(partial(project.manual.stage, body.paths))
    return mm.Staged(
        items=[mm.ChangeItem.model_validate(one) for one in staged],
        skipped=[mm.SkippedItem.model_validate(one) for one in skipped],
    )


@router.post("/unstage")
def unstage(project: Project, body: mm.PathsRequest) -> m.Page[mm.ChangeItem]:
    """Stage these no more; files stay as they are."""
    items = project.manual.unstage(body.paths)
    return m.Page[mm.ChangeItem](items=[mm.ChangeItem.model_validate(one) for one in items])


@router.post("/reword")
def reword(project: Project, body: mm.MessageRequest) -> m.Manual:
    """Write down the message of the next push."""
    return m.Manual.model_validate(project.manual.reword(body.message))


@router.post("/push")
async def push(request: Request, project: Project, body: mm.PushRequest) -> mm.Pushed:
    """Send what is staged: a commit, then the paths it changes, which other devices see together."""
    waits: Waits = request.app.state.waits
    pushed: PushResult = await waits.run(partial(project.manual.push, body.message))
    return mm.Pushed.model_validate(pushed)


@router.post("/pull")
async def pull(request: Request, project: Project, body: mm.PullRequest) -> m.SyncResult:
    """Bring what the bucket holds; answers when all of it is here, or after `timeout_s`."""
    waits: Waits = request.app.state.waits
    ended: SyncResult = await waits.run(partial(project.manual.pull, timeout_s=body.timeout_s))
    return m.SyncResult.model_validate(ended)
