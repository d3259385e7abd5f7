"""What every bucket with sessions must do: the part of `dorkyd.ports.Bucket` about `begin`, `put(session=)`, `abandon`.

A store's test module subclasses `SessionContract` and gives it `session_bytes`, the fixture `bucket` (an empty bucket
of its own for each test) and the fixture `other` (another client of the same store, which shares no memory with the first).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, ClassVar

import pytest

from dorkyd.core.model import Digest
from dorkyd.errors import SessionGone, Stale, Transient
from dorkyd.ports import Bucket, Session
from tests.buckets.contract import BytesBody, MiB, content, create, digest_of, keys, large, look

META = {"dorky-op": "5" * 32, "note": "mine"}


class _BreaksOff(io.BytesIO):
    """Bytes that end with an error after `at` of them."""

    def __init__(self, data: bytes, at: int) -> None:
        super().__init__(data)
        self._at = at

    def read(self, count: int | None = -1, /) -> bytes:
        left = self._at - self.tell()
        if left <= 0:
            raise Transient("the body broke off")
        return super().read(left if count is None or count < 0 else min(count, left))

    def readinto(self, buffer: Any, /) -> int:
        view = memoryview(buffer)
        data = self.read(len(view))
        view[: len(data)] = data
        return len(data)


@dataclass(frozen=True)
class BrokenBody:
    """A body of which only the first `at` bytes can be read: as far as a process came that was killed."""

    data: bytes
    at: int

    @property
    def size(self) -> int:
        return len(self.data)

    @property
    def digest(self) -> Digest:
        return digest_of(self.data)

    def open(self) -> BinaryIO:
        return _BreaksOff(self.data, self.at)


def begin(bucket: Bucket, data: bytes, meta: Mapping[str, str] = META) -> Session:
    """Begin to create `d/big`."""
    return bucket.begin("d/big", len(data), replaces=None, meta=meta)


def break_off(bucket: Bucket, data: bytes, session: Session, at: int) -> None:
    """Send the first `at` bytes, as far as they fill parts."""
    with pytest.raises(Transient, match="the body broke off"):
        bucket.put("d/big", BrokenBody(data, at), replaces=None, meta=META, session=session)


class SessionContract:
    """The tests. A subclass gives the fixtures `bucket` and `other`."""

    session_bytes: ClassVar[int] = 24 * MiB
    """A body that takes a session, of at least four parts, the last of them shorter or not."""

    @pytest.fixture
    def data(self) -> bytes:
        """The body."""
        return large(self.session_bytes)

    @pytest.fixture
    def other(self, bucket: Bucket) -> Bucket:
        """Another client of the same store."""
        return bucket

    def test_large_bodies_take_sessions(self, bucket: Bucket) -> None:
        """The store says from which size on, and it is within that."""
        assert bucket.sessions_over is not None
        assert bucket.sessions_over < self.session_bytes

    def test_session_makes_the_object(self, bucket: Bucket, data: bytes) -> None:
        """A session that was sent whole is the object, with the metadata it was begun with and the version told."""
        session = begin(bucket, data)
        written = bucket.put("d/big", BytesBody(data), replaces=None, meta=META, session=session)
        info = look(bucket, "d/big")
        assert info.version == written.version
        assert info.size == len(data)
        assert {key: info.meta[key] for key in META} == META
        assert digest_of(content(bucket, "d/big")) == digest_of(data)

    def test_session_replaces(self, bucket: Bucket, data: bytes) -> None:
        """A session that names the present state replaces it, metadata and all."""
        old = create(bucket, "k", b"old", {"extra": "gone"})
        session = bucket.begin("k", len(data), replaces=old.version, meta=META)
        new = bucket.put("k", BytesBody(data), replaces=old.version, meta=META, session=session)
        info = look(bucket, "k")
        assert info.version == new.version != old.version
        assert info.meta["note"] == "mine"
        assert "extra" not in info.meta

    def test_unfinished_is_invisible(self, bucket: Bucket, data: bytes) -> None:
        """Nobody sees an upload before its end, begun or half sent."""
        session = begin(bucket, data)
        assert bucket.head("d/big") is None
        break_off(bucket, data, session, len(data) // 2)
        assert bucket.head("d/big") is None
        assert keys(bucket) == []

    def test_session_goes_on(self, bucket: Bucket, other: Bucket, data: bytes) -> None:
        """Another process goes on with what the store lacks, and sends no byte twice."""
        session = begin(bucket, data)
        before = bucket.requests.bytes_up
        break_off(bucket, data, session, len(data) // 2)
        sent = bucket.requests.bytes_up - before
        assert 0 < sent <= len(data) // 2
        before = other.requests.bytes_up
        written = other.put("d/big", BytesBody(data), replaces=None, meta=META, session=session)
        assert other.requests.bytes_up - before == len(data) - sent
        info = look(other, "d/big")
        assert info.version == written.version
        assert info.meta["note"] == "mine"
        assert digest_of(content(other, "d/big")) == digest_of(data)

    def test_session_goes_on_often(self, bucket: Bucket, other: Bucket, data: bytes) -> None:
        """An upload may be broken off time and again."""
        session = begin(bucket, data)
        before = bucket.requests.bytes_up
        for sixth in (0, 2, 3, 5):
            break_off(bucket, data, session, sixth * len(data) // 6)
        sent = bucket.requests.bytes_up - before
        before = other.requests.bytes_up
        other.put("d/big", BytesBody(data), replaces=None, meta=META, session=session)
        assert other.requests.bytes_up - before == len(data) - sent
        assert digest_of(content(other, "d/big")) == digest_of(data)

    def test_ended_session_is_gone(self, bucket: Bucket, other: Bucket, data: bytes) -> None:
        """Who did not read the reply of the end learns that the session is gone, sends nothing, and finds its own op."""
        session = begin(bucket, data)
        bucket.put("d/big", BytesBody(data), replaces=None, meta=META, session=session)
        before = other.requests.bytes_up
        with pytest.raises(SessionGone):
            other.put("d/big", BytesBody(data), replaces=None, meta=META, session=session)
        assert other.requests.bytes_up == before
        assert look(other, "d/big").meta["dorky-op"] == META["dorky-op"]

    def test_abandoned_session_is_gone(self, bucket: Bucket, other: Bucket, data: bytes) -> None:
        """An abandoned session is gone with what was sent of it, and abandoning it again is fine."""
        session = begin(bucket, data)
        break_off(bucket, data, session, len(data) // 2)
        other.abandon("d/big", session)
        with pytest.raises(SessionGone):
            bucket.put("d/big", BytesBody(data), replaces=None, meta=META, session=session)
        assert bucket.head("d/big") is None
        bucket.abandon("d/big", session)

    def test_abandoning_an_ended_session(self, bucket: Bucket, data: bytes) -> None:
        """Abandoning a session that ended leaves its object alone."""
        session = begin(bucket, data)
        written = bucket.put("d/big", BytesBody(data), replaces=None, meta=META, session=session)
        bucket.abandon("d/big", session)
        assert look(bucket, "d/big").version == written.version

    def test_session_stale_create(self, bucket: Bucket, data: bytes) -> None:
        """A session that expects no object overwrites none that came meanwhile, however often it is tried."""
        session = begin(bucket, data)
        there = create(bucket, "d/big", b"there")
        for _ in range(2):
            with pytest.raises(Stale) as caught:
                bucket.put("d/big", BytesBody(data), replaces=None, meta=META, session=session)
        assert not isinstance(caught.value, SessionGone) or self.refusal_ends_sessions
        assert look(bucket, "d/big").version == there.version
        bucket.abandon("d/big", session)

    refusal_ends_sessions: ClassVar[bool] = False
    """The store gives an upload up when its condition does not hold at the end."""

    def test_session_stale_update(self, bucket: Bucket, data: bytes) -> None:
        """A session that replaces one state does not replace a later one, nor what is gone."""
        old = create(bucket, "k", b"old")
        session = bucket.begin("k", len(data), replaces=old.version, meta=META)
        newer = bucket.put("k", BytesBody(b"newer"), replaces=old.version, meta={})
        with pytest.raises(Stale):
            bucket.put("k", BytesBody(data), replaces=old.version, meta=META, session=session)
        assert look(bucket, "k").version == newer.version
        bucket.delete("k", replaces=newer.version)
        with pytest.raises(Stale):
            bucket.put("k", BytesBody(data), replaces=old.version, meta=META, session=session)
        assert bucket.head("k") is None
        bucket.abandon("k", session)

    def test_two_sessions_of_one_key(self, bucket: Bucket, other: Bucket, data: bytes) -> None:
        """Two devices that send to one key do not mix: the first to end wins, the other is stale."""
        mine, theirs = begin(bucket, data), begin(other, data[::-1])
        break_off(bucket, data, mine, len(data) // 2)
        won = other.put("d/big", BytesBody(data[::-1]), replaces=None, meta=META, session=theirs)
        with pytest.raises(Stale):
            bucket.put("d/big", BytesBody(data), replaces=None, meta=META, session=mine)
        assert look(bucket, "d/big").version == won.version
        assert digest_of(content(bucket, "d/big")) == digest_of(data[::-1])
        bucket.abandon("d/big", mine)

    def test_wrong_digest_in_session(self, bucket: Bucket, data: bytes) -> None:
        """Bytes that are not what was observed are not stored."""
        session = begin(bucket, data)
        with pytest.raises(Stale):
            bucket.put("d/big", BytesBody(data, digest_of(b"whole")), replaces=None, meta=META, session=session)
        assert bucket.head("d/big") is None
        bucket.abandon("d/big", session)

    def test_other_bytes_are_not_mixed_in(self, bucket: Bucket, other: Bucket, data: bytes) -> None:
        """What an earlier try sent never becomes part of other bytes: these arrive whole, or not at all, and then the session
        is of no more use to anybody, or it would be gone on with for ever.
        """
        session = begin(bucket, data)
        break_off(bucket, data, session, len(data) // 2)
        changed = b"?" + data[1:]
        try:
            other.put("d/big", BytesBody(changed), replaces=None, meta=META, session=session)
        except SessionGone:
            assert other.head("d/big") is None
            with pytest.raises(SessionGone):
                other.put("d/big", BytesBody(data), replaces=None, meta=META, session=session)
        else:
            assert digest_of(content(other, "d/big")) == digest_of(changed)
