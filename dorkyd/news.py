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
)
from dorkyd.core.model import Digest, Version
from dorkyd.errors import Blocked
from dorkyd.ports import Bucket, Listed

_ENTRY_LIMIT = 8 * 1024 * 1024
"""Bytes of an entry worth reading; a larger one is somebody's mischief and a listing is cheaper."""
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
class LogState:
    """The log's numbers at and after a place."""

    numbers: tuple[tuple[int, Version], ...]
    """Ascending."""

    def version_of(self, number: int) -> Version | None:
        """The state of one entry; None: it is not there."""
        return dict(self.numbers).get(number)


class News:
    """Reads and writes the log and the project's document, and lists the rest."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

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
        """The entries there are, from `number` on."""
        after = entry_key(number - 1) if number > 0 else LOG
        found: list[tuple[int, Version]] = []
        for page in self._bucket.list(LOG, start_after=after):
            for listed in page:
                at = entry_number(listed.key)
                if at is not None:
                    found.append((at, listed.version))
        return LogState(tuple(found))

    def project(self) -> ProjectDocument | None:
        """The project's document; None: it is not there. `Blocked` when it makes no sense."""
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
        return document

    def create_project(self, document: ProjectDocument) -> None:
        """Write the project's document. `Stale` when there is one."""
        self._bucket.put(PROJECT, Bytes(encode_project(document)), replaces=None, meta={})

    def pages(self) -> Iterator[Sequence[Listed]]:
        """A whole listing without what is ours under `.dorky/`, page by page. Ended without an exception: complete."""
        for page in self._bucket.list():
            yield [listed for listed in page if not listed.key.startswith(_OURS)]
            if page and page[-1].key.startswith(_OURS):
                # The log and the trash may be far larger than the project: jump over them.
                yield from self._bucket.list(start_after=_AFTER_OURS)
                return
