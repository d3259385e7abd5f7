"""`dorkyctl status` as prompts and scripts ask it, every few seconds: what it needs, and no more.

Most of what a command costs is importing. The parser of commands and the models of messages together cost more than
everything here, so this module has neither; `understood` takes the plain forms of the command, and leaves all others,
wrong ones too, to the parser. The document is read unchecked: it comes from our own daemon, which checked it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from json import loads
from types import SimpleNamespace
from typing import TYPE_CHECKING, NamedTuple, cast
from urllib.parse import quote

from dorkyd.cli.telling import Exit, emit, show
from dorkyd.client import quick
from dorkyd.core.states import HaltReason, State

if TYPE_CHECKING:
    from dorkyd.api.messages import ProjectStatus, StatusDocument


class Wanted(NamedTuple):
    """What of `status` is asked for."""

    name: str | None = None
    json: bool = False
    exit_code: bool = False


def understood(words: Sequence[str]) -> Wanted | None:
    """What the words after `status` ask for; None: the parser must say."""
    wanted = Wanted()
    for word in words:
        if word == "--json":
            wanted = wanted._replace(json=True)
        elif word == "--exit-code":
            wanted = wanted._replace(exit_code=True)
        elif word.startswith("-") or wanted.name is not None or not word:
            return None
        else:
            wanted = wanted._replace(name=word)
    return wanted


def glance(wanted: Wanted) -> Exit:
    """Print it, and say how to exit."""
    name = wanted.name
    body = quick.get("/v1/status" if name is None else f"/v1/status?project={quote(name, safe='')}")
    document = document_of(body)
    if wanted.json:
        emit(body)
    else:
        from dorkyd.cli import table  # noqa: PLC0415  nothing is drawn for programs

        table.show(document)
        if name is not None and document.projects[0].manual is not None:
            from dorkyd.cli import manual  # noqa: PLC0415  it needs a whole client
            from dorkyd.client import DorkyClient  # noqa: PLC0415

            with DorkyClient() as client:
                for line in manual.tell(client, name):
                    show(line)
    return code_of(document.projects, pending_counts=wanted.exit_code)


def leave(wanted: Wanted) -> None:
    """Print it, and end the process."""
    sys.exit(glance(wanted))


class Seen(SimpleNamespace):
    """An object of the document by its fields."""


_NO_LIMIT = Seen(up=None, down=None)
_UNTOLD: Mapping[str, object] = {
    "manual": None,
    "bandwidth": _NO_LIMIT,
    "cost": Seen(usd_per_month=None),
    "warnings": (),
    "speed": Seen(up=0, down=0, left_s=None),
    "identity": "",
    "credentials_until": None,
    "detail": "",
    "hint": "",
}
"""Of a project, what an older daemon does not tell."""


def document_of(body: bytes) -> StatusDocument:
    """The document as its message would be."""
    document = loads(body, object_hook=lambda fields: Seen(**fields))
    document.__dict__.setdefault("warnings", ())
    document.daemon.__dict__.setdefault("bandwidth", _NO_LIMIT)
    for project in document.projects:
        project.__dict__.update({key: value for key, value in _UNTOLD.items() if key not in project.__dict__})
        project.state = State(project.state)
        if project.halt is not None:
            project.halt.reason = HaltReason(project.halt.reason)
    return cast("StatusDocument", document)


def code_of(projects: Sequence[ProjectStatus], *, pending_counts: bool = False) -> Exit:
    """The exit code for their health: the first that applies to any of them."""
    if any(
        each.conflicts or each.problems or each.halt or each.state in (State.HALTED, State.ERROR) for each in projects
    ):
        return Exit.ATTENTION
    if any(each.state is State.AUTH_EXPIRED for each in projects):
        return Exit.CREDENTIALS
    if any(each.state is State.OFFLINE for each in projects):
        return Exit.TEMPORARY
    if pending_counts and any(each.state is State.SYNCING or _work(each) for each in projects):
        return Exit.PENDING
    return Exit.OK


def _work(project: ProjectStatus) -> int:
    work, manual = project.pending, project.manual
    if manual is not None and (manual.staged or manual.changed or manual.behind):
        return 1
    return work.upload + work.download + work.delete_local + work.delete_remote
