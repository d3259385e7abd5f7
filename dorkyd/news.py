"""The bucket's log and its listing: where the news of other devices comes from.

News travels by a log: `.dorky/log/<seq, 12 digits>.json`, create-only, one total order without clocks or a coordinator.
A device asks with one GET of the next number. Truth comes from looking: entries and listings only say which paths to
look at again. This module reads and writes; what is done with it is `dorkyd.remote_side`'s.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO

from dorkyd.ahead import Paging, in_two, one_ahead
from dorkyd.core import metadata
from dorkyd.core.logbook import (
    LAST_NUMBER,
    LOG,
    PROJECT,
    UNREADABLE,
    Entry,
    ProjectDocument,
    decode_entry,
    decode_project,
    encode_entry,
    encode_project,
    entry_key,
    entry_number,
    with_encryption,
    with_floor,
    with_trash,
)
from dorkyd.core.model import Digest, Version
from dorkyd.core.pushes import plan_number
from dorkyd.core.settings import TrashLimits
from dorkyd.errors import Blocked, Stale
from dorkyd.ports import Bucket, Listed

_ENTRY_LIMIT = 8 * 1024 * 1024
"""Bytes of an entry worth reading; a larger one is somebody's mischief and a listing is cheaper."""
_PAGE = 1000
"""Keys that a store tells in one request, about."""
_OURS = ".dorky/"
_AFTER_OURS = ".dorky0"
"""The first key that can follow all of ours (`0` is the character after `/`)."""


@dataclass(frozen=True, slots=True)
class Bytes:
    """Bytes in memory as an upload's body."""

    data: bytes

    @property
    def size(self) -> int:
        """Bytes."""
        return len(self.data)

    @property
    def digest(self) -> Digest:
        """Of the bytes."""
        return metadata.sha256(hashlib.sha256(self.data).hexdigest())

    def open(self) -> BinaryIO:
        """A fresh stream."""
        return io.BytesIO(self.data)


@dataclass(frozen=True, slots=True)
class Logged:
    """One entry of the log, as a listing tells it."""

    number: int
    version: Version
    modified: int | None
    """As `Listed.modified`."""


@dataclass(frozen=True, slots=True)
class LogState:
    """What a look at the log after a place told."""

    first: tuple[Logged, ...]
    """The first entries from there on, ascending: all of them, or at least a page."""
    highest: Logged | None
    """The last entry of the log; None: there is none from that place on."""

    def at(self, number: int) -> Logged | None:
        """One of the first entries; None: it is not there."""
        return next((entry for entry in self.first if entry.number == number), None)


