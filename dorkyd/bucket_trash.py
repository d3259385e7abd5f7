"""The bucket's trash: where states that are replaced or deleted are kept, and how it stays within its limits.

In a store without versions each such state is first copied to `.dorky/trash/<path>/<UTC time>-<version>`. How long and how
much is kept stands in the project's document, so that it is the same whichever device tidies up. What holds, however many
devices do so at once and wherever one is killed:

1. Age is told by the store's clock alone: a copy's LastModified against the latest LastModified that is known of the
   project. A store that tells none keeps its trash. So a project that rests keeps it too, until somebody changes a file.
2. The newest copy of a path stays at least `NEWEST_STAYS_S`, and for as long as the object that it is a copy of is still in
   its place: its replacement may be under way, for hours if it is large.
3. Every removal is conditional on the version that was listed: whoever comes second finds nothing to do.
4. What is no copy of ours by its name stays.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import Lock

from dorkyd.core.model import Path, Version
from dorkyd.core.paths import key_problem
from dorkyd.core.settings import TrashLimits
from dorkyd.errors import Stale
from dorkyd.ports import Bucket, Listed

TRASH = ".dorky/trash/"
NEWEST_STAYS_S = 86_400
"""Seconds that the newest copy of a path stays at least, as in a folder's own trash."""
SLACK_S = 86_400
"""What is too old goes when some of it is so by that much: a day's copies go together."""
PAGES = 100
"""Pages of the trash that one run takes in; the next run goes on where it ended."""
REMOVALS = 5000
"""Copies that one run removes at most."""

SERVES_S = 6 * 3600
"""Seconds that a copy serves for later tries of the same write: much less than `NEWEST_STAYS_S`, which counts from the copy."""
GIVEN = 1000
"""Paths of which the last copy is remembered."""

