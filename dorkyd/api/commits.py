"""The routes of a project's commits."""

from __future__ import annotations

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query, Request

from dorkyd.api import commit_messages as c
from dorkyd.api import messages as m
from dorkyd.api.depending import Project
from dorkyd.api.description import PROBLEMS
from dorkyd.core.commits import Commit, CommitId, Difference, Header
from dorkyd.core.committed import CheckedOut, Collected, Made
from dorkyd.core.garbage import Kept
from dorkyd.core.lockfile import decode_lock
from dorkyd.errors import Refused

MOST_ITEMS = 100_000
"""Of one page."""
LAST_SEQ = 10**12

router = APIRouter(prefix="/v1/projects/{p}", responses=PROBLEMS, tags=["commits"])

Limit = Annotated[int, Query(ge=1, le=MOST_ITEMS)]


@router.get("/commits")
async def commits(
    request: Request,
    project: Project,
    after: Annotated[int | None, Query(ge=1, le=LAST_SEQ, description="`next` of the page before.")] = None,
    limit: Limit = 1000,
) -> m.Page[c.CommitItem]:
    """Commits, the newest first."""
    found = list(await request.app.state.waits.run(partial(project.commits.list, after, limit + 1)))
    following = str(found[limit - 1].header.seq) if len(found) > limit else None
    items = [c.CommitItem.model_validate(_item(one.id, one.header)) for one in found[:limit]]
    return m.Page[c.CommitItem](items=items, next=following)


@router.get("/commits/{commit}")
async def commit_files(
    request: Request, project: Project, commit: str, after: str = "", limit: Limit = 1000
) -> c.CommitDocument:
    """One commit, by its id or the beginning of it, and its files in order."""
    commit_id, whole = await _show(request, project, commit)
    files = [file for file in whole.files if file.path > after]
    following = files[limit - 1].path if len(files) > limit else None
    items = [c.CommitFileItem.model_validate(file) for file in files[:limit]]
    return c.CommitDocument.model_validate({**_item(commit_id, whole.header), "items": items, "next": following})


@router.get("/commits/{commit}/diff")
async def commit_diff(
    request: Request, project: Project, commit: str, to: str | None = None
) -> m.Page[c.DifferenceItem]:
    """What differs between a commit and another, or (without `to`) what the bucket holds now."""
    found = await request.app.state.waits.run(partial(project.commits.diff, commit, to))
    return m.Page[c.DifferenceItem](items=[_difference(one) for one in found])


@router.get("/lock")
async def lock(request: Request, project: Project, commit: str | None = None) -> c.LockDocument:
    """The text of the lock file of a commit, of the last one without `commit`."""
    text: str = await request.app.state.waits.run(partial(project.commits.lock, commit))
    return c.LockDocument(commit=decode_lock(text).commit, text=text)


@router.post("/commit")
async def commit(request: Request, project: Project, body: c.CommitRequest) -> c.Committed:
    """Commit the project once both sides agree. Not for repeating blindly: look at the commits first."""
    made: Made = await request.app.state.waits.run(partial(project.commits.commit, body.message))
    words = _item(made.named.id, made.named.header)
    return c.Committed.model_validate({**words, "conflicts": list(made.conflicts)})


@router.post("/checkout")
async def checkout(request: Request, project: Project, body: c.CheckoutRequest) -> c.CheckedOut:
    """Bring a commit back into the folder, as new changes that go to everybody."""
    if (body.commit is None) == (body.lock is None) or (body.lock is not None and body.paths):
        raise Refused("give a commit, with paths or without, or the text of a lock file", code="bad-request")
    act = (
        partial(project.commits.checkout, body.commit, body.paths, overwrite=body.overwrite)
        if body.commit is not None
        else partial(project.commits.checkout_locked, body.lock or "", overwrite=body.overwrite)
    )
    done: CheckedOut = await request.app.state.waits.run(act)
    return c.CheckedOut(
        id=done.id,
        seq=done.header.seq,
        placed=done.placed,
        modes=done.modes,
        taken_out=done.taken_out,
        same=done.same,
        unlike=[c.UnlikeItem.model_validate(one) for one in done.unlike],
    )


@router.post("/gc")
async def collect(request: Request, project: Project, body: c.CollectRequest) -> c.Collected:
    """Remove commits past their retention, and contents that no commit has needed for a day."""
    kept = Kept(body.keep_last, body.keep_days)
    done: Collected = await request.app.state.waits.run(partial(project.commits.collect, kept, dry_run=body.dry_run))
    return c.Collected(
        commits=list(done.commits),
        condemned=done.condemned,
        condemned_bytes=done.condemned_bytes,
        removed=done.removed,
        removed_bytes=done.removed_bytes,
        timeless=done.timeless,
        dry_run=body.dry_run,
    )


async def _show(request: Request, project: Project, commit: str) -> tuple[CommitId, Commit]:
    found: tuple[CommitId, Commit] = await request.app.state.waits.run(partial(project.commits.show, commit))
    return found


def _item(commit_id: CommitId, header: Header) -> dict[str, object]:
    return {
        "id": commit_id,
        "seq": header.seq,
        "parent": header.parent,
        "author": header.author,
        "device": header.device,
        "time": header.time,
        "message": header.message,
        "files": header.count,
        "bytes": header.bytes,
    }


def _difference(one: Difference) -> c.DifferenceItem:
    now = one.new or one.old
    assert now is not None
    return c.DifferenceItem(
        path=one.path,
        kind=one.kind,
        digest=now.digest,
        size=now.size,
        version=now.version,
        mode=now.mode,
        before_digest=one.old.digest if one.old is not None else None,
        before_size=one.old.size if one.old is not None else None,
        before_mode=one.old.mode if one.old is not None else None,
        waits=one.waits,
    )
