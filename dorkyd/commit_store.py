"""The commits and the contents they need, as they stand in the bucket under `.dorky/`.

Reads and writes; which commit is made of what, and when, is for `dorkyd.commits` and `dorkyd.collection`. From any thread,
several at once; every method blocks and raises what the bucket raises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from dorkyd.commit_cache import CommitCache
from dorkyd.core.commits import (
    COMMITS,
    DOCUMENT_BYTES,
    HEADER_BYTES,
    OBJECTS,
    Commit,
    CommitId,
    Header,
    Named,
    commit_key,
    commit_seq,
    decode,
    decode_header,
    encode,
    id_of,
    is_id,
    match,
    object_content,
    object_key,
)
from dorkyd.core.garbage import (
    DOCUMENT_BYTES as CONDEMNED_BYTES,
)
from dorkyd.core.garbage import (
    GARBAGE,
    condemned_key,
    decode_condemned,
    encode_condemned,
    is_condemned_key,
)
from dorkyd.core.metadata import EPOCH, HMAC, SHA256, hex_of, sealed_word
from dorkyd.core.model import Digest, Version
from dorkyd.core.pushes import PLANS, plan_key, plan_number
from dorkyd.errors import Integrity, Stale, Transient, Unsupported
from dorkyd.news import Bytes
from dorkyd.ports import Body, Bucket, Listed

AT_ONCE = 16
"""Requests under way together."""

A = TypeVar("A")
B = TypeVar("B")


@dataclass(frozen=True, slots=True)
class Standing:
    """A commit's document, as a listing tells it."""

    seq: int
    version: Version
    modified: int | None
    """As `Listed.modified`."""


@dataclass(frozen=True, slots=True)
class Condemned:
    """A document of condemned names, as it stands."""

    key: str
    version: Version
    modified: int | None
    """As `Listed.modified`."""
    names: frozenset[str] | None
    """Keys; None: it makes no sense."""


@dataclass(frozen=True, slots=True)
class Source:
    """An object state that holds a content."""

    key: str
    version: Version


