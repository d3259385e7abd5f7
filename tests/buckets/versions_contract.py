"""What every store that keeps versions must do: `dorkyd.ports.Versioned` as tests."""

from __future__ import annotations

from typing import cast

import pytest

from dorkyd.errors import Stale
from dorkyd.ports import Bucket, StoredVersion, Versioned
from tests.buckets.contract import BytesBody, create, look


def states(bucket: Bucket, prefix: str) -> list[StoredVersion]:
    """All pages in one."""
    assert isinstance(bucket, Versioned)
    return [state for page in bucket.versions(prefix) for state in page]


def read(bucket: Bucket, state: StoredVersion) -> bytes:
    """The bytes of one state."""
    assert isinstance(bucket, Versioned)
    with bucket.open_version(state.key, state.id) as reading:
        return b"".join(bytes(chunk) for chunk in reading)


class VersionsContract:
    """Each store's test module subclasses it, with a fixture `bucket` that keeps versions."""

    def test_replaced_and_deleted_states_are_kept(self, bucket: Bucket) -> None:
        """Newest first, each with its own bytes, after the object is gone too."""
        create(bucket, "d/f", b"one")
        bucket.put("d/f", BytesBody(b"two"), replaces=look(bucket, "d/f").version, meta={"dorky-op": "x"})
        kept = [state for state in states(bucket, "d/f") if not state.deleted]
        assert [(read(bucket, state), state.current) for state in kept] == [(b"two", True), (b"one", False)]
        bucket.delete("d/f", replaces=look(bucket, "d/f").version)
        kept = [state for state in states(bucket, "d/f") if not state.deleted]
        assert [(read(bucket, state), state.current) for state in kept] == [(b"two", False), (b"one", False)]
        assert [state.size for state in kept] == [3, 3]

    def test_a_prefix_tells_of_all_below_it(self, bucket: Bucket) -> None:
        """By key, without what lies beside it."""
        for key in ("d/a", "d/b", "e"):
            create(bucket, key, key.encode())
        assert [state.key for state in states(bucket, "d/")] == ["d/a", "d/b"]
        assert [state.key for state in states(bucket, "nothing")] == []

    def test_a_version_of_an_odd_name(self, bucket: Bucket) -> None:
        """Keys come back as they are."""
        create(bucket, "with space + %20/é", b"x")
        (state,) = states(bucket, "with space + %20/")
        assert read(bucket, state) == b"x"

    def test_metadata_comes_with_a_version(self, bucket: Bucket) -> None:
        """The digest that it claims tells what it is before its bytes come."""
        bucket.put("f", BytesBody(b"one"), replaces=None, meta={"dorky-device": "A"})
        bucket.put("f", BytesBody(b"two"), replaces=look(bucket, "f").version, meta={})
        old = states(bucket, "f")[-1]
        with cast("Versioned", bucket).open_version("f", old.id) as reading:
            assert reading.info.meta["dorky-device"] == "A"
            assert reading.info.size == 3

    def test_a_version_that_is_not_kept(self, bucket: Bucket) -> None:
        """Another key's is none of this one's."""
        create(bucket, "f", b"one")
        create(bucket, "g", b"two")
        (state,) = states(bucket, "f")
        with pytest.raises(Stale), cast("Versioned", bucket).open_version("nothing", state.id):
            pass
