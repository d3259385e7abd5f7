"""Plain bytes to stored bytes and back: whatever was done to them on the way is told before anybody uses them."""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Iterator

import pyrage
import pytest
import zstandard

from dorkyd.codecs import Coding, opened, store
from dorkyd.core import metadata
from dorkyd.core.model import Digest
from dorkyd.errors import Integrity, Stale, Transient
from dorkyd.keys import EpochKey, epoch_key, new_identity, recipient_of

ONE, TWO = epoch_key("0001-aaaaaaaa", new_identity()), epoch_key("0002-bbbbbbbb", new_identity())
CODINGS = [Coding(), Coding(ONE), Coding(zstd=True), Coding(ONE, zstd=True)]
SIZES = [0, 1, 65536, 65537, 700_000]
"""age encrypts 64 KiB at a time."""


def digest(data: bytes) -> Digest:
    """Identity of a content."""
    return metadata.sha256(hashlib.sha256(data).hexdigest())


def stored(data: bytes, coding: Coding) -> bytes:
    """What lies in the bucket."""
    out = io.BytesIO()
    told = store(io.BytesIO(data), out, coding, digest(data))
    assert (told.size, told.digest) == (len(out.getvalue()), digest(out.getvalue()))
    return out.getvalue()


def pieces(data: bytes, size: int = 1000) -> Iterator[bytes]:
    """As a store hands it out."""
    yield from (data[at : at + size] for at in range(0, len(data), size))


def read(data: bytes, coding: Coding, plain: bytes, *, key: EpochKey | None = None) -> bytes:
    """What comes out, given what the object claims to hold."""
    sealed = coding.key.content.word(digest(plain)) if coding.key is not None else None
    used = coding if key is None else Coding(key, coding.zstd)
    return b"".join(opened(pieces(data), len(data), used, sealed))


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("coding", CODINGS, ids=["plain", "age", "zstd", "both"])
def test_there_and_back(coding: Coding, size: int) -> None:
    """Of any size, at any edge of a chunk."""
    data = os.urandom(size)
    assert read(stored(data, coding), coding, data) == data


def test_the_same_bytes_differ_every_time() -> None:
    """And none of them is to be seen."""
    data = b"word " * 1000
    one, two = stored(data, Coding(ONE)), stored(data, Coding(ONE))
    assert one != two
    assert b"word" not in one + two


@pytest.mark.parametrize("size", [1, 65536, 200_000])
@pytest.mark.parametrize("cut", [1, 16, 17, 65552])
def test_a_truncation_is_told(size: int, cut: int) -> None:
    """Wherever it is: age gives out nearly all of the plaintext before it notices."""
    data = os.urandom(size)
    whole = stored(data, Coding(ONE))
    with pytest.raises(Integrity) as told:
        read(whole[:-cut], Coding(ONE), data)
    assert told.value.code == "tampered"


@pytest.mark.parametrize("at", [0, 30, 100, 150, 250, 65_900, -1, -20])
def test_a_changed_byte_is_told(at: int) -> None:
    """In the header, in its seal, in the first chunk and in the last."""
    data = os.urandom(130_000)
    changed = bytearray(stored(data, Coding(ONE)))
    changed[at] ^= 1
    with pytest.raises(Integrity) as told:
        read(bytes(changed), Coding(ONE), data)
    assert told.value.code == "tampered"
    assert told.value.hint


def test_what_follows_the_end_is_told() -> None:
    """Bytes behind a whole file."""
    data = b"x" * 10
    with pytest.raises(Integrity):
        read(stored(data, Coding(ONE)) + b"more", Coding(ONE), data)


def test_another_epochs_key_opens_nothing() -> None:
    """And an object that claims another epoch than it was encrypted in is told."""
    data = b"secret"
    with pytest.raises(Integrity) as told:
        read(stored(data, Coding(ONE)), Coding(ONE), data, key=TWO)
    assert told.value.code == "tampered"


