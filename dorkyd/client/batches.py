"""Atomic batches: several artifacts that appear in every folder together. Plans, and what both clients' batches share."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import quote

from dorkyd.api import calls
from dorkyd.api import messages as m
from dorkyd.api.failures import BadRequest
from dorkyd.client import places
from dorkyd.client.plans import Ask, Patience, Plan, call, persistently


@dataclass(frozen=True, slots=True)
class Began:
    """A batch that can be written to."""

    project: str
    id: str

    def place(self, to: str | None) -> str:
        """Where an artifact of it goes: `PROJECT:PATH`, or a path in the batch's project; None: its base name there."""
        told = places.named(to) if to is not None else None
        if told is not None and told.project != self.project:
            raise BadRequest(
                f"{told} is not in {self.project}, whose batch this is.",
                code="other-project",
                hint="A batch belongs to one project.",
            )
        return f"{self.project}:{told.path if told is not None else to or ''}"


def begin(project: str | None, patience: Patience) -> Plan[Began]:
    """Begin one. `project` None: the only one."""
    if project is None:
        project = places.only((yield from call(calls.projects())).items, "").project
    answer = yield from persistently(Ask("POST", f"/v1/projects/{quote(project, safe='')}/batches"), patience)
    return Began(project, m.Batch.model_validate_json(answer.body).id)


def commit(began: Began, patience: Patience) -> Plan[None]:
    """Complete it: twice is once."""
    path = f"/v1/projects/{quote(began.project, safe='')}/batches/{began.id}/commit"
    yield from persistently(Ask("POST", path, patience_s=None), patience)
