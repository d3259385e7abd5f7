"""The threads that all projects share. Jobs here wait for the test, so that nothing depends on time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from dorkyd.jobs import LARGE_BYTES, MEDIUM_BYTES, Size, size_of
from dorkyd.pool import OWN, SHARED, Lane, TransferPool

DEADLINE_S = 15.0
SMALL, MEDIUM, LARGE = 4096, MEDIUM_BYTES + 1, LARGE_BYTES + 1


class Slow:
    """Jobs that hold their threads until they are let go."""

    def __init__(self) -> None:
        self._go = threading.Event()
        self._begun = threading.Condition()
        self.begun = 0

    def __call__(self) -> None:
        with self._begun:
            self.begun += 1
            self._begun.notify_all()
        self._go.wait(10 * DEADLINE_S)

    def wait_for(self, count: int) -> bool:
        """So many have begun."""
        with self._begun:
            return self._begun.wait_for(lambda: self.begun >= count, DEADLINE_S)

    def let_go(self) -> None:
        self._go.set()


@pytest.fixture
def slow() -> Iterator[Slow]:
    """Jobs that are let go at the end."""
    jobs = Slow()
    yield jobs
    jobs.let_go()


@pytest.fixture
def pool() -> Iterator[TransferPool]:
    """Threads that are closed at the end."""
    threads = TransferPool()
    yield threads
    threads.close()


def passes(lane: Lane, moved: int = SMALL) -> bool:
    """A job that is submitted now runs while the others hold their threads."""
    done = threading.Event()
    lane.submit(done.set, moved)
    return done.wait(DEADLINE_S)


def test_sizes() -> None:
    """A job is as large as what it moves."""
    assert [size_of(moved) for moved in (0, MEDIUM_BYTES, MEDIUM, LARGE_BYTES, LARGE)] == [
        Size.SMALL,
        Size.SMALL,
        Size.MEDIUM,
        Size.MEDIUM,
        Size.LARGE,
    ]


@pytest.mark.parametrize("moved", [MEDIUM, LARGE])
def test_small_passes_slow(pool: TransferPool, slow: Slow, moved: int) -> None:
    """However many slow transfers several projects have under way, each project's small files go on."""
    lanes = [pool.lane() for _ in range(5)]
    for lane in lanes:
        for _ in range(64):
            lane.submit(slow, moved)
    size = size_of(moved)
    assert slow.wait_for(SHARED[size])
    assert all(passes(lane) for lane in lanes)
    assert slow.begun <= SHARED[size] + OWN[size] * len(lanes)


def test_no_project_waits_for_another(pool: TransferPool, slow: Slow) -> None:
    """While one project's small files hold every shared thread, another's of any size go on."""
    one, other = pool.lane(), pool.lane()
    for _ in range(200):
        one.submit(slow, SMALL)
    assert slow.wait_for(SHARED[Size.SMALL])
    assert all(passes(other, moved) for moved in (SMALL, MEDIUM, LARGE))
    assert slow.begun == SHARED[Size.SMALL]


def test_projects_take_turns(pool: TransferPool, slow: Slow) -> None:
    """A project with 20,000 small files waiting does not keep another's single one: it is among the next."""
    one, other = pool.lane(), pool.lane()
    held, later, done = Slow(), Slow(), threading.Event()
    for _ in range(OWN[Size.SMALL]):
        other.submit(held, SMALL)
    assert held.wait_for(OWN[Size.SMALL])
    for _ in range(SHARED[Size.SMALL]):
        one.submit(slow, SMALL)
    assert slow.wait_for(SHARED[Size.SMALL] - OWN[Size.SMALL])
    for _ in range(20_000):
        one.submit(later, SMALL)
    other.submit(done.set, SMALL)
    slow.let_go()
    try:
        assert done.wait(DEADLINE_S)
        assert later.begun <= SHARED[Size.SMALL]
    finally:
        pool.close()
        held.let_go()
        later.let_go()


def test_one_project_may_have_all(pool: TransferPool, slow: Slow) -> None:
    """A project alone gets every shared thread, and no more."""
    lane = pool.lane()
    for _ in range(100):
        lane.submit(slow, SMALL)
    assert slow.wait_for(SHARED[Size.SMALL])
    assert slow.begun == SHARED[Size.SMALL]
    slow.let_go()
    assert slow.wait_for(100)


def test_a_broken_job_leaves_its_thread(pool: TransferPool, caplog: pytest.LogCaptureFixture) -> None:
    """A job that raises what nobody foresaw takes no thread with it."""
    lane = pool.lane()

    def broken() -> None:
        raise SystemExit

    for _ in range(3 * SHARED[Size.SMALL]):
        lane.submit(broken)
    assert passes(lane)
    assert "job-failed" in caplog.text


def test_close_begins_nothing_new(pool: TransferPool, slow: Slow) -> None:
    """After the close only what was begun runs to its end."""
    lane = pool.lane()
    for _ in range(100):
        lane.submit(slow, SMALL)
    assert slow.wait_for(SHARED[Size.SMALL])
    pool.close()
    lane.submit(slow, SMALL)
    slow.let_go()
    assert slow.begun == SHARED[Size.SMALL]


def test_without_threads_the_caller_does_the_work() -> None:
    """Where the system has no more threads nothing is lost or refused, and threads are used again once there are some."""
    there: list[threading.Thread] = []
    refusing = True

    def start(work: Callable[[], None]) -> None:
        if refusing:
            raise RuntimeError("can't start new thread")
        there.append(threading.Thread(target=work, daemon=True))
        there[-1].start()

    pool = TransferPool(start)
    lane = pool.lane()
    by: list[int] = []
    for moved in (SMALL, LARGE, MEDIUM):
        lane.submit(lambda: by.append(threading.get_ident()), moved)
    assert by == [threading.get_ident()] * 3
    assert not lane.busy
    refusing = False
    done = threading.Event()
    lane.submit(done.set, SMALL)
    assert done.wait(DEADLINE_S)
    assert len(there) == 1
    pool.close()
