"""The routes of freezes."""

from __future__ import annotations

import time
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path, Request

from dorkyd.api import freeze_messages as fm
from dorkyd.api.depending import Project
from dorkyd.api.description import PROBLEMS
from dorkyd.api.waits import Waits
from dorkyd.core import report

CURRENT = "current"
"""Stands for whatever freeze there is, where one is released."""

router = APIRouter(prefix="/v1/projects/{p}/freeze", responses=PROBLEMS, tags=["artifacts"])

Name = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Made up by whoever freezes, at random.")]


@router.put("/{name}")
async def freeze(request: Request, project: Project, name: Name, body: fm.FreezeRequest) -> fm.Freeze:
    """Freeze the project: nothing leaves it before it is released, while what comes from the bucket comes. Repeated under the
    same name, within the lease, it stays frozen; a holder that died lets go by itself.
    """
    waits: Waits = request.app.state.waits
    if body.renew:
        return _told(await waits.run(partial(project.freezing.renew, name)))
    begin = partial(project.freezing.freeze, name, body.holder, lease_s=body.lease_s, limit_s=body.limit_s)
    return _told(await waits.run(begin))


@router.delete("/{name}")
async def release(request: Request, project: Project, name: Name) -> fm.Thawed:
    """Let all of it go, in atomic batches of at most 500 files, and return once the bucket's log tells of them. `current`:
    whoever holds it.
    """
    waits: Waits = request.app.state.waits
    done = await waits.run(partial(project.freezing.release, None if name == CURRENT else name))
    return fm.Thawed.model_validate(done)


def _told(freeze: report.Freeze) -> fm.Freeze:
    left_s = max(0.0, (freeze.until_ns - time.time_ns()) / 1e9)
    return fm.Freeze(name=freeze.name, holder=freeze.holder, lease_s=freeze.lease_s, left_s=left_s)
