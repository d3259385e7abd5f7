"""What every bucket must do: `dorkyd.ports.Bucket` as tests. Each store's test module subclasses `BucketContract`.

    class TestMyBucket(BucketContract):
        @pytest.fixture
        def bucket(self) -> Iterator[Bucket]:
            ...an empty bucket of its own for each test...

Class attributes say what a store cannot do, so that a difference is written down once, beside its store.
"""

from __future__ import annotations

import hashlib
import io
import random
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import BinaryIO, ClassVar

import pytest

from dorkyd.ahead import Paging, on_a_thread
from dorkyd.core.metadata import sha256
from dorkyd.core.model import Digest, Version
from dorkyd.errors import Blocked, Stale, Unsupported
from dorkyd.news import News
from dorkyd.ports import Bucket, Listed, ObjectInfo, Written

MiB = 1024 * 1024
NOWHERE = Version("0123456789abcdef0123456789abcdef")
"""A version that no object has."""

ODD_NAMES = (
    "with space",
    " leading",
    "trailing ",
    "tab\there",
    "line\nbreak",
    "percent%20%",
    "plus+and&=?#",
    "quotes'\"`",
    "~tilde",
    "back\\slash",
    "-dash",
    "dots...",
    ".env",
    "héllo",
    "\N{GRINNING FACE}",
    "e\N{COMBINING ACUTE ACCENT} decomposed",
    "semi;colon:at@",
    "brackets[](){}<>",
    "star*bar|caret^dollar$",
)
"""Names that people have and that some layer of some client once mangled."""


@dataclass(frozen=True)
class BytesBody:
    """Bytes to send, of which digest and size may lie."""

    data: bytes
    claimed: Digest | None = None
    claimed_size: int | None = None

    @property
    def size(self) -> int:
        return len(self.data) if self.claimed_size is None else self.claimed_size

    @property
    def digest(self) -> Digest:
        return self.claimed or digest_of(self.data)

    def open(self) -> BinaryIO:
        return io.BytesIO(self.data)


@dataclass(frozen=True)
class ChangedBody:
    """A file that was edited after it was observed."""

    size: int = 5

    @property
    def digest(self) -> Digest:
        return digest_of(b"first")

    def open(self) -> BinaryIO:
        raise Stale("the file changed")


def digest_of(data: bytes) -> Digest:
    """The digest of bytes."""
    return sha256(hashlib.sha256(data).hexdigest())


def large(size: int) -> bytes:
    """Bytes in which no two places look alike, so that swapped or repeated parts show."""
    return random.Random(size).randbytes(size)


def create(bucket: Bucket, key: str, data: bytes = b"x", meta: Mapping[str, str] | None = None) -> Written:
    """Write an object where there is none."""
    return bucket.put(key, BytesBody(data), replaces=None, meta=meta or {})


def content(
    bucket: Bucket, key: str, *, if_match: Version | None = None, start: int = 0, stop: int | None = None
) -> bytes:
    """An object's bytes from `start` to `stop`."""
    with bucket.get(key, if_match=if_match, start=start, stop=stop) as reading:
        return b"".join(reading)


def look(bucket: Bucket, key: str) -> ObjectInfo:
    """Look at an object that must be there."""
    info = bucket.head(key)
    assert info is not None
    return info


def listed(bucket: Bucket, prefix: str = "", start_after: str = "") -> list[Listed]:
    """A whole listing."""
    return [item for page in bucket.list(prefix, start_after=start_after) for item in page]


def keys(bucket: Bucket, prefix: str = "", start_after: str = "") -> list[str]:
    """The keys of a whole listing."""
    return [item.key for item in listed(bucket, prefix, start_after)]


def in_order(names: Iterable[str]) -> list[str]:
    """Names in a listing's order."""
    return sorted(names, key=str.encode)


def race(attempts: list[Callable[[], Written]]) -> list[Written | None]:
    """Start all at one moment; None stands for an attempt that was `Stale`."""
    start = Barrier(len(attempts))

    def one(attempt: Callable[[], Written]) -> Written | None:
        start.wait(timeout=60)
        try:
            return attempt()
        except Stale:
            return None

    with ThreadPoolExecutor(len(attempts)) as pool:
        return list(pool.map(one, attempts))


