"""What is repeated, how often, and what never is."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from dorkyd.buckets.memory import MemoryBucket
from dorkyd.buckets.retry import Patience, Retrying, repeated
from dorkyd.core.model import Version
from dorkyd.errors import Denied, DorkyError, RateLimited, Stale, Transient
from dorkyd.ports import Bucket, Listed
from tests.buckets.contract import BucketContract, BytesBody, content, create, keys


class Failing:
    """A bucket that raises what it was given before each of its requests, until there is no more of it."""

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self.errors: list[DorkyError] = []
        self.asked: list[str] = []

    def __getattr__(self, name: str) -> Any:
        below = getattr(self.bucket, name)
        if not callable(below):
            return below

        def ask(*args: Any, **kwargs: Any) -> Any:
            self.asked.append(name)
            if self.errors:
                raise self.errors.pop(0)
            return below(*args, **kwargs)

        return ask

    @contextlib.contextmanager
    def get(self, key: str, **kwargs: Any) -> Iterator[Any]:
        self.asked.append("get")
        if self.errors:
            raise self.errors.pop(0)
        with self.bucket.get(key, **kwargs) as reading:
            yield reading

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[Sequence[Listed]]:
        for page in self.bucket.list(prefix, start_after=start_after):
            for item in page:
                self.asked.append("list")
                if self.errors:
                    raise self.errors.pop(0)
                yield [item]


@pytest.fixture
def failing() -> Failing:
    """Fails as told."""
    return Failing(MemoryBucket())


@pytest.fixture
def waits() -> list[float]:
    """Seconds slept."""
    return []


@pytest.fixture
def retrying(failing: Failing, waits: list[float]) -> Retrying:
    """Around `failing`, without jitter."""
    return Retrying(failing, Patience(attempts=4, first_s=1, longest_s=3), sleep=waits.append, chance=lambda: 1.0)


class TestContract(BucketContract):
    @pytest.fixture
    def bucket(self) -> Bucket:
        return Retrying(MemoryBucket())


@pytest.mark.parametrize(
    "ask",
    [
        lambda bucket: bucket.head("k").size,
        lambda bucket: len(bucket.read("k")[1]),
        lambda bucket: len(content(bucket, "k")),
        lambda bucket: len(keys(bucket)),
    ],
)
def test_reads_repeat(failing: Failing, retrying: Retrying, ask: Callable[[Bucket], int]) -> None:
    """A look, a small read, the opening of a download and a page are repeated when they fail in passing."""
    create(retrying, "k", b"x")
    failing.errors = [Transient("one"), Transient("two")]
    assert ask(retrying) == 1


def test_waits_grow(failing: Failing, retrying: Retrying, waits: list[float]) -> None:
    """Waits double up to their limit, and the last failure is raised."""
    failing.errors = [Transient(str(number)) for number in range(4)]
    with pytest.raises(Transient, match="3"):
        retrying.head("k")
    assert waits == [1, 2, 3]


def test_a_long_try_is_the_last() -> None:
    """A store that says nothing until the client gives up is asked once: four times that would be minutes."""
    clock = [0.0]

    def ask() -> None:
        clock[0] += took
        raise Transient("nothing came")

    for took, asked in ((4.0, 4), (6.0, 1)):
        begun = clock[0]
        with pytest.raises(Transient):
            repeated(ask, Patience(attempts=4, quick_s=5), sleep=lambda _: None, now=lambda: clock[0])
        assert clock[0] - begun == took * asked


def test_asked_wait_is_kept(failing: Failing, retrying: Retrying, waits: list[float]) -> None:
    """What the store asks for is the least wait; more than we are patient for is raised at once."""
    failing.errors = [RateLimited("slow", retry_after_s=2.5), RateLimited("slower", retry_after_s=30)]
    with pytest.raises(RateLimited, match="slower"):
        retrying.head("k")
    assert waits == [2.5]


@pytest.mark.parametrize("error", [Transient("gone", offline=True), Stale("other"), Denied("no")])
def test_others_are_not_repeated(failing: Failing, retrying: Retrying, error: DorkyError) -> None:
    """No connection at all, news and refusals are the caller's at once."""
    failing.errors = [error]
    with pytest.raises(type(error)):
        retrying.head("k")
    assert failing.asked == ["head"]


@pytest.mark.parametrize(
    "write",
    [
        lambda bucket: bucket.put("k", BytesBody(b"x"), replaces=None, meta={}),
        lambda bucket: bucket.delete("k", replaces=Version("1")),
        lambda bucket: bucket.copy("k", "l", source_version=Version("1"), replaces=None, meta=None),
    ],
)
def test_writes_are_not_repeated(failing: Failing, retrying: Retrying, write: Callable[[Bucket], object]) -> None:
    """A write whose outcome is unknown is sent once."""
    failing.errors = [Transient("reply lost")]
    with pytest.raises(Transient):
        write(retrying)
    assert len(failing.asked) == 1


def test_listing_goes_on(failing: Failing, retrying: Retrying) -> None:
    """After a page that failed the listing goes on behind the last key it gave: none twice, none left out."""
    for name in "abcd":
        create(retrying, name)
    found = []
    for page in retrying.list():
        found += [item.key for item in page]
        if len(found) in {1, 3}:
            failing.errors = [Transient("page")]
    assert found == list("abcd")


def test_download_is_closed(failing: Failing, retrying: Retrying) -> None:
    """An error inside a download comes out unchanged."""
    create(retrying, "k")
    with pytest.raises(KeyError), retrying.get("k"):
        raise KeyError("mine")
