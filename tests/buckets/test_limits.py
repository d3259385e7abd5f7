"""Bandwidth limits: the rate by a clock that the test turns, and the bucket that pays to it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from threading import Condition

import pytest

from dorkyd.buckets.limits import WHOLE_BYTES, Limited, Limits, Pair, Rate, held_already
from dorkyd.buckets.memory import MemoryBucket
from dorkyd.core.model import Version
from dorkyd.core.settings import Bandwidth
from dorkyd.errors import Transient
from dorkyd.ports import Body, Bucket, Session, Written
from tests.buckets.contract import BucketContract, BytesBody, MiB, content, create
from tests.buckets.session_contract import SessionContract

DEADLINE_S = 20.0
KiB = 1024


def never() -> bool:
    """Nobody gives up."""
    return False


class Time:
    """Monotonic seconds: `run` lets who waits pass the time at once; else only `pass_` moves it."""

    def __init__(self, *, runs: bool = True) -> None:
        self.now = 0.0
        self.runs = runs

    def __call__(self) -> float:
        return self.now

    def wait(self, condition: Condition, seconds: float | None) -> None:
        if self.runs and seconds is not None:
            self.now += seconds
        else:
            condition.wait(0.002)

    def pass_(self, seconds: float) -> None:
        self.now += seconds

    def rate(self, per_s: int | None) -> Rate:
        return Rate(per_s, monotonic=self, wait=self.wait)

    def limits(self, *, up: int | None = None, down: int | None = None, shared: Pair | None = None) -> Limits:
        return Limits(Pair(self.rate(up), self.rate(down)), shared or Pair(self.rate(None), self.rate(None)))


def within_deadline(condition: Callable[[], bool]) -> bool:
    """It became true."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if condition():
            return True
        threading.Event().wait(0.002)
    return False


# --- the rate ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("per_s", [1 * KiB, 100 * KiB, 10 * MiB, 1000 * MiB])
def test_so_many_bytes_a_second(per_s: int) -> None:
    """Past one second's burst, bytes take as long as the rate says."""
    clock = Time()
    assert clock.rate(per_s).pay(11 * per_s, never)
    assert clock.now == pytest.approx(10.0, rel=0.01)


def test_no_limit() -> None:
    """Without a limit nothing waits."""
    clock = Time()
    assert clock.rate(None).pay(10**12, never)
    assert clock.now == 0


def test_a_burst_is_one_second() -> None:
    """What nobody used for an hour is worth one second."""
    clock = Time()
    rate = clock.rate(100 * KiB)
    clock.pass_(3600)
    assert rate.pay(100 * KiB, never)
    assert clock.now == 3600
    assert rate.pay(100 * KiB, never)
    assert clock.now == pytest.approx(3601, abs=0.01)


def test_a_new_limit_has_no_burst() -> None:
    """A limit that is set while bytes flow holds from the first one."""
    clock = Time()
    rate = clock.rate(None)
    clock.pass_(60)
    rate.change(100 * KiB)
    assert rate.pay(200 * KiB, never)
    assert clock.now == pytest.approx(62, abs=0.01)


def paying(rate: Rate, count: int, given_up: Callable[[], bool] = never) -> tuple[threading.Thread, list[bool]]:
    """A thread that pays; what `pay` said."""
    said: list[bool] = []
    thread = threading.Thread(target=lambda: said.append(rate.pay(count, given_up)), daemon=True)
    thread.start()
    return thread, said


@pytest.mark.parametrize("per_s", [None, 10**9])
def test_raised_while_waiting(per_s: int | None) -> None:
    """Whoever waits at a low rate goes on at once when it is raised or lifted."""
    clock = Time(runs=False)
    rate = clock.rate(KiB)
    waits = [paying(rate, 100 * KiB) for _ in range(3)]
    assert within_deadline(lambda: rate.waiting == 3)
    rate.change(per_s)
    clock.pass_(1)
    for thread, said in waits:
        thread.join(DEADLINE_S)
        assert said == [True]
    assert rate.waiting == 0


def test_lowered_while_waiting() -> None:
    """A rate that is lowered holds for those who wait already."""
    clock = Time(runs=False)
    rate = clock.rate(100 * KiB)
    assert rate.pay(100 * KiB, never)
    thread, said = paying(rate, 4 * KiB)
    assert within_deadline(lambda: rate.waiting == 1)
    rate.change(KiB)
    begun = clock.now
    while not said and thread.is_alive():
        clock.pass_(0.25)
        thread.join(0.01)
    assert said == [True]
    assert clock.now - begun >= 4


