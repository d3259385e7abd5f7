"""What adopting a project of the npm tool `dorky` will do, file by file, before anything is done. Pure: looked-at values in,
a plan out.

Adopting writes one entry in the configuration, no object and no file of the folder. Everything after it is ordinary sync
without a base: what the listing proves equal is joined, what is on one side comes to the other, what differs becomes the
object and a conflict copy. So each file's *standing* says what sync will do.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dorkyd.core.ignore import IGNORE_FILE
from dorkyd.core.model import Path, Version
from dorkyd.core.npm_dorky import Claim, NpmProject
from dorkyd.core.npm_ignore import keeping
from dorkyd.core.report import Warning

_TOKEN_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Here:
    """A file of the folder."""

    size: int
    """Bytes."""
    md5: str | None = None
    """Hexadecimal; None: it was not read, since the bucket has no such object."""
    replaced: bool = False
    """It holds the character that stands for bytes which are no text (U+FFFD)."""


@dataclass(frozen=True, slots=True)
class There:
    """An object, as the listing tells it."""

    size: int
    """Bytes."""
    version: Version
    md5: str | None = None
    """None: the listing tells none."""


@dataclass(frozen=True, slots=True)
class Copy:
    """An object of its history."""

    id: str
    """Of the push."""
    path: str
    size: int
    md5: str | None


@dataclass(frozen=True, slots=True)
class Bucket:
    """What lies below its prefix."""

    objects: Mapping[Path, There]
    copies: tuple[Copy, ...] = ()
    strange: int = 0
    """Keys that can be no file here."""
    adopted: bool = False
    """Some dorkyd made a project of this prefix already."""


@dataclass(frozen=True, slots=True)
class Folder:
    """What lies in the folder."""

    files: Mapping[Path, Here]
    """Of those that it tracks or the bucket has."""
    others: Mapping[Path, int]
    """Sizes of the files that it was never given, the ignored ones left out."""
    unknown: tuple[str, ...] = ()
    """What could not be looked at, and why."""
    ignore_text: str | None = None
    """`.dorkyignore`."""


class Standing(StrEnum):
    """One file, and so what sync will do with it."""

    SAME = "same"
    """Joined as it is: nothing is sent or fetched."""
    UNPROVED = "unproved"
    """Of one size, and the listing tells no MD5: the object is fetched once to compare."""
    DIFFERS = "differs"
    """The object keeps the name, the file becomes a conflict copy beside it, on every device."""
    ONLY_HERE = "only-here"
    """Sent."""
    ONLY_THERE = "only-there"
    """Fetched."""
    NOWHERE = "nowhere"
    """It is tracked, and on neither side."""


@dataclass(frozen=True, slots=True)
class ImportItem:
    """One file of the plan."""

    path: Path
    standing: Standing
    size: int | None
    """Bytes, of the object where there is one; None: nowhere."""
    digest: str | None
    """`md5:…` of the object, else of the file; None: not known."""
    version: Version | None
    """Of the object; None: there is none."""
    tracked: bool
    """It was given to the npm tool in this folder."""
    detail: str = ""
    """What is worth knowing of it, for people."""


@dataclass(frozen=True, slots=True)
class HistoryCopies:
    """What becomes of its history: nothing. It stays in the bucket, and no folder receives it."""

    pushes: int
    """Entries of history.json."""
    ids: int
    """Pushes of which the bucket has copies."""
    objects: int
    bytes: int
    unknown_ids: tuple[str, ...]
    """Pushes that the bucket has and history.json does not know: of another clone, or another folder of that name."""
    repeated_ids: tuple[str, ...]
    """Ids that more than one push has; the bucket keeps the copies of the last."""
    missing: int
    """Files of pushes of which the bucket has no copy."""
    differing: int
    """Copies that are not what history.json says: it hashed at `--add` and sent at `--push`."""


@dataclass(frozen=True, slots=True)
class ImportPlan:
    """Everything a person should see before saying yes."""

    name: str
    """Of the project it becomes."""
    path: str
    """The folder, absolute."""
    bucket: str
    storage: str
    """Where the npm tool stored: `aws`, `google-drive`; empty: it does not say."""
    items: tuple[ImportItem, ...]
    history: HistoryCopies
    untracked: int
    """Files of the folder that it was never given."""
    untracked_bytes: int
    everything: bool
    """They are synced as well."""
    ignore: tuple[str, ...]
    """Patterns for the project's settings."""
    region: str | None
    """For the project's settings."""
    moves: tuple[str, ...]
    """Files in `.dorky/` that go to `.dorky/npm/`."""
    token: str
    """Names exactly this plan: what is carried out is what was shown."""
    warnings: tuple[Warning, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    """Files by standing."""


def items_of(project: NpmProject, folder: Folder, bucket: Bucket) -> tuple[ImportItem, ...]:
    """Every file that either side or the npm tool knows, in order."""
    known = {*project.claims, *bucket.objects}
    if IGNORE_FILE in folder.files:
        known.add(IGNORE_FILE)
    return tuple(
        _item(path, project.claims.get(path), folder.files.get(path), bucket.objects.get(path))
        for path in sorted(known)
    )


def _item(path: Path, claim: Claim | None, here: Here | None, there: There | None) -> ImportItem:
    standing = _standing(here, there)
    size = there.size if there is not None else here.size if here is not None else None
    md5 = there.md5 if there is not None else here.md5 if here is not None else None
    return ImportItem(
        path,
        standing,
        size,
        f"md5:{md5}" if md5 is not None else None,
        there.version if there is not None else None,
        tracked=claim is not None,
        detail=_detail(path, standing, claim, here, there),
    )


def _standing(here: Here | None, there: There | None) -> Standing:
    if here is None:
        return Standing.ONLY_THERE if there is not None else Standing.NOWHERE
    if there is None:
        return Standing.ONLY_HERE
    if here.size != there.size:
        return Standing.DIFFERS
    if here.md5 is None or there.md5 is None:
        return Standing.UNPROVED
    # An MD5 that a listing tells proves equality alone. Where it is one, other bytes have another.
    return Standing.SAME if here.md5 == there.md5 else Standing.DIFFERS


def _detail(path: Path, standing: Standing, claim: Claim | None, here: Here | None, there: There | None) -> str:
    if standing is Standing.DIFFERS and here is not None and there is not None:
        return _difference(claim, here, there)
    if claim is None:
        if path == IGNORE_FILE and there is None:
            return "the npm tool never pushes it; a project's ignore file is synced"
        return "never given to the npm tool in this folder" if standing is not Standing.SAME else ""
    if standing is Standing.ONLY_HERE:
        return "never pushed" if claim.pushed is None else "pushed once, and gone from the bucket since"
    if standing is Standing.ONLY_THERE:
        return "not in the folder; to leave it out, delete it once it is here"
    return ""


def _difference(claim: Claim | None, here: Here, there: There) -> str:
    pushed = claim.pushed if claim is not None else None
    if pushed is not None and pushed == there.md5:
        if here.replaced:
            return "the object is as pushed; the file looks as if the npm tool's pull damaged it, which reads every file as text"
        return "changed here since its last push"
    if pushed is not None and pushed == here.md5:
        return "changed in the bucket since this folder pushed it: by another clone, or another folder of that name"
    return "neither side is what this folder last pushed"


def history_of(project: NpmProject, bucket: Bucket) -> HistoryCopies:
    """How far the bucket's copies are what history.json tells."""
    there = {(copy.id, copy.path): copy for copy in bucket.copies}
    # Of pushes with one id the last counts: its copies replaced those of the others.
    last = {push.id: push for push in project.pushes}
    wanted = {(push.id, str(path)): md5 for push in last.values() for path, md5 in push.files.items()}
    ids = {copy.id for copy in bucket.copies}
    found = {place: there[place].md5 for place in wanted if place in there}
    return HistoryCopies(
        pushes=len(project.pushes),
        ids=len(ids),
        objects=len(bucket.copies),
        bytes=sum(copy.size for copy in bucket.copies),
        unknown_ids=tuple(sorted(ids - last.keys())),
        repeated_ids=tuple(
            sorted(id_ for id_, times in Counter(push.id for push in project.pushes).items() if times > 1)
        ),
        missing=len(wanted) - len(found),
        differing=sum(md5 is not None and wanted[place] not in {None, md5} for place, md5 in found.items()),
    )


def patterns_of(items: tuple[ImportItem, ...], folder: Folder, *, everything: bool) -> tuple[str, ...]:
    """The settings' `ignore`: what the npm tool carried is synced, and nothing else unless `everything` is asked."""
    kept = [item.path for item in items if item.tracked or item.version is not None]
    return keeping(kept, () if everything else folder.others, folder.ignore_text)


def token_of(*parts: object) -> str:
    """A name of what will be done."""
    return hashlib.sha256(repr(parts).encode("utf-8", "backslashreplace")).hexdigest()[:_TOKEN_DIGITS]
