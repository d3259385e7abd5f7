"""A frozen project, with real daemons: a job that ends, one that is killed, and the command."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dorkyd.api.failures import ApiError
from dorkyd.client import AsyncDorkyClient
from tests.daemons import RealDaemon
from tests.e2e.commands import ctl

pytestmark = pytest.mark.daemon
PARTS = [f"part-{number}" for number in range(8)]
DEADLINE_S = 60.0


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[RealDaemon, RealDaemon]]:
    """Two machines on one bucket."""
    (tmp_path / "bucket").mkdir()
    made = [RealDaemon(tmp_path, name, f"file://{tmp_path}/bucket", poll_s=0.2, settle_s=0.05) for name in ("a", "b")]
    for daemon in made:
        daemon.start()
    yield made[0], made[1]
    for daemon in made:
        daemon.stop()


def _write(daemon: RealDaemon) -> None:
    for part in PARTS:
        (daemon.root / part).write_text(part * 100)


def _parts(daemon: RealDaemon) -> set[str]:
    return {path.name for path in daemon.root.glob("part-*")}


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)


def _in_bucket(tmp_path: Path) -> list[str]:
    return [path.name for path in (tmp_path / "bucket").glob("part-*")]


def test_a_job_that_ends(two: tuple[RealDaemon, RealDaemon], tmp_path: Path) -> None:
    """Nothing of it is in the bucket before the block ends; all of it is when it has."""
    one, other = two
    with one.client() as client:
        with client.freeze("p", holder="the job") as held:
            _write(one)
            done = client.sync("p", wait=True)
            assert not done.converged
            assert "frozen by the job" in done.detail
            assert _in_bucket(tmp_path) == []
            with pytest.raises(ApiError, match="frozen by the job"):
                client.upload(one.root / "part-0", to="p:elsewhere")
        assert held.thawed is not None
        assert (held.thawed.changes, len(held.thawed.batches)) == (len(PARTS), 1)
        assert sorted(_in_bucket(tmp_path)) == PARTS
    _until(lambda: _parts(other) == set(PARTS))


def test_an_awaited_job_that_fails(two: tuple[RealDaemon, RealDaemon], tmp_path: Path) -> None:
    """What it wrote goes all the same, and its own exception is what is raised."""
    one, _ = two

    async def job() -> None:
        async with AsyncDorkyClient(str(one.socket)) as client, client.freeze("p", lease_s=2):
            _write(one)
            await asyncio.sleep(3)  # longer than the lease, which is renewed
            assert _in_bucket(tmp_path) == []
            raise ValueError("the job's own")

    with pytest.raises(ValueError, match="the job's own"):
        asyncio.run(job())
    assert sorted(_in_bucket(tmp_path)) == PARTS


def test_a_job_that_is_killed(two: tuple[RealDaemon, RealDaemon], tmp_path: Path) -> None:
    """It lets go by itself."""
    one, other = two
    script = (
        "import sys, time; from dorkyd import DorkyClient\n"
        f"with DorkyClient({str(one.socket)!r}) as client, client.freeze('p', lease_s=2):\n"
        "    print('frozen', flush=True); time.sleep(600)"
    )
    job = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert job.stdout is not None
    with job.stdout:
        assert job.stdout.readline() == b"frozen\n"
        _write(one)
        with one.client() as client:
            assert not client.sync("p", wait=True).converged
        assert _in_bucket(tmp_path) == []
        job.send_signal(signal.SIGKILL)
        job.wait()
    _until(lambda: _parts(other) == set(PARTS))


def test_the_command(two: tuple[RealDaemon, RealDaemon], tmp_path: Path) -> None:
    """It ends as the command that it ran, and says what went."""
    one, _ = two
    writes = f"from pathlib import Path; [Path({str(one.root)!r}, name).write_text('x') for name in {PARTS!r}]"
    code = (
        f"{writes}; import os; assert not [n for n in os.listdir({str(tmp_path / 'bucket')!r}) if 'part' in n]; exit(3)"
    )
    ran = ctl(one, "freeze", "--project", "p", "--", sys.executable, "-c", code)
    assert ran.code == 3, ran.said
    assert "8 changes went" in ran.err
    assert sorted(_in_bucket(tmp_path)) == PARTS
    assert ctl(one, "freeze", "--project", "p").code == 2
    ended = ctl(one, "freeze", "--project", "p", "--release")
    assert "no such freeze" in ended.err