def test_turns() -> None:
    """Who waits gets its turns in order: few bytes pass many, and nobody who came later."""
    clock = Time(runs=False)
    rate = clock.rate(16 * KiB)  # steps of 1 KiB
    assert rate.pay(16 * KiB, never)
    long = paying(rate, 1000 * KiB)
    assert within_deadline(lambda: rate.waiting == 1)
    short = paying(rate, KiB)
    assert within_deadline(lambda: rate.waiting == 2)
    later = paying(rate, KiB)
    assert within_deadline(lambda: rate.waiting == 3)
    ended = []
    for _ in range(3):  # a turn each
        clock.pass_(1 / 16)
        threading.Event().wait(0.1)
        ended.append((len(long[1]), len(short[1]), len(later[1])))
    assert within_deadline(lambda: later[1] == [True])
    assert (0, 0, 1) not in ended
    assert short[1] == [True]
    assert not long[1]
    rate.change(None)
    long[0].join(DEADLINE_S)


def test_giving_up() -> None:
    """Who waits ends when it is told to look and should not wait any more, and the others take its place."""
    clock = Time(runs=False)
    rate = clock.rate(KiB)
    assert rate.pay(KiB, never)
    over = threading.Event()
    ended = paying(rate, 100 * KiB, over.is_set)
    assert within_deadline(lambda: rate.waiting == 1)
    patient = paying(rate, KiB)
    assert within_deadline(lambda: rate.waiting == 2)
    over.set()
    rate.wake()
    ended[0].join(DEADLINE_S)
    assert ended[1] == [False]
    assert rate.waiting == 1
    clock.pass_(1)
    patient[0].join(DEADLINE_S)
    assert patient[1] == [True]


def test_many_threads_lose_no_wake() -> None:
    """By the real clock, threads that pay at once all end, in the time that all bytes take."""
    rate = Rate(4 * MiB)
    begun = time.monotonic()
    threads = [paying(rate, 256 * KiB) for _ in range(32)]
    for thread, said in threads:
        thread.join(DEADLINE_S)
        assert said == [True]
    assert time.monotonic() - begun >= 0.9


# --- the bucket -------------------------------------------------------------------------------------------------------


class TestLimitedMemoryBucket(BucketContract):
    @pytest.fixture
    def bucket(self) -> Bucket:
        return Limited(MemoryBucket(), Time().limits(up=10 * KiB, down=10 * KiB))


class TestLimitedMemorySessions(SessionContract):
    session_bytes = 101

    @pytest.fixture
    def bucket(self) -> Bucket:
        return Limited(MemoryBucket(sessions_over=10, part_bytes=7), Time().limits(up=10 * KiB))

    @pytest.fixture
    def other(self, bucket: Limited) -> Bucket:
        assert isinstance(bucket.bucket, MemoryBucket)
        return Limited(bucket.bucket.client(), Time().limits(up=10 * KiB))


@pytest.mark.parametrize("size", [WHOLE_BYTES, 4 * WHOLE_BYTES])
def test_up(size: int) -> None:
    """A body sent takes as long as its bytes do, once, whether it is sent whole or read piece by piece."""
    clock = Time()
    bucket = Limited(MemoryBucket(), clock.limits(up=100 * KiB))
    create(bucket, "k", bytes(size))
    assert clock.now == pytest.approx(size / (100 * KiB) - 1, rel=0.01)


def test_down() -> None:
    """A body received takes as long as its bytes do."""
    clock = Time()
    memory = MemoryBucket()
    create(memory, "k", bytes(2 * MiB))
    bucket = Limited(memory, clock.limits(down=100 * KiB))
    assert len(content(bucket, "k")) == 2 * MiB
    assert clock.now == pytest.approx(2 * MiB / (100 * KiB) - 1, rel=0.01)


def test_shared() -> None:
    """Two projects pay to the rate of all together, beside their own."""
    clock = Time()
    shared = Pair(clock.rate(100 * KiB), clock.rate(None))
    one, other = (Limited(MemoryBucket(), clock.limits(up=1000 * KiB, shared=shared)) for _ in range(2))
    create(one, "k", bytes(500 * KiB))
    create(other, "k", bytes(500 * KiB))
    assert clock.now == pytest.approx(9, rel=0.01)


def test_bookkeeping_does_not_wait() -> None:
    """What lies under `.dorky/` is not held back, even when everything else is."""
    clock = Time()
    limits = clock.limits(up=KiB, down=KiB)
    bucket = Limited(MemoryBucket(), limits)
    limits.hold()
    create(bucket, ".dorky/log/000000000001.json", bytes(MiB))
    assert bucket.read(".dorky/log/000000000001.json") is not None
    assert clock.now == 0


