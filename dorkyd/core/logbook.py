"""The bucket's log as text: entries written and read, and the project's own document beside it.

Reading is total. A bucket may hold anything under `.dorky/log/`: an entry that makes no sense reads as *something
happened here*, which a full listing settles. The log is a hint; looking decides.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeGuard

from dorkyd.core.metadata import is_batch
from dorkyd.core.model import PERMISSION_BITS, Op, Path, ReplicaId, Version
from dorkyd.core.paths import parse
from dorkyd.core.settings import TrashLimits
from dorkyd.errors import PathProblem

LOG = ".dorky/log/"
PROJECT = ".dorky/project.json"
FORMAT = 1
LAST_NUMBER = 999_999_999_999
"""Log numbers have 12 digits."""
ENTRY_CHANGES = 500
"""Changes in one entry at most; a batch larger than that becomes several."""
_MOST_CHANGES = 20 * ENTRY_CHANGES
"""An entry of more is none of ours: a listing costs less than so many looks."""

_KEY = re.compile(r"\.dorky/log/([0-9]{12})\.json")
_OCTAL = re.compile(r"[0-7]{1,6}")
_SIZE_LIMIT = 2**63
_PROJECT_ID = re.compile(r"[!-~]{1,128}")
"""It goes into every folder's marker, whose size is limited, and into messages."""
_DAYS_LIMIT = 36_500


@dataclass(frozen=True, slots=True)
class Change:
    """One remote change, as its maker announces it."""

    path: Path
    verb: str
    """`put`, `copy`, `patch` or `delete`."""
    op: Op
    version: Version | None
    """What it made; None: a delete, or not known."""
    digest: str | None
    size: int | None
    mode: int | None
    replaces: Version | None
    approved: bool
    """A person let this deletion pass a guard."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One batch of remote changes."""

    replica: ReplicaId
    device: str
    time: str
    """RFC 3339, UTC, by the writer's clock: for people."""
    changes: tuple[Change, ...]
    whole: bool = True
    """False: part of it made no sense; list the bucket to be sure."""
    batch: str | None = None
    """The atomic batch that is complete with these changes, which are all of it."""
    author: str = ""
    """The person at that device, as they call themselves; empty: not said."""


UNREADABLE = Entry(ReplicaId(""), "", "", (), whole=False)


@dataclass(frozen=True, slots=True)
class ProjectDocument:
    """`.dorky/project.json`: what makes a prefix this project's."""

    project_id: str
    floor: int
    """Log entries below this number may be gone."""
    trash: TrashLimits = field(default_factory=TrashLimits)
    """Of the bucket's trash."""


def entry_key(number: int) -> str:
    """Where an entry stands."""
    return f"{LOG}{number:012d}.json"


def entry_number(key: str) -> int | None:
    """The number of an entry's key; None: no entry's key."""
    found = _KEY.fullmatch(key)
    return int(found[1]) if found else None


def encode_entry(entry: Entry) -> bytes:
    """An entry as it stands in the bucket."""
    changes = [
        {
            "path": c.path,
            "verb": c.verb,
            "op": c.op,
            "version": c.version,
            "digest": c.digest,
            "size": c.size,
            "mode": None if c.mode is None else f"{c.mode:03o}",
            "replaces": c.replaces,
            **({"approved": True} if c.approved else {}),
        }
        for c in entry.changes
    ]
    document = {"format": FORMAT, "replica": entry.replica, "device": entry.device, "time": entry.time}
    if entry.author:
        document["author"] = entry.author
    if entry.batch is not None:
        document["batch"] = entry.batch
    return json.dumps({**document, "changes": changes}, ensure_ascii=False, separators=(",", ":")).encode()


def decode_entry(text: bytes) -> Entry:
    """An entry as read. What cannot be understood is left out and `whole` is False."""
    document = _document(text)
    changes = document.get("changes") if document is not None else None
    if document is None or document.get("format") != FORMAT or not isinstance(changes, list):
        return UNREADABLE
    if len(changes) > _MOST_CHANGES:
        return UNREADABLE
    read = [_change(raw) for raw in changes]
    return Entry(
        replica=ReplicaId(_text(document, "replica") or ""),
        device=(_text(document, "device") or "")[:255],
        time=(_text(document, "time") or "")[:40],
        changes=tuple(c for c in read if c is not None),
        whole=None not in read,
        batch=_batch(document),
        author=(_text(document, "author") or "")[:255],
    )


