"""The route that adopts projects of the npm tool `dorky`."""

from __future__ import annotations

import posixpath

from fastapi import APIRouter

from dorkyd.api import import_messages as m
from dorkyd.api.depending import Control, Project
from dorkyd.api.description import PROBLEMS
from dorkyd.control_import import ImportWish
from dorkyd.errors import Refused

router = APIRouter(prefix="/v1", responses=PROBLEMS)
one = APIRouter(prefix="/v1/projects/{p}", responses=PROBLEMS)


@router.post("/import-dorky")
def import_dorky(body: m.ImportRequest, control: Control) -> m.ImportPlan:
    """Adopt a folder of the npm tool `dorky` and its prefix as they are: nothing is sent again. `dry_run`: the plan alone."""
    if not posixpath.isabs(body.path):
        raise Refused(
            f"The folder must be an absolute path, and this is not: {body.path}",
            hint="The daemon does not share your working directory.",
            code="not-absolute",
        )
    wish = ImportWish(**body.model_dump(exclude={"dry_run"}))
    plan = control.imports.plan(wish) if body.dry_run else control.imports.carry_out(wish)
    return m.ImportPlan.model_validate(plan).model_copy(update={"done": not body.dry_run})


@one.post("/import-dorky-history")
def import_history(project: Project) -> m.ImportedHistory:
    """Make a commit of each push of the npm tool's history, before any other commit. May be repeated."""
    return m.ImportedHistory.model_validate(project.import_history())
