"""The routes of a project's past: its versions, restores, undo, trash, differences and audit."""

from __future__ import annotations

import time
from collections.abc import Iterator
from functools import partial
from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import StreamingResponse

from dorkyd.api import history_messages as h
from dorkyd.api import messages as m
from dorkyd.api.depending import Project
from dorkyd.api.description import PROBLEMS
from dorkyd.api.tables import difference
from dorkyd.core.artifact import USUAL_TYPE
from dorkyd.core.audit import Filter, verbs_of
from dorkyd.core.moments import moment_ns
from dorkyd.core.past import Content, Difference, Outcome, Undone
from dorkyd.errors import Refused

MOST_ITEMS = 100_000
"""Of one page."""
CHUNK_BYTES = 1024 * 1024

router = APIRouter(prefix="/v1/projects/{p}", responses=PROBLEMS, tags=["history"])

Limit = Annotated[int, Query(ge=1, le=MOST_ITEMS)]
PathWanted = Annotated[str | None, Query(min_length=1, description="Or a folder, with a closing `/`.")]
Moment = Annotated[str | None, Query(description="So long ago (`2h`), or a date with or without a time.")]


@router.get("/history")
def history(project: Project, path: str) -> h.History:
    """The states of one path, newest first, from every place that knows of any."""
    found = project.past.history(path)
    items = [h.HistoryItem.model_validate(item) for item in found.items]
    return h.History(items=items, retention=found.retention, missing=found.missing)


@router.post("/restore")
async def restore(request: Request, project: Project, body: h.RestoreRequest) -> h.Restored:
    """Bring a file or folder back as a new version. What stands there goes to the trash."""
    done = await request.app.state.waits.run(partial(project.past.restore, body.path, body.at, body.to))
    items = [_outcome(item) for item in done]
    only = items[0] if len(items) == 1 else None
    return h.Restored(
        path=only.path if only is not None else body.path,
        digest=only.digest if only is not None else None,
        size=sum(item.size or 0 for item in items),
        version=only.version if only is not None else None,
        mode=only.mode if only is not None else None,
        state="changing",
        items=items,
    )


@router.post("/undo")
async def undo(request: Request, project: Project, body: h.UndoRequest) -> h.Undone:
    """Take back the last action that sync took on this device, on both sides, as new versions."""
    undone: Undone = await request.app.state.waits.run(partial(project.past.undo, dry_run=body.dry_run))
    return h.Undone(
        items=[_outcome(item) for item in undone.items],
        action=undone.action,
        at=undone.at,
        device=undone.device,
        verbs=dict(undone.verbs),
        dry_run=body.dry_run,
    )


@router.get("/trash")
def trash(
    project: Project, where: Literal["folder", "bucket"] = "folder", path: PathWanted = None
) -> m.Page[m.TrashItem]:
    """What can be restored, newest first: from the folder's trash, or from the bucket's."""
    return m.Page[m.TrashItem](items=[m.TrashItem.model_validate(item) for item in project.past.trash(where, path)])


@router.post("/empty-trash")
async def empty_trash(request: Request, project: Project, body: h.EmptyTrashRequest) -> h.Emptied:
    """Remove what is in a trash for good. What was written to since it was put away stays, as a conflict copy."""
    past = project.past
    emptied = await request.app.state.waits.run(partial(past.empty_trash, body.where, body.path, body.older_than_s))
    return h.Emptied.model_validate(emptied)


@router.get("/diff")
async def diff(
    request: Request,
    project: Project,
    path: str,
    before: str | None = None,
    after: str | None = None,
    other: Annotated[str | None, Query(min_length=1, description="Another path, e.g. of a conflict copy.")] = None,
    reveal: bool = False,
    key: Annotated[
        list[str] | None, Query(max_length=20, description="Columns; rows of tables are compared by them.")
    ] = None,
) -> h.Difference:
    """Compare two states of a path. Without `before`: the newest that is not what stands here; without `after`: the file
    as it is here. With `other`: what stands at that path, which is `before`, with what stands at `path`. Values of `.env`
    files and of what is encrypted are masked unless `reveal`. Of tables it tells what differs in schema, rows and statistics,
    and with `key` which rows do.
    """
    if other is None:
        compare = partial(project.past.diff, path, before, after, reveal=reveal, key=key or ())
    elif before is None and after is None and not key:
        compare = partial(project.past.beside, path, other, reveal=reveal)
    else:
        raise Refused(
            "`other` compares what stands at two paths", code="bad-request", hint="leave out the versions and the key"
        )
    found: Difference = await request.app.state.waits.run(compare)
    return h.Difference(
        path=found.path,
        kind=found.compared.kind,
        before=h.DiffSide.model_validate(found.before),
        after=h.DiffSide.model_validate(found.after),
        text=found.compared.text,
        table=None if found.table is None else difference(found.table),
    )


@router.get(
    "/content",
    response_class=StreamingResponse,
    responses={200: {"content": {USUAL_TYPE: {"schema": {"type": "string", "format": "binary"}}}}},
)
async def content(
    request: Request, project: Project, path: str, at: Annotated[str, Query(min_length=1)], reveal: bool = False
) -> StreamingResponse:
    """The bytes of one state of a path, from wherever they still are; `at` as for `restore`. Refused (`secret`) for what is masked in
    differences, unless `reveal`.
    """
    found: Content = await request.app.state.waits.run(partial(project.past.content, path, at, reveal=reveal))
    headers = {"Content-Length": str(found.size), "Dorky-Digest": found.digest}
    return StreamingResponse(_chunks(found), headers=headers, media_type=USUAL_TYPE)


def _chunks(found: Content) -> Iterator[bytes]:
    with found.body as body:
        while chunk := body.read(CHUNK_BYTES):
            yield chunk


@router.get("/audit")
def audit(
    project: Project,
    after: Annotated[str, Query(pattern=r"^([0-9]{1,12}\.[0-9]{1,6})?$")] = "",
    limit: Limit = 1000,
    path: PathWanted = None,
    by: Annotated[
        str | None, Query(min_length=1, description="A device, an author, or a part of an author's name.")
    ] = None,
    action: Annotated[str | None, Query(min_length=1)] = None,
    since: Moment = None,
    until: Moment = None,
) -> h.Audit:
    """Every change by anyone running dorkyd, in the order of the bucket's log."""
    wanted = filter_of(path, by, action, since, until)
    found = list(project.past.audit(wanted, after, limit + 1))
    following = found[limit - 1].cursor if len(found) > limit else None
    items = [h.AuditItem.model_validate(item) for item in found[:limit]]
    return h.Audit(items=items, next=following, retention=project.past.audit_retention())


def filter_of(path: str | None, by: str | None, action: str | None, since: str | None, until: str | None) -> Filter:
    """Which changes are asked for. `Refused` (`bad-time`)."""
    verbs = verbs_of(action) if action is not None else ()
    return Filter(path, by, verbs, _at(since), _at(until))


def _at(text: str | None) -> int | None:
    if text is None:
        return None
    at_ns = moment_ns(text, time.time_ns())
    if at_ns is None:
        raise Refused(f"{text!r} is no time", code="bad-time", hint="write 2h, 3d, 2026-11-20 or 2026-11-20T10:00")
    return at_ns


def _outcome(item: Outcome) -> h.OutcomeItem:
    return h.OutcomeItem.model_validate(item)