class BucketContract:
    """The tests. A subclass gives the fixture `bucket`."""

    unholdable: ClassVar[frozenset[str]] = frozenset()
    """Names among `ODD_NAMES` that this store refuses, which must be said as `Unsupported`."""
    holds_clashes: ClassVar[bool] = True
    """The store can hold the keys `f` and `f/g` together. Otherwise the second is `Unsupported`, code `clash`."""
    large_bytes: ClassVar[int] = 20 * MiB
    """Big enough for several parts."""
    many: ClassVar[int] = 1100
    """Keys that need more than one page."""
    racers: ClassVar[int] = 6

    # looking

    def test_absent_is_none(self, bucket: Bucket) -> None:
        """A key that was never written is proven absent."""
        assert bucket.head("nothing/here") is None
        assert bucket.read("nothing/here") is None

    def test_folder_is_absent(self, bucket: Bucket) -> None:
        """A name that only begins other keys is no object."""
        create(bucket, "d/f")
        assert bucket.head("d") is None
        assert bucket.read("d") is None

    def test_below_an_object_is_absent(self, bucket: Bucket) -> None:
        """A key below another object's name is proven absent."""
        create(bucket, "f")
        assert bucket.head("f/g") is None

    def test_head_tells_the_state(self, bucket: Bucket) -> None:
        """A look tells size, metadata and the very version that the write returned."""
        written = create(bucket, "a/b.txt", b"hello", {"dorky-op": "0" * 32, "note": "mine"})
        info = look(bucket, "a/b.txt")
        assert info.version == written.version
        assert info.size == 5
        assert info.meta["dorky-op"] == "0" * 32
        assert info.meta["note"] == "mine"

    def test_all_looks_agree(self, bucket: Bucket) -> None:
        """HEAD, GET, a small read and a listing tell one version, size and time; what MD5 a listing tells is true."""
        create(bucket, "k", b"abc")
        info = look(bucket, "k")
        with bucket.get("k") as reading:
            assert reading.info == info
        assert bucket.read("k") == (info, b"abc")
        (item,) = listed(bucket)
        assert item == Listed("k", info.version, info.size, info.modified, item.md5)
        assert item.md5 in {None, hashlib.md5(b"abc", usedforsecurity=False).hexdigest()}

    def test_read_over_limit(self, bucket: Bucket) -> None:
        """A small read refuses an object over its limit, and takes one exactly at it."""
        create(bucket, "k", b"12345")
        assert bucket.read("k", limit=5) is not None
        with pytest.raises(Blocked) as caught:
            bucket.read("k", limit=4)
        assert caught.value.code == "too-large"

    # reading

    def test_get_from_offset(self, bucket: Bucket) -> None:
        """A ranged read gives the bytes from its offset to the end."""
        written = create(bucket, "k", b"0123456789")
        assert content(bucket, "k", start=4) == b"456789"
        assert content(bucket, "k", if_match=written.version, start=9) == b"9"

    def test_get_to_a_stop(self, bucket: Bucket) -> None:
        """A read of some bytes gives those, or as many as there are; the object's end need not be among them."""
        written = create(bucket, "k", b"0123456789")
        assert content(bucket, "k", start=4, stop=6) == b"45"
        assert content(bucket, "k", stop=1) == b"0"
        assert content(bucket, "k", if_match=written.version, start=9, stop=10) == b"9"
        assert content(bucket, "k", if_match=written.version, start=8, stop=99) == b"89"
        assert content(bucket, "k", if_match=written.version, start=10, stop=99) == b""
        with pytest.raises(Stale):
            content(bucket, "k", start=11, stop=99)
        with bucket.get("k", if_match=written.version, start=3, stop=4) as reading:
            assert (reading.info.size, reading.info.version) == (10, written.version)

    def test_some_bytes_of_a_large_object(self, bucket: Bucket) -> None:
        """No other bytes than those that were asked for are moved."""
        data = large(self.large_bytes)
        written = bucket.put("big", BytesBody(data), replaces=None, meta={})
        for start, stop in ((0, 10), (len(data) // 2, len(data) // 2 + 100_000), (len(data) - 5, len(data))):
            before = bucket.requests.bytes_down
            assert content(bucket, "big", if_match=written.version, start=start, stop=stop) == data[start:stop]
            assert bucket.requests.bytes_down - before == stop - start

    def test_get_from_end(self, bucket: Bucket) -> None:
        """A read that starts at the object's end gives no bytes and no error, which a resumed download needs."""
        written = create(bucket, "k", b"0123")
        assert content(bucket, "k", if_match=written.version, start=4) == b""

    @pytest.mark.parametrize("start", [5, 10**14, 10**19 - 1])
    def test_get_past_the_end(self, bucket: Bucket, start: int) -> None:
        """A read that starts behind the object's end is of another state than the one there."""
        written = create(bucket, "k", b"0123")
        with pytest.raises(Stale):
            content(bucket, "k", start=start)
        with pytest.raises(Stale):
            content(bucket, "k", if_match=written.version, start=start)

    def test_get_stale(self, bucket: Bucket) -> None:
        """A read of a version that was replaced is stale."""
        old = create(bucket, "k", b"old")
        bucket.put("k", BytesBody(b"new"), replaces=old.version, meta={})
        with pytest.raises(Stale):
            content(bucket, "k", if_match=old.version)

    def test_get_gone(self, bucket: Bucket) -> None:
        """A read of an object that is gone is stale, with a version or without."""
        with pytest.raises(Stale):
            content(bucket, "k", if_match=NOWHERE)
        with pytest.raises(Stale):
            content(bucket, "k")

    def test_empty_object(self, bucket: Bucket) -> None:
        """An object of no bytes is an object."""
        create(bucket, "empty", b"")
        assert look(bucket, "empty").size == 0
        assert content(bucket, "empty") == b""

    def test_large_object(self, bucket: Bucket) -> None:
        """A body of several parts arrives whole, in chunks of at most 1 MiB, from any offset."""
        data = large(self.large_bytes)
        written = bucket.put("big", BytesBody(data), replaces=None, meta={"note": "big"})
        with bucket.get("big", if_match=written.version) as reading:
            assert reading.info.meta["note"] == "big"
            chunks = list(reading)
        assert max(map(len, chunks)) <= MiB
        assert digest_of(b"".join(chunks)) == digest_of(data)
        assert content(bucket, "big", start=len(data) - 7) == data[-7:]

    # writing

    def test_create_twice(self, bucket: Bucket) -> None:
        """A second create is stale and changes nothing."""
        first = create(bucket, "k", b"first")
        with pytest.raises(Stale):
            create(bucket, "k", b"second")
        assert look(bucket, "k").version == first.version
        assert content(bucket, "k") == b"first"

    def test_large_create_twice(self, bucket: Bucket) -> None:
        """A body of several parts obeys the same condition."""
        create(bucket, "k", b"first")
        with pytest.raises(Stale):
            create(bucket, "k", large(self.large_bytes))
        assert content(bucket, "k") == b"first"

    def test_update(self, bucket: Bucket) -> None:
        """An update of the present version replaces it and makes another version."""
        old = create(bucket, "k", b"old")
        new = bucket.put("k", BytesBody(b"new"), replaces=old.version, meta={})
        assert new.version != old.version
        assert look(bucket, "k").version == new.version
        assert content(bucket, "k") == b"new"

    def test_update_stale(self, bucket: Bucket) -> None:
        """An update of a replaced version is stale and changes nothing."""
        old = create(bucket, "k", b"old")
        bucket.put("k", BytesBody(b"new"), replaces=old.version, meta={})
        with pytest.raises(Stale):
            bucket.put("k", BytesBody(b"late"), replaces=old.version, meta={})
        assert content(bucket, "k") == b"new"

    def test_update_gone(self, bucket: Bucket) -> None:
        """An update of an object that is gone is stale and creates nothing."""
        old = create(bucket, "d/k")
        bucket.delete("d/k", replaces=old.version)
        with pytest.raises(Stale):
            bucket.put("d/k", BytesBody(b"late"), replaces=old.version, meta={})
        assert bucket.head("d/k") is None

    def test_metadata_replaced_whole(self, bucket: Bucket) -> None:
        """An update carries exactly its own metadata, nothing of the state before."""
        old = create(bucket, "k", b"old", {"note": "old", "extra": "gone"})
        bucket.put("k", BytesBody(b"new"), replaces=old.version, meta={"note": "new"})
        meta = look(bucket, "k").meta
        assert meta["note"] == "new"
        assert "extra" not in meta

    def test_metadata_values(self, bucket: Bucket) -> None:
        """Metadata comes back character by character."""
        meta = {"dorky-device": "laptop-7 %C3%A9 (x)", "dorky-mode": "644", "note": "a=b; c, d"}
        create(bucket, "k", b"x", meta)
        told = look(bucket, "k").meta
        assert {key: told[key] for key in meta} == meta

    def test_wrong_digest_created(self, bucket: Bucket) -> None:
        """Bytes that are not what was observed are not stored."""
        with pytest.raises(Stale):
            bucket.put("d/k", BytesBody(b"torn!", digest_of(b"whole")), replaces=None, meta={})
        assert bucket.head("d/k") is None
        assert keys(bucket) == []

    def test_wrong_digest_updated(self, bucket: Bucket) -> None:
        """Bytes that are not what was observed replace nothing."""
        old = create(bucket, "k", b"old")
        with pytest.raises(Stale):
            bucket.put("k", BytesBody(b"torn!", digest_of(b"whole")), replaces=old.version, meta={})
        assert look(bucket, "k").version == old.version

    def test_wrong_digest_large(self, bucket: Bucket) -> None:
        """A body of several parts that is not what was observed is not stored."""
        with pytest.raises(Stale):
            bucket.put("k", BytesBody(large(self.large_bytes), digest_of(b"whole")), replaces=None, meta={})
        assert bucket.head("k") is None

    def test_short_body(self, bucket: Bucket) -> None:
        """A body that ends before its size is not stored."""
        data = b"0123456789"
        with pytest.raises(Stale):
            bucket.put("k", BytesBody(data[:5], digest_of(data), len(data)), replaces=None, meta={})
        assert bucket.head("k") is None

    def test_changed_body(self, bucket: Bucket) -> None:
        """A body that says it changed is stale, and nothing is stored."""
        with pytest.raises(Stale):
            bucket.put("k", ChangedBody(), replaces=None, meta={})
        assert bucket.head("k") is None

    # deleting

    def test_delete(self, bucket: Bucket) -> None:
        """Deleting the present version leaves a proven absence."""
        written = create(bucket, "d/k")
        bucket.delete("d/k", replaces=written.version)
        assert bucket.head("d/k") is None
        assert keys(bucket) == []

    def test_delete_stale(self, bucket: Bucket) -> None:
        """Deleting a replaced version is stale and deletes nothing."""
        old = create(bucket, "k", b"old")
        bucket.put("k", BytesBody(b"new"), replaces=old.version, meta={})
        with pytest.raises(Stale):
            bucket.delete("k", replaces=old.version)
        assert content(bucket, "k") == b"new"

    def test_delete_gone(self, bucket: Bucket) -> None:
        """Deleting what is gone is stale."""
        old = create(bucket, "k")
        bucket.delete("k", replaces=old.version)
        with pytest.raises(Stale):
            bucket.delete("k", replaces=old.version)

    def test_create_again(self, bucket: Bucket) -> None:
        """A deleted key can be created, with no metadata of its former life."""
        old = create(bucket, "d/k", b"old", {"note": "old"})
        bucket.delete("d/k", replaces=old.version)
        create(bucket, "d/k", b"new")
        assert "note" not in look(bucket, "d/k").meta
        assert content(bucket, "d/k") == b"new"

    # copying

    def test_copy_keeps(self, bucket: Bucket) -> None:
        """A copy without metadata carries bytes and metadata of its source, which stays."""
        source = create(bucket, "a", b"bytes", {"note": "kept"})
        made = bucket.copy("a", "d/b", source_version=source.version, replaces=None, meta=None)
        assert look(bucket, "d/b").version == made.version
        assert look(bucket, "d/b").meta["note"] == "kept"
        assert content(bucket, "d/b") == b"bytes"
        assert look(bucket, "a").version == source.version

    def test_copy_time(self, bucket: Bucket) -> None:
        """A copy is not older than what it was made of, as far as the store tells times: the trash counts on that."""
        source = create(bucket, "a", b"bytes")
        bucket.copy("a", "d/b", source_version=source.version, replaces=None, meta=None)
        before, after = look(bucket, "a").modified, look(bucket, "d/b").modified
        assert before is None or after is None or before <= after

    def test_copy_with_metadata(self, bucket: Bucket) -> None:
        """A copy with metadata has exactly that."""
        source = create(bucket, "a", b"bytes", {"note": "old", "extra": "gone"})
        bucket.copy("a", "b", source_version=source.version, replaces=None, meta={"note": "new"})
        meta = look(bucket, "b").meta
        assert meta["note"] == "new"
        assert "extra" not in meta

    def test_copy_stale_source(self, bucket: Bucket) -> None:
        """A copy of a replaced source is stale and makes nothing."""
        old = create(bucket, "a", b"old")
        bucket.put("a", BytesBody(b"new"), replaces=old.version, meta={})
        with pytest.raises(Stale):
            bucket.copy("a", "d/b", source_version=old.version, replaces=None, meta=None)
        assert bucket.head("d/b") is None

    def test_copy_gone_source(self, bucket: Bucket) -> None:
        """A copy of what is gone is stale."""
        with pytest.raises(Stale):
            bucket.copy("a", "b", source_version=NOWHERE, replaces=None, meta=None)

    def test_copy_onto_existing(self, bucket: Bucket) -> None:
        """A copy that expects no object at its goal overwrites none."""
        source = create(bucket, "a", b"bytes")
        there = create(bucket, "b", b"there")
        with pytest.raises(Stale):
            bucket.copy("a", "b", source_version=source.version, replaces=None, meta=None)
        assert look(bucket, "b").version == there.version

    def test_copy_replaces(self, bucket: Bucket) -> None:
        """A copy that names the state at its goal replaces it."""
        source = create(bucket, "a", b"bytes")
        there = create(bucket, "b", b"there")
        bucket.copy("a", "b", source_version=source.version, replaces=there.version, meta=None)
        assert content(bucket, "b") == b"bytes"

    def test_copy_replaces_stale(self, bucket: Bucket) -> None:
        """A copy that names another state than that at its goal is stale."""
        source = create(bucket, "a", b"bytes")
        there = create(bucket, "b", b"there")
        bucket.put("b", BytesBody(b"newer"), replaces=there.version, meta={})
        with pytest.raises(Stale):
            bucket.copy("a", "b", source_version=source.version, replaces=there.version, meta=None)
        assert content(bucket, "b") == b"newer"

    def test_metadata_alone(self, bucket: Bucket) -> None:
        """A copy onto itself changes the metadata and keeps the bytes."""
        old = create(bucket, "k", b"bytes", {"note": "old", "extra": "gone"})
        new = bucket.copy("k", "k", source_version=old.version, replaces=old.version, meta={"note": "new"})
        info = look(bucket, "k")
        assert info.version == new.version
        assert info.meta["note"] == "new"
        assert "extra" not in info.meta
        assert content(bucket, "k") == b"bytes"

    def test_metadata_alone_stale(self, bucket: Bucket) -> None:
        """A change of metadata of a replaced state is stale."""
        old = create(bucket, "k", b"old")
        bucket.put("k", BytesBody(b"new"), replaces=old.version, meta={"note": "new"})
        with pytest.raises(Stale):
            bucket.copy("k", "k", source_version=old.version, replaces=old.version, meta={"note": "late"})
        assert look(bucket, "k").meta["note"] == "new"

    # listing

    def test_list_empty(self, bucket: Bucket) -> None:
        """An empty bucket lists nothing, and so does a prefix that no key has."""
        assert keys(bucket) == []
        create(bucket, "a/b")
        assert keys(bucket, "a/c") == []
        assert keys(bucket, "b/") == []

    def test_list_order(self, bucket: Bucket) -> None:
        """Keys come in the order of their UTF-8 bytes, in which `a.txt` is before `a/b` and that before `a0`."""
        names = ["a0", "a/b", "a.txt", "a-b/c", "a/b-c/d", "Z", "z", "é", "\uff5e", "\U0001f600", "a/b.d"]
        for name in names:
            create(bucket, name)
        assert keys(bucket) == in_order(names)

    def test_list_prefix(self, bucket: Bucket) -> None:
        """A prefix is any string, whether or not it ends at a slash."""
        for name in ("log/1", "log/10", "log/2", "log2", "lo", "log.txt", "other/log/1"):
            create(bucket, name)
        assert keys(bucket, "log/1") == ["log/1", "log/10"]
        assert keys(bucket, "log/") == ["log/1", "log/10", "log/2"]
        assert keys(bucket, "log") == ["log.txt", "log/1", "log/10", "log/2", "log2"]

    def test_list_start_after(self, bucket: Bucket) -> None:
        """`start_after` leaves out itself and all before it; it need be no key and need not have the prefix."""
        names = ["a", "b/1", "b/2", "b/3/x", "b/4", "c"]
        for name in names:
            create(bucket, name)
        for after in [*names, "b", "b/", "b/2!", "b/3", "b/3/", "b/3/z", "b0", "bb", "", "z"]:
            late = [name for name in names if name.encode() > after.encode()]
            assert keys(bucket, start_after=after) == late
            assert keys(bucket, "b/", after) == [name for name in late if name.startswith("b/")]

    def test_list_pages(self, bucket: Bucket) -> None:
        """A listing of more keys than fit a page is complete, in order and without repeats."""
        names = [f"many/{number:06d}" for number in range(self.many)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda name: create(bucket, name), names))
        pages = list(bucket.list("many/"))
        assert len(pages) > 1
        assert [item.key for page in pages for item in page] == names
        assert keys(bucket, "many/", names[-3]) == names[-2:]
        in_two = News(bucket, Paging(on_a_thread)).pages(names[len(names) // 2])
        assert sorted(item.key for page in in_two for item in page) == names

    @pytest.mark.parametrize("name", ODD_NAMES)
    def test_odd_name(self, bucket: Bucket, name: str) -> None:
        """A name keeps every character, as a file's and as a folder's; or the store says that it cannot hold it."""
        key = f"odd/{name}"
        if name in self.unholdable:
            with pytest.raises(Unsupported):
                create(bucket, key)
            return
        written = create(bucket, key, name.encode())
        below = create(bucket, f"in/{name}/file")
        assert keys(bucket, "odd/") == [key]
        assert keys(bucket, f"in/{name}/") == [f"in/{name}/file"]
        assert look(bucket, key).version == written.version
        assert content(bucket, key) == name.encode()
        copied = bucket.copy(key, f"copy/{name}", source_version=written.version, replaces=None, meta=None)
        assert look(bucket, f"copy/{name}").version == copied.version
        bucket.delete(key, replaces=written.version)
        bucket.delete(f"in/{name}/file", replaces=below.version)
        assert keys(bucket) == [f"copy/{name}"]

    def test_clash(self, bucket: Bucket) -> None:
        """A key below another object's name is held beside it, or refused as a clash that changes nothing."""
        file = create(bucket, "f", b"file")
        create(bucket, "d/g", b"below")
        for key in ("f/g", "d"):
            if self.holds_clashes:
                create(bucket, key)
                continue
            with pytest.raises(Unsupported) as caught:
                create(bucket, key)
            assert caught.value.code == "clash"
            assert caught.value.path == key
            with pytest.raises(Unsupported):
                bucket.copy("f", key, source_version=file.version, replaces=None, meta=None)
        assert content(bucket, "f") == b"file"
        assert content(bucket, "d/g") == b"below"

    # racing

    def test_creators_race(self, bucket: Bucket) -> None:
        """Of creators at one moment exactly one wins, and the object is that one's."""
        bodies = [f"writer {number}".encode() for number in range(self.racers)]
        outcomes = race([lambda body=body: create(bucket, "race/k", body) for body in bodies])  # type: ignore[misc]
        winners = [number for number, outcome in enumerate(outcomes) if outcome]
        assert len(winners) == 1
        assert content(bucket, "race/k") == bodies[winners[0]]

    def test_updaters_race(self, bucket: Bucket) -> None:
        """Of updaters from one version exactly one wins, and the object is that one's."""
        old = create(bucket, "k", b"old")
        bodies = [f"writer {number}".encode() for number in range(self.racers)]
        outcomes = race(
            [
                lambda body=body: bucket.put("k", BytesBody(body), replaces=old.version, meta={})  # type: ignore[misc]
                for body in bodies
            ]
        )
        winners = [number for number, outcome in enumerate(outcomes) if outcome]
        assert len(winners) == 1
        assert content(bucket, "k") == bodies[winners[0]]

    # counting

    def test_requests_are_counted(self, bucket: Bucket) -> None:
        """Every request raises the counter of its kind, and bodies are counted in bytes."""
        before = bucket.requests
        written = create(bucket, "k", b"12345", {"dorky-op": "0" * 32})
        assert bucket.requests.PUT - before.PUT == 1
        assert bucket.requests.bytes_up - before.bytes_up == 5
        before = bucket.requests
        content(bucket, "k", start=2)
        assert bucket.requests.GET - before.GET == 1
        assert bucket.requests.bytes_down - before.bytes_down == 3
        before = bucket.requests
        bucket.head("k")
        assert bucket.requests.HEAD - before.HEAD == 1
        before = bucket.requests
        keys(bucket)
        assert bucket.requests.LIST - before.LIST == 1
        before = bucket.requests
        made = bucket.copy("k", "c", source_version=written.version, replaces=None, meta={})
        assert bucket.requests.COPY - before.COPY == 1
        before = bucket.requests
        bucket.delete("c", replaces=made.version)
        assert bucket.requests.DELETE - before.DELETE == 1

    def test_close_twice(self, bucket: Bucket) -> None:
        """Closing may be repeated."""
        bucket.close()
        bucket.close()
