"""A project frozen while a job writes into its folder. Plans, and what both clients' freezes share."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field

from dorkyd.api import calls, freeze_calls
from dorkyd.api import freeze_messages as fm
from dorkyd.api.calls import Call
from dorkyd.api.failures import ApiError
from dorkyd.client import places
from dorkyd.client.plans import Ask, Patience, Plan, call, persistently

RENEWALS = 4
"""In one lease."""


@dataclass(slots=True)
class Freeze:
    """A freeze that is held (`DorkyClient.freeze`)."""

    project: str
    name: str
    lease_s: float
    thawed: fm.Thawed | None = None
    """How it ended, once the block is over."""
    lost: ApiError | None = field(default=None, repr=False)
    """Why it is over already: the daemon was away for longer than the lease, or the limit was reached."""

    @property
    def renew_every_s(self) -> float:
        """How often it is said that its holder works."""
        return self.lease_s / RENEWALS

    def heard(self, failure: ApiError) -> None:
        """A renewal failed: is it over?"""
        if failure.code == "no-such-freeze":
            self.lost = failure


def whoever() -> str:
    """This program, for people."""
    program = os.path.basename(sys.argv[0] or "python") or "python"
    return f"{program}, process {os.getpid()}"


def begin(
    project: str | None, name: str, holder: str | None, *, lease_s: float, limit_s: float, patience: Patience
) -> Plan[Freeze]:
    """Freeze. `project` None: the only one."""
    if project is None:
        project = places.only((yield from call(calls.projects())).items, "").project
    asked = freeze_calls.freeze(project, name, holder or whoever(), lease_s=lease_s, limit_s=limit_s)
    answer = yield from persistently(_ask(asked), patience)
    frozen = fm.Freeze.model_validate_json(answer.body)
    return Freeze(project, frozen.name, frozen.lease_s)


def renew(freeze: Freeze) -> Plan[None]:
    """Say that its holder works. What fails is made up for by the next, or told by the release: nobody hears of it here."""
    try:
        yield from call(freeze_calls.renew(freeze.project, freeze.name))
    except ApiError as exc:
        freeze.heard(exc)


def release(freeze: Freeze, patience: Patience) -> Plan[None]:
    """Let go, and wait until all of it went. Raises why it was over before, if so."""
    if freeze.lost is not None:
        raise freeze.lost
    answer = yield from persistently(_ask(freeze_calls.release(freeze.project, freeze.name)), patience)
    freeze.thawed = fm.Thawed.model_validate_json(answer.body)


def _ask(asked: Call[fm.Freeze] | Call[fm.Thawed]) -> Ask:
    return Ask(asked.method, asked.path, document=asked.body, patience_s=asked.patience_s)