@pytest.mark.parametrize("claim", ["other content", "other epoch", "nothing", None])
def test_a_forged_file_is_told(claim: str | None) -> None:
    """Anybody can encrypt to a public key; only who has its identity knows the keyed digest."""
    forged = pyrage.encrypt(b"forged", [recipient_of(ONE.recipient)])
    words = {
        "other content": ONE.content.word(digest(b"true")),
        "other epoch": TWO.content.word(digest(b"forged")),
        "nothing": f"{ONE.id}:",
        None: None,
    }
    with pytest.raises(Integrity) as told:
        list(opened([forged], len(forged), Coding(ONE), words[claim]))
    assert told.value.code == "tampered"


@pytest.mark.parametrize("data", [b"", b"age-encryption.org/v1\n", b"no age at all" * 100])
def test_what_is_no_age_file_is_told(data: bytes) -> None:
    """Of whatever length."""
    with pytest.raises(Integrity):
        list(opened(pieces(data), len(data), Coding(ONE), ONE.content.word(digest(b"x"))))


def test_what_unpacks_to_too_much_is_told() -> None:
    """A bomb: a few kilobytes that become gigabytes, in bounded memory."""
    frame = zstandard.ZstdCompressor(level=3).compress(bytes(32 * 1024 * 1024))
    bomb = frame * 12
    made: list[int] = []
    with pytest.raises(Integrity, match="far more"):
        made.extend(map(len, opened(pieces(bomb), len(frame), Coding(zstd=True), None)))
    assert sum(made) < 300 * 1024 * 1024


def test_what_is_not_compressed_is_told() -> None:
    """Though the object says so."""
    with pytest.raises(Integrity):
        list(opened([b"words of some kind"], 18, Coding(zstd=True), None))


def test_a_file_that_changed_meanwhile_is_sent_nowhere() -> None:
    """Its bytes are not what was observed."""
    with pytest.raises(Stale):
        store(io.BytesIO(b"other"), io.BytesIO(), Coding(ONE), digest(b"observed"))


@pytest.mark.parametrize("coding", [Coding(ONE), Coding(ONE, zstd=True)], ids=["age", "both"])
def test_what_the_source_says_comes_through(coding: Coding) -> None:
    """A broken line is a broken line, in both directions, and no thread is left."""

    def broken() -> Iterator[bytes]:
        yield stored(os.urandom(500_000), coding)[:300_000]
        raise Transient("the line broke")

    class Broken(io.RawIOBase):
        def readinto(self, _buffer: object, /) -> int:
            raise Stale("it went away")

        def read(self, _size: int = -1, /) -> bytes:
            raise Stale("it went away")

    before = threading.active_count()
    with pytest.raises(Transient, match="the line broke"):
        list(opened(broken(), 500_000, coding, None))
    with pytest.raises(Stale, match="it went away"):
        store(Broken(), io.BytesIO(), coding, digest(b""))  # type: ignore[arg-type]
    assert threading.active_count() == before


def test_who_stops_reading_ends_the_thread() -> None:
    """A download that is given up in the middle."""
    data = os.urandom(8_000_000)
    whole = stored(data, Coding(ONE))
    before = threading.active_count()
    reading = opened(pieces(whole, 65536), len(whole), Coding(ONE), ONE.content.word(digest(data)))
    next(reading)
    reading.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before


@pytest.mark.parametrize("coding", CODINGS[1:], ids=["age", "zstd", "both"])
def test_the_digest_is_told_once_all_is_proved(coding: Coding) -> None:
    """So that who receives it need not hash it again; of what is cut, forged or left in the middle it is not told."""
    data = os.urandom(300_000)
    whole = stored(data, coding)
    sealed = coding.key.content.word(digest(data)) if coding.key is not None else None
    told: list[Digest] = []
    reading = opened(pieces(whole), len(whole), coding, sealed, told.append)
    next(reading)
    assert told == []
    list(reading)
    assert told == [digest(data)]
    if coding.key is not None:
        for bytes_, claim in ((whole[:-1], sealed), (whole, TWO.content.word(digest(data)))):
            with pytest.raises(Integrity):
                list(opened(pieces(bytes_), len(whole), coding, claim, told.append))
        assert len(told) == 1