class News:
    """Reads and writes the log and the project's document, and lists the rest."""

    def __init__(self, bucket: Bucket, paging: Paging = Paging()) -> None:  # noqa: B008  a value
        self._bucket, self.paging = bucket, paging
        self.plans: frozenset[str] = frozenset()
        """Pushes that were not over when the bucket was last listed (`dorkyd.core.pushes`), by the keys of their plans."""

    def entry(self, number: int) -> tuple[Entry, Version] | None:
        """One entry and its version; None: nobody wrote it yet."""
        if number > LAST_NUMBER:
            return None
        try:
            found = self._bucket.read(entry_key(number), limit=_ENTRY_LIMIT)
        except Blocked as exc:
            if exc.code != "too-large":
                raise
            info = self._bucket.head(entry_key(number))
            return (UNREADABLE, info.version) if info is not None else None
        return (decode_entry(found[1]), found[0].version) if found is not None else None

    def create(self, number: int, entry: Entry) -> Version:
        """Write an entry. `Stale` when the number is taken."""
        return self._bucket.put(entry_key(number), Bytes(encode_entry(entry)), replaces=None, meta={}).version

    def log_from(self, number: int) -> LogState:
        """The first entries from `number` on, and the last of all. However long the log is that takes a number of
        requests which grows with the logarithm of its length only: a device that was away for months asks little.
        """
        pages = self._log_pages(number)
        first = [*next(pages, ()), *next(pages, ())]
        if not first:
            return LogState((), None)
        beyond = next(pages, None)
        highest = first[-1] if beyond is None else self._highest(beyond[-1])
        return LogState(tuple(first), highest)

    def _highest(self, known: Logged) -> Logged:
        """The last entry, given one: steps that double until one finds nothing, then halves of what is between."""
        step, nothing_from = 2 * _PAGE, LAST_NUMBER + 1
        while True:
            ask = min(known.number + step, (known.number + nothing_from) // 2)
            pages = self._log_pages(max(ask, known.number + 1))
            page = next(pages, None)
            if page is None:
                nothing_from = max(ask, known.number + 1)
            else:
                known = page[-1]
                if next(pages, None) is None:
                    return known
            if known.number + 1 >= nothing_from:
                return known
            step *= 2

    def log_pages(self) -> Iterator[Sequence[Logged]]:
        """The whole log, page by page, ascending."""
        return self._log_pages(0)

    def _log_pages(self, number: int) -> Iterator[Sequence[Logged]]:
        for page in self._bucket.list(LOG, start_after=entry_key(number - 1) if number > 0 else LOG):
            found = [
                Logged(at, listed.version, listed.modified)
                for listed in page
                if (at := entry_number(listed.key)) is not None
            ]
            if found:
                yield found

    def remove(self, entry: Logged) -> None:
        """Remove an entry below the floor. `Stale` when somebody was faster."""
        self._bucket.delete(entry_key(entry.number), replaces=entry.version)

    def project(self) -> ProjectDocument | None:
        """The project's document; None: it is not there. `Blocked` when it makes no sense."""
        found = self._document()
        return found[0] if found is not None else None

    def _document(self) -> tuple[ProjectDocument, Version, bytes] | None:
        found = self._bucket.read(PROJECT, limit=1024 * 1024)
        if found is None:
            return None
        document = decode_project(found[1])
        if document is None:
            raise Blocked(
                f"{self._bucket.url}/{PROJECT} is not a project document this dorkyd understands",
                code="project-document",
                hint="a newer dorkyd may have written it: update this one; nothing was changed",
            )
        return document, found[0].version, found[1]

    def raise_floor(self, floor: int, *, project_id: str) -> int:
        """Make the log's floor at least `floor` and return what it is, before any entry below it may be removed. `Stale`
        when another device writes the document at this moment, or it is gone or another project's.
        """
        found = self._document()
        if found is None or found[0].project_id != project_id:
            raise Stale("the project's document is not the one known")
        document, version, text = found
        if document.floor >= floor:
            return document.floor
        self._bucket.put(PROJECT, Bytes(with_floor(text, floor)), replaces=version, meta={})
        return floor

    def limit_trash(self, limits: TrashLimits, *, project_id: str) -> None:
        """Set what the bucket's trash may hold. `Stale` as for `raise_floor`."""
        found = self._document()
        if found is None or found[0].project_id != project_id:
            raise Stale("the project's document is not the one known")
        document, version, text = found
        if document.trash != limits:
            self._bucket.put(PROJECT, Bytes(with_trash(text, limits)), replaces=version, meta={})

    def tell_encryption(self, *, keys: int, patterns: Sequence[str], epoch: str, project_id: str) -> None:
        """Let the project's document tell of the member list. `Stale` as for `raise_floor`."""
        found = self._document()
        if found is None or found[0].project_id != project_id:
            raise Stale("the project's document is not the one known")
        document, version, text = found
        if document.keys < keys:
            told = with_encryption(text, keys=keys, patterns=patterns, epoch=epoch)
            self._bucket.put(PROJECT, Bytes(told), replaces=version, meta={})

    def create_project(self, document: ProjectDocument) -> None:
        """Write the project's document. `Stale` when there is one."""
        self._bucket.put(PROJECT, Bytes(encode_project(document)), replaces=None, meta={})

    def pages(self, middle: str | None = None) -> Iterator[Sequence[Listed]]:
        """A whole listing without what is ours under `.dorky/`, page by page. Ended without an exception: complete.
        `middle`: a key behind `.dorky/`, from which on it is listed at the same time. Some objects may then come twice.
        """
        plans: set[str] = set()
        for page in self._asked(middle):
            # They sort before all else of ours, so that a listing that jumps over the rest has met them.
            plans.update(listed.key for listed in page if plan_number(listed.key) is not None)
            self.plans = frozenset(plans)
            yield [listed for listed in page if not listed.key.startswith(_OURS)]

    def _asked(self, middle: str | None) -> Iterator[Sequence[Listed]]:
        if middle is None or middle <= _AFTER_OURS:
            return one_ahead(self._all_pages(), self.paging.ask)
        return in_two(
            self._all_pages(), self._bucket.list(start_after=middle), lambda listed: listed.key, self.paging.ask
        )

    def _all_pages(self) -> Iterator[Sequence[Listed]]:
        for page in self._bucket.list():
            yield page
            if page and page[-1].key.startswith(_OURS):
                # The log and the trash may be far larger than the project: jump over them.
                yield from self._bucket.list(start_after=_AFTER_OURS)
                return
