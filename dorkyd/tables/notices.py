"""Notices of tables whose schema changed: written into the journal once, told in `status` for some days.

They stand in the history as well, which forgets only what is very old. Engine thread.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from dorkyd.core.model import Digest, Path, Version
from dorkyd.core.report import Warning
from dorkyd.journal import Journal
from dorkyd.ledger import Event

VERB = "schema"
"""In the history."""
KEPT_NS = 3 * 86_400 * 10**9
"""So long `status` tells of one."""
MOST = 20
SHOWN = 5
CODE = "table-changed"
_PLACE = "table_notices"


@dataclass(frozen=True, slots=True)
class Notice:
    """One table that changed."""

    at_ns: int
    path: Path
    what: str
    """`dropped payment; rows fell from 1,000 to 400`."""
    device: str


def note(journal: Journal, notice: Notice, digest: Digest, version: Version | None) -> None:
    """Remember it. In one transaction."""
    event = Event(VERB, notice.path, notice.device, digest, version=version, detail=notice.what)
    with journal.atomic():
        journal.ledger.log(notice.at_ns, [event])
        # Of one path the newest counts: whoever looks there sees what it is now.
        kept = [notice, *(each for each in noted(journal) if each.path != notice.path)][:MOST]
        journal.put(_PLACE, json.dumps([asdict(each) for each in kept]))


def noted(journal: Journal) -> Sequence[Notice]:
    """Newest first."""
    text = journal.get(_PLACE)
    return [Notice(**each) for each in json.loads(text)] if text is not None else []


def seen(journal: Journal) -> None:
    """A person has read them."""
    with journal.atomic():
        journal.put(_PLACE, None)


def warnings(notices: Sequence[Notice], project: str, now_ns: int) -> list[Warning]:
    """As `status` tells them."""
    fresh = [each for each in notices if 0 <= now_ns - each.at_ns < KEPT_NS]
    told = [
        Warning(CODE, f"{each.path}: {each.what} (by {each.device})", f"dorkyctl diff '{project}:{each.path}'")
        for each in fresh[:SHOWN]
    ]
    if len(fresh) > SHOWN:
        more = f"{len(fresh) - SHOWN} more tables changed"
        told.append(Warning(CODE, more, f"dorkyctl log {project} --action {VERB}"))
    return told