_KEY_ROOM = 900
"""Bytes of a key with which every store has room for the prefix."""
_KEY = re.compile(r"\.dorky/trash/(?P<path>.+)/[0-9]{8}T[0-9]{6}Z-(?P<version>[^/]+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Purged:
    """What a run did."""

    removed: int = 0
    """Copies."""
    bytes: int = 0
    """Theirs."""
    go_on_after: str = ""
    """The key after which the next run begins; empty: from the start."""
    more: bool = False
    """There is more to do at once."""


@dataclass(frozen=True, slots=True)
class _Copy:
    listed: Listed
    path: str
    of: str
    """The version that it is a copy of."""
    modified: int


def trash_key(path: Path, version: Version, time_ns: int) -> str:
    """Where the bucket keeps an object state that was replaced or deleted."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time_ns // 1_000_000_000))
    key = f"{TRASH}{path}/{stamp}-{version}"
    if len(key.encode()) <= _KEY_ROOM:
        return key
    return f"{TRASH}{hashlib.sha256(path.encode()).hexdigest()}/{stamp}-{version}"


class Given:
    """Copies that this process made of states which it was about to replace or delete. A write that is refused or fails again
    and again is preceded by one copy, not by one each time: they would push what others replaced out of the trash. Any thread.
    """

    def __init__(self) -> None:
        self._last: OrderedDict[Path, tuple[Version, str, float]] = OrderedDict()
        self._lock = Lock()

    def note(self, path: Path, version: Version, key: str, now: float) -> None:
        """A copy was made. `now`: monotonic."""
        with self._lock:
            self._last[path] = (version, key, now)
            self._last.move_to_end(path)
            while len(self._last) > GIVEN:
                self._last.popitem(last=False)

    def still(self, bucket: Bucket, path: Path, version: Version, now: float) -> bool:
        """The trash has a copy of this very state that was made a short time ago. Asks the store only where one was made. By
        its clock, since a version may come back with its content: a state that is younger than the copy is another one.
        """
        with self._lock:
            of, key, at = self._last.get(path, (None, "", 0.0))
        if of != version or now - at > SERVES_S:
            return False
        copy, there = bucket.head(key), bucket.head(path)
        if copy is None or there is None or there.version != version:
            return False
        return copy.modified is not None and there.modified is not None and there.modified <= copy.modified


@dataclass(frozen=True, slots=True)
class Kept:
    """One state in the trash."""

    path: Path
    of: Version
    """The version that it is a copy of."""
    listed: Listed
    until_s: int | None
    """When it was replaced or deleted, by the clock of who did so; None: its name has no such time."""


def copies_below(bucket: Bucket, folder: str) -> list[Kept]:
    """The states of all paths inside a folder that the trash keeps, oldest first; `""`: of all. Paths too long for a key of
    the trash are not among them.
    """
    beginning = f"{TRASH}{folder}/" if folder else TRASH
    return [kept for page in bucket.list(beginning) for listed in page if (kept := _kept(listed)) is not None]


def _kept(listed: Listed) -> Kept | None:
    found = _KEY.fullmatch(listed.key)
    if found is None or key_problem(found["path"]) is not None:
        return None
    return kept_of(Path(found["path"]), Version(found["version"]), listed)


def kept_of(path: Path, version: Version, listed: Listed) -> Kept:
    """A copy, with what its name tells."""
    stamp = listed.key.rpartition("/")[2].partition("-")[0]
    try:
        until_s: int | None = int(datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp())
    except ValueError:
        until_s = None
    return Kept(path, version, listed, until_s)


def copies_of(bucket: Bucket, path: Path) -> dict[Version, Listed]:
    """The states of one path that the trash keeps, by the version that each is a copy of; newest first."""
    key = trash_key(path, Version("v"), 0)
    beginning = key[: key.rindex("/") + 1]
    found = [
        (listed, Version(named["version"]))
        for page in bucket.list(beginning)
        for listed in page
        if (named := _KEY.fullmatch(listed.key)) is not None and listed.key.rindex("/") + 1 == len(beginning)
    ]
    return {version: listed for listed, version in sorted(found, key=lambda one: one[0].key, reverse=True)}


def purge(bucket: Bucket, limits: TrashLimits, *, now: int, go_on_after: str = "") -> Purged:
    """Remove what is past the limits, oldest first. Any thread; touches nothing but copies in the trash. One request a
    thousand copies when there is nothing to do.

    `now`: the latest LastModified known of this project, whole seconds. Raises what the bucket raises; a run that breaks
    off is gone on with by the next.
    """
    copies, end = _listed(bucket, go_on_after)
    copies.sort(key=lambda copy: (copy.modified, copy.listed.key))
    now = max([now, *(copy.modified for copy in copies[-1:])])
    newest: dict[str, int] = {copy.path: copy.modified for copy in copies}
    removed = freed = 0
    total = sum(copy.listed.size for copy in copies)
    too_old = now - limits.days * 86_400
    if not copies or (total <= limits.size and copies[0].modified > too_old - SLACK_S):
        return Purged(go_on_after=end)
    for copy in copies:
        if copy.modified > too_old and total <= limits.size:
            break
        if removed == REMOVALS:
            return Purged(removed, freed, go_on_after, more=True)
        # Several of one second are all the newest.
        if newest[copy.path] == copy.modified and (
            now - copy.modified < NEWEST_STAYS_S or _awaits_replacement(bucket, copy)
        ):
            continue
        total -= copy.listed.size
        try:
            bucket.delete(copy.listed.key, replaces=copy.listed.version)
        except Stale:
            continue  # somebody was faster
        removed += 1
        freed += copy.listed.size
    return Purged(removed, freed, end, more=bool(end))


def _listed(bucket: Bucket, after: str) -> tuple[list[_Copy], str]:
    """Copies of known age, and where to go on; empty: this was the end."""
    copies: list[_Copy] = []
    for taken, page in enumerate(bucket.list(TRASH, start_after=after), start=1):
        for listed in page:
            found = _KEY.fullmatch(listed.key)
            if found is not None and listed.modified is not None and key_problem(found["path"]) is None:
                copies.append(_Copy(listed, found["path"], found["version"], listed.modified))
        if taken == PAGES and page:
            return copies, page[-1].key
    return copies, ""


def _awaits_replacement(bucket: Bucket, copy: _Copy) -> bool:
    """The state is still in its place. A path too long for a key of the trash is not known here: it stands in no place."""
    info = bucket.head(copy.path)
    return info is not None and info.version == copy.of