@pytest.mark.parametrize("size", [100 * KiB, 4 * WHOLE_BYTES])
def test_hold_ends_uploads(size: int) -> None:
    """An upload that waits ends at once when its project is held, nothing stored; afterwards it can be sent."""
    clock = Time(runs=False)
    limits = clock.limits(up=KiB)
    bucket = Limited(MemoryBucket(), limits)
    failed: list[BaseException] = []

    def send() -> None:
        try:
            create(bucket, "k", bytes(size))
        except Transient as exc:
            failed.append(exc)

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    assert within_deadline(lambda: limits.own.up.waiting == 1)
    limits.hold()
    thread.join(DEADLINE_S)
    assert len(failed) == 1
    assert bucket.head("k") is None
    with pytest.raises(Transient):
        create(bucket, "k", b"held")
    limits.go()
    limits.own.change(Bandwidth())
    create(bucket, "k", bytes(size))


def test_hold_ends_downloads() -> None:
    """A download that waits for the rate of all projects ends when its own project is held; another's goes on."""
    clock = Time(runs=False)
    shared = Pair(clock.rate(None), clock.rate(KiB))
    assert shared.down.pay(KiB, never)
    memory = MemoryBucket()
    create(memory, "k", bytes(10 * KiB))
    held, going = clock.limits(shared=shared), clock.limits(shared=shared)
    got: dict[str, object] = {}

    def fetch(name: str, limits: Limits) -> None:
        try:
            got[name] = len(content(Limited(memory, limits), "k"))
        except Transient as exc:
            got[name] = exc.code

    threads = [threading.Thread(target=fetch, args=pair, daemon=True) for pair in (("held", held), ("going", going))]
    for count, thread in enumerate(threads, start=1):
        thread.start()
        assert within_deadline(lambda count=count: shared.down.waiting == count)  # type: ignore[misc]
    held.hold()
    threads[0].join(DEADLINE_S)
    assert got == {"held": "held"}
    shared.down.change(None)
    threads[1].join(DEADLINE_S)
    assert got["going"] == 10 * KiB


def test_no_limit_is_not_held() -> None:
    """A transfer without a limit ends as it would."""
    limits = Time().limits()
    limits.hold()
    bucket = Limited(MemoryBucket(), limits)
    create(bucket, "k", b"through")
    assert content(bucket, "k") == b"through"


def test_read_twice_paid_once() -> None:
    """A body that is rewound, or opened again, pays for each byte once; what is passed over is free."""
    clock = Time()
    bucket = Limited(Rereading(), clock.limits(up=100 * KiB))
    bucket.put("k", BytesBody(bytes(3 * MiB)), replaces=None, meta={})
    # Read: the first 2 MiB twice, the last half.
    assert clock.now == pytest.approx(2.5 * MiB / (100 * KiB) - 1, rel=0.01)


def test_what_the_store_holds_is_free() -> None:
    """An upload that goes on pays for what it still sends, not for what it reads to compare."""
    clock = Time()
    bucket = Limited(Resuming(), clock.limits(up=100 * KiB))
    create(bucket, "k", bytes(3 * MiB))
    assert clock.now == pytest.approx(MiB / (100 * KiB) - 1, rel=0.01)


class Resuming(MemoryBucket):
    """Holds the first 2 MiB already."""

    def put(
        self,
        key: str,
        body: Body,
        *,
        replaces: Version | None,
        meta: Mapping[str, str],
        session: Session | None = None,
    ) -> Written:
        held_already(body, 2 * MiB)
        return super().put(key, body, replaces=replaces, meta=meta, session=session)


class Rereading(MemoryBucket):
    """Reads a body for its checksum first, and then what the store lacks of it."""

    def put(
        self,
        key: str,
        body: Body,
        *,
        replaces: Version | None,
        meta: Mapping[str, str],
        session: Session | None = None,
    ) -> Written:
        with body.open() as stream:
            assert len(stream.read(2 * MiB)) == 2 * MiB
            assert stream.seek(0) == 0
            assert len(stream.read(MiB)) == MiB
        with body.open() as stream:
            buffer = bytearray(MiB)
            assert stream.readinto(buffer) == MiB
            assert stream.seek(5 * MiB // 2) == stream.tell() == 5 * MiB // 2
            assert len(stream.read()) == MiB // 2
            assert stream.read() == b""
        return super().put(key, BytesBody(b""), replaces=replaces, meta=meta, session=session)


def test_change_touches_only_what_changed() -> None:
    """Setting limits again to what they are takes nobody's allowance."""
    clock = Time()
    pair = Pair(clock.rate(None), clock.rate(None))
    pair.change(Bandwidth(up=100 * KiB))
    clock.pass_(1)
    pair.change(Bandwidth(up=100 * KiB, down=KiB))
    assert pair.bandwidth == Bandwidth(100 * KiB, KiB)
    assert pair.up.pay(100 * KiB, never)
    assert clock.now == 1


@pytest.fixture(autouse=True)
def _no_thread_left() -> Iterator[None]:
    """Every test lets its threads go."""
    yield
    assert within_deadline(lambda: not [t for t in threading.enumerate() if "pay" in t.name])