def encode_project(project: ProjectDocument) -> bytes:
    """The project's document as it stands in the bucket."""
    document = {"format": FORMAT, "project_id": project.project_id, "floor": project.floor}
    return json.dumps({**document, "trash": _trash_text(project.trash)}).encode()


def decode_project(text: bytes) -> ProjectDocument | None:
    """The project's document; None when it makes no sense or is of a later format."""
    document = _document(text)
    if document is None or document.get("format") != FORMAT:
        return None
    project_id = _text(document, "project_id")
    floor = document.get("floor", 1)
    if project_id is None or not _PROJECT_ID.fullmatch(project_id) or not _is_number(floor, LAST_NUMBER + 1):
        return None
    return ProjectDocument(project_id, floor, _trash(document.get("trash")))


def with_floor(text: bytes, floor: int) -> bytes:
    """The document that `text` is, with another floor. Whatever else stands in it, a later version's words too, stays."""
    document = _document(text)
    assert document is not None
    return json.dumps({**document, "floor": floor}, ensure_ascii=False).encode()


def with_trash(text: bytes, limits: TrashLimits) -> bytes:
    """As `with_floor`, with other limits of the trash; what a later version says of the trash beside them stays too."""
    document = _document(text)
    assert document is not None
    before = document.get("trash")
    trash = {**(before if isinstance(before, dict) else {}), **_trash_text(limits)}
    return json.dumps({**document, "trash": trash}, ensure_ascii=False).encode()


def approvals(changes: Iterable[Change]) -> list[tuple[Path, Version]]:
    """Deletions whose approval came with the news, by path and the state deleted."""
    return [(c.path, c.replaces) for c in changes if c.approved and c.verb == "delete" and c.replaces is not None]


def _document(text: bytes) -> Mapping[str, object] | None:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _text(document: Mapping[str, object], key: str) -> str | None:
    value = document.get(key)
    if not isinstance(value, str):
        return None
    try:
        value.encode()
    except UnicodeEncodeError:
        return None  # JSON can spell a lone surrogate, which is no text: neither a database nor a key takes it
    return value


def _batch(document: Mapping[str, object]) -> str | None:
    said = _text(document, "batch")
    return said if said is not None and is_batch(said) else None


def _trash_text(limits: TrashLimits) -> dict[str, object]:
    return {"days": limits.days, "bytes": limits.size}


def _trash(raw: object) -> TrashLimits:
    """What is missing or makes no sense is as by default: a purge is never called for by a slip."""
    words = raw if isinstance(raw, dict) else {}
    days, size = words.get("days"), words.get("bytes")
    usual = TrashLimits()
    if not isinstance(days, int | float) or isinstance(days, bool) or not 0 <= days <= _DAYS_LIMIT:
        days = usual.days
    return TrashLimits(days, size if _is_number(size, _SIZE_LIMIT) else usual.size)


def _is_number(value: object, limit: int) -> TypeGuard[int]:
    """A whole number from 0 up to, not including, `limit`. JSON's `true` is none, though Python counts it as 1."""
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < limit


def _change(raw: object) -> Change | None:
    if not isinstance(raw, dict):
        return None
    op, verb, path = _text(raw, "op"), _text(raw, "verb"), _text(raw, "path")
    if op is None or verb is None or path is None:
        return None
    try:
        parsed = parse(path)
    except PathProblem:
        return None
    size, version, replaces = raw.get("size"), _text(raw, "version"), _text(raw, "replaces")
    mode = _text(raw, "mode") or ""
    return Change(
        path=parsed,
        verb=verb,
        op=Op(op),
        version=Version(version) if version is not None else None,
        digest=_text(raw, "digest"),
        size=size if _is_number(size, _SIZE_LIMIT) else None,
        mode=int(mode, 8) & PERMISSION_BITS if _OCTAL.fullmatch(mode) else None,
        replaces=Version(replaces) if replaces is not None else None,
        approved=raw.get("approved") is True,
    )