@dataclass(frozen=True, slots=True)
class CommitStore:
    """See the module."""

    bucket: Bucket
    cache: CommitCache
    at_once: int = AT_ONCE
    """1: one request after the other, in the same order each time."""

    # --- commits ------------------------------------------------------------------------------------------------

    def standing(self, after: int = 0) -> list[Standing]:
        """The commits that are there, by number, above `after`: one request a thousand."""
        found = []
        for page in self.bucket.list(COMMITS, start_after=commit_key(after) if after else ""):
            for listed in page:
                seq = commit_seq(listed.key)
                if seq:
                    found.append(Standing(seq, listed.version, listed.modified))
        return found

    def newest(self) -> Standing | None:
        """The last commit; None: there is none. One request, however many there are."""
        known = max(self.cache.headers(), default=0)
        # The last one is never removed, so that the highest known is there, or one above it.
        found = self.standing(known - 1) if known > 1 else self.standing()
        if not found and known > 1:
            found = self.standing()
        return found[-1] if found else None

    def headers(self, standing: Sequence[Standing]) -> list[Named]:
        """Their headers, from here where they were read before. `Integrity` where one is not what the commit after it, or an
        earlier look, says that it is.
        """
        known = self.cache.headers()
        new = [one for one in standing if (old := known.get(one.seq)) is None or old.version != one.version]
        read = self.each(self._read_header, new)
        now = known | {one.header.seq: one for one in read}
        for one in read:
            self._check_same(one.header.seq, one.id, known, now)
        self.cache.remember(read)
        known = now
        found = [known[one.seq] for one in standing]
        for before, after in pairwise(found):
            if after.header.seq == before.header.seq + 1 and after.header.parent != before.id:
                raise _changed(before.header.seq, after.header.parent, f"commit {after.header.seq} names")
        return found

    def read(self, standing: Standing) -> tuple[CommitId, Commit]:
        """A whole commit. `Integrity` where its bytes are not what the others say, or no commit."""
        headers = self.cache.headers()
        known = headers.get(standing.seq)
        if known is not None and known.version == standing.version:
            text = self.cache.document(known.id)
            if text is not None:
                return known.id, decode(text, standing.seq)
        found = self.bucket.read(commit_key(standing.seq), limit=DOCUMENT_BYTES)
        if found is None:
            raise Stale(f"commit {standing.seq} is gone")
        info, text = found
        commit, commit_id = decode(text, standing.seq), id_of(text)
        self._check_same(standing.seq, commit_id, headers, headers)
        self.cache.remember([Named(commit_id, info.version, commit.header)])
        self.cache.keep(commit_id, text)
        return commit_id, commit

    def find(self, text: str) -> tuple[CommitId, Commit]:
        """The commit whose id begins so, whole. `Refused` as for `core.commits.match`."""
        standing = self.standing()
        ids = {one.id: place for one, place in zip(self.headers(standing), standing, strict=True)}
        commit_id = match(ids, text)
        found, commit = self.read(ids[commit_id])
        if found != commit_id:
            raise _changed(commit.header.seq, commit_id, "its object's metadata names")
        return found, commit

    def is_under_way(self, header: Header) -> bool:
        """It is that of a push that has not been carried out to its end: the plain paths and the log may not tell of it yet."""
        return header.batch is not None and self.bucket.head(plan_key(header.seq, header.batch)) is not None

    def planned(self) -> frozenset[int]:
        """Numbers of which a plan of a push stands, whosever it is. One request."""
        keys = (listed.key for page in self.bucket.list(PLANS) for listed in page)
        return frozenset(seq for key in keys if (seq := plan_number(key)) is not None)

    def create(self, commit: Commit) -> tuple[CommitId, Standing]:
        """Write a commit. `Stale` when its number is taken. Its contents must be kept already (`keep`)."""
        text = encode(commit)
        commit_id, key = id_of(text), commit_key(commit.header.seq)
        try:
            written = self.bucket.put(key, Bytes(text), replaces=None, meta={SHA256: commit_id})
            version, modified = written.version, written.modified
        except (Stale, Transient):
            # The reply to our own write may be lost, and a client library may have sent it twice.
            found = self.bucket.read(key, limit=DOCUMENT_BYTES)
            if found is None or found[1] != text:
                raise
            version, modified = found[0].version, found[0].modified
        self.cache.remember([Named(commit_id, version, commit.header)])
        self.cache.keep(commit_id, text)
        return commit_id, Standing(commit.header.seq, version, modified)

    def stands(self, commit_id: CommitId) -> None:
        """Its author is about to say that it is made: it will not be taken back."""
        self.cache.note_made(commit_id)

    def remove(self, standing: Standing) -> None:
        """Remove a commit's document. `Stale` when somebody was faster."""
        self.bucket.delete(commit_key(standing.seq), replaces=standing.version)
        self.cache.forget([standing.seq])

    # --- contents -----------------------------------------------------------------------------------------------

    def keep(
        self,
        digest: Digest,
        sources: Sequence[Source],
        dead: frozenset[str],
        size: int | None,
        body: Callable[[], Body | None] = lambda: None,
        *,
        epoch: str | None = None,
    ) -> str:
        """Make sure that a content is kept under a name that is not condemned, and return that. Copied inside the store from
        the first of `sources` that still is what it was; `body` gives its bytes where the store cannot. `Stale` where
        nobody has it any more. `digest`, `size` and `epoch`: as a `CommitFile` has them; what is encrypted is kept as it is.
        """
        name = 1
        while (key := object_key(digest, name)) in dead:
            name += 1
        meta = {SHA256: hex_of(digest)} if epoch is None else {EPOCH: epoch, HMAC: hex_of(digest)}
        for source in sources:
            try:
                self.bucket.copy(source.key, key, source_version=source.version, replaces=None, meta=meta)
            except (Stale, Transient) as exc:
                if self._holds(key, size, meta):
                    return key
                if isinstance(exc, Transient):
                    raise
            except Unsupported:
                break
            else:
                return key
        return self._send(key, size, meta, body())

    def _send(self, key: str, size: int | None, meta: Mapping[str, str], body: Body | None) -> str:
        if body is None:
            raise Stale(f"what belongs to {key} is not where it was any more")
        try:
            # What is to be encrypted says what it is on its way there only (`dorkyd.sealing`).
            self.bucket.put(key, body, replaces=None, meta={**meta, SHA256: hex_of(body.digest)})
        except (Stale, Transient):
            if not self._holds(key, size, meta):
                raise
        return key

    def _holds(self, key: str, size: int | None, meta: Mapping[str, str]) -> bool:
        """It is there; `meta`: what it says of itself then."""
        info = self.bucket.head(key)
        if info is None:
            return False
        sealed = sealed_word(meta)
        wrong_size = size is not None and info.size != size and not info.stored_otherwise
        if (
            wrong_size
            or sealed_word(info.meta) != sealed
            or (sealed is None and info.meta.get(SHA256, meta[SHA256]) != meta[SHA256])
        ):
            raise Integrity(
                f"{key} in the bucket is not the content that its name says",
                code="bad-object",
                hint="another tool wrote it: delete that object, and commit again",
            )
        return True

    def kept_under(self, digest: Digest) -> list[Source]:
        """Where a content is kept: verify its bytes. One request."""
        found = []
        for page in self.bucket.list(object_key(digest)):
            found += [Source(listed.key, listed.version) for listed in page if _is_of(listed, digest)]
        return found

    def objects(self) -> Iterator[Listed]:
        """All that is kept: one request a thousand."""
        for page in self.bucket.list(OBJECTS):
            for listed in page:
                if object_content(listed.key) is not None:
                    yield listed

    # --- condemned names ----------------------------------------------------------------------------------------

    def condemned(self) -> list[Condemned]:
        """The documents of condemned names. One request where there are none."""
        keys = [one for page in self.bucket.list(GARBAGE) for one in page if is_condemned_key(one.key)]
        return [found for found in self.each(self._read_condemned, keys) if found is not None]

    def dead_names(self) -> frozenset[str]:
        """Every condemned name. `Integrity` (`bad-garbage`) where a document makes no sense: nobody knows what it names."""
        names: set[str] = set()
        for one in self.condemned():
            if one.names is None:
                raise Integrity(
                    f"{one.key} in the bucket makes no sense, and what it condemns is not known",
                    code="bad-garbage",
                    hint="a newer dorkyd may have written it: update this one; damaged, it may be deleted a day later",
                )
            names |= one.names
        return frozenset(names)

    def condemn(self, names: Iterable[str], *, name: str, device: str, time: str) -> Condemned:
        """Write a document of condemned names, and tell how it stands."""
        key, condemned = condemned_key(name), frozenset(names)
        text = encode_condemned(condemned, device=device, time=time)
        with suppress(Stale):  # a lost reply: the name is nobody else's
            self.bucket.put(key, Bytes(text), replaces=None, meta={})
        info = self.bucket.head(key)
        if info is None:
            raise Stale(f"{key} was removed meanwhile: another collection took it for an old one")
        return Condemned(key, info.version, info.modified, condemned)

    # --- inside -------------------------------------------------------------------------------------------------

    def each(self, do: Callable[[A], B], items: Sequence[A]) -> list[B]:
        """Do it with each, several at once. The first failure ends it."""
        if self.at_once == 1 or len(items) < 2:
            return [do(item) for item in items]
        with ThreadPoolExecutor(min(self.at_once, len(items)), thread_name_prefix="commits") as pool:
            futures = [pool.submit(do, item) for item in items]
            try:
                return [future.result() for future in futures]
            finally:
                pool.shutdown(wait=True, cancel_futures=True)

    def _check_same(self, seq: int, commit_id: CommitId, known: Mapping[int, Named], now: Mapping[int, Named]) -> None:
        """`Integrity` where an earlier look found another commit of this number. `now`: with what was just read. The last one,
        which nobody had followed, may have been taken back by whoever made it (`Committer`), and its number be another's
        since; not so one of which this device said that it is made.
        """
        old, after = known.get(seq), now.get(seq + 1)
        if old is None or old.id == commit_id:
            return
        if (after is not None and after.header.parent == old.id) or self.cache.was_made(old.id):
            raise _changed(seq, old.id, "this device read")

    def _read_header(self, standing: Standing) -> Named:
        key, seq = commit_key(standing.seq), standing.seq
        beginning = bytearray()
        with self.bucket.get(key, if_match=standing.version) as reading:
            info = reading.info
            for chunk in reading:
                beginning += chunk
                if len(beginning) >= HEADER_BYTES:
                    break
        header = decode_header(bytes(beginning), seq)
        if header is None:
            raise Integrity(
                f"commit {seq} has no files: it was damaged, or written by another tool",
                code="bad-commit",
                hint="a copy of the document may be in the store's versions or backups; dorkyd never changes one",
            )
        claimed = info.meta.get(SHA256, "")
        if is_id(claimed):
            return Named(CommitId(claimed), info.version, header)
        # The store lost the metadata: only all of the bytes tell the id.
        commit_id, commit = self.read(standing)
        return Named(commit_id, info.version, commit.header)

    def _read_condemned(self, listed: Listed) -> Condemned | None:
        found = self.bucket.read(listed.key, limit=CONDEMNED_BYTES)
        if found is None:
            return None  # a collection that ended meanwhile
        return Condemned(listed.key, found[0].version, listed.modified, decode_condemned(found[1]))


def _is_of(listed: Listed, digest: Digest) -> bool:
    content = object_content(listed.key)
    return content is not None and content[0] == hex_of(digest)


def _changed(seq: int, expected: CommitId | None, by: str) -> Integrity:
    said = f"{expected[:12]}…" if expected is not None else "none"
    return Integrity(
        f"commit {seq} is not the one that {by} ({said}): it was changed or replaced in the bucket",
        code="commit-changed",
        hint="restore its document from the store's versions or a backup; the commits after it stay as they are",
    )
