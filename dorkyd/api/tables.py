"""The routes of tables."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter, Query, Request

from dorkyd.api import messages as m
from dorkyd.api import table_messages as t
from dorkyd.api.depending import Project
from dorkyd.api.description import PROBLEMS

if TYPE_CHECKING:
    from dorkyd.tables.changes import TableDifference
    from dorkyd.tables.looking import Looked

router = APIRouter(prefix="/v1/projects/{p}", responses=PROBLEMS, tags=["tables"])

MOST_ROWS = 1000
"""Of a head."""
MOST_NAMED = 200
"""Columns that one request may name."""
Columns = Annotated[list[str] | None, Query(max_length=MOST_NAMED, description="Of these columns; may be repeated.")]


@router.get("/table")
async def table(
    request: Request,
    project: Project,
    path: str,
    at: Annotated[
        str | None, Query(min_length=1, description="A version, a digest or a time, as of `restore`.")
    ] = None,
    head: Annotated[int, Query(ge=0, le=MOST_ROWS, description="With so many of the first rows.")] = 0,
    column: Columns = None,
) -> t.Table:
    """What a table is: schema, rows, statistics; of a remote one as few of its bytes are moved as its format allows."""
    found: Looked = await request.app.state.waits.run(partial(project.tables.look, path, at, head=head, columns=column))
    content = found.content
    return t.Table(
        path=content.path,
        label=content.label,
        digest=content.digest,
        size=content.size,
        version=content.version,
        source=found.source,
        encrypted=content.secret,
        facts=t.Facts.model_validate(found.facts),
        head=None if found.head is None else t.Head.model_validate(found.head),
    )


@router.post("/dismiss-notices")
def dismiss(project: Project) -> m.ProjectStatus:
    """A person has read what `status` says of tables that changed; the log keeps it."""
    project.tables.dismiss()
    return m.ProjectStatus.model_validate(project.status())


def difference(found: TableDifference) -> t.TableDifference:
    """As a message."""
    changes = found.changes
    return t.TableDifference(
        rows=list(changes.rows),
        size=list(changes.size),
        estimated=changes.estimated,
        partly=changes.partly,
        dropped=[t.Column.model_validate(each) for each in changes.dropped],
        added=[t.Column.model_validate(each) for each in changes.added],
        changed=[t.ColumnChange.model_validate(each) for each in changes.changed],
        by_key=None if found.by_key is None else t.ByKey.model_validate(found.by_key),
    )
