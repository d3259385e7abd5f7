"""Mode manual between real daemons: commands, both clients, and two that push at the same moment."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dorkyd import AsyncDorkyClient, DorkyClient
from dorkyd.api.failures import Conflict
from dorkyd.api.manual_messages import Pushed
from tests.daemons import RealDaemon
from tests.e2e.commands import ctl

pytestmark = pytest.mark.daemon


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[RealDaemon, RealDaemon]]:
    """Two folders in mode manual over one directory."""
    base = Path(os.path.realpath(tempfile.mkdtemp(prefix="dk")))
    (base / "bucket").mkdir()
    daemons = [RealDaemon(base, name, f"file://{base}/bucket/prefix", mode="manual") for name in ("a", "b")]
    try:
        for daemon in daemons:
            daemon.start()
        yield daemons[0], daemons[1]
    finally:
        for daemon in daemons:
            daemon.stop()
        shutil.rmtree(base)


def write(daemon: RealDaemon, path: str, text: str) -> None:
    """A person saves a file."""
    file = daemon.root / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)


def test_a_day_with_commands(pair: tuple[RealDaemon, RealDaemon]) -> None:
    """Stage, commit and push here, pull there, as a person runs them; and what is refused."""
    a, b = pair
    write(a, "d/f", "one")
    write(a, "d/g", "two")
    staged = ctl(a, "stage", str(a.root / "d"))
    assert (staged.code, staged.out.split()) == (0, ["staged", "new", "d/f", "staged", "new", "d/g"])
    assert ctl(a, "commit", "p", "-m", "two files").code == 0
    write(a, "d/f", "later")
    with DorkyClient(a.socket) as client:
        client.sync("p", wait=True)
        told = ctl(a, "status", "p", "--exit-code")
        assert (told.code, "next push: two files" in told.out) == (3, True)
        assert "Staged for the next push:\n  new       d/f\n  new       d/g\nChanged here" in told.out
        pushed = json.loads(ctl(a, "push", "p", "--json").out)
        assert (pushed["seq"], pushed["message"], pushed["paths"], pushed["told"]) == (1, "two files", 2, True)
        assert ctl(b, "pull", "p").code == 0
        assert [(b.root / "d" / name).read_text() for name in "fg"] == ["one", "two"]
        write(b, "d/g", "b's")
        with DorkyClient(b.socket) as other:
            other.stage("p", ["d/g"])
            other.push("p", "first")
        write(a, "d/g", "a's")
        told = lambda: client.status("p").projects[0].manual.staged
        for _ in range(2):
            client.stage("p", ["d/g"])
            assert told() == 1, "at once, not some cycles later"
            client.unstage("p", ["d/g"])
            assert told() == 0
        client.stage("p", ["d/g"])
        late = ctl(a, "push", "p", "-m", "late")
        assert (late.code, "dorkyctl pull" in late.err) == (4, True)
        client.pull("p")
        assert (a.root / "d/g").read_text() == "b's"
        (item,) = (one for one in client.changes("p").items if one.staged)
        assert (item.path, item.outdated) == ("d/g", True)
        with pytest.raises(Conflict) as refused:
            client.push("p", "over another state")
        assert refused.value.code == "outdated"
        client.unstage("p", ["."])
        assert "waits for `dorkyctl stage`" in client.why("p", "d/f").explanation


def test_two_push_at_the_same_moment(pair: tuple[RealDaemon, RealDaemon]) -> None:
    """Through both clients: one wins, the other is told to pull, and pushes then."""
    a, b = pair
    with DorkyClient(a.socket) as one:
        one.pull("p")
        write(a, "mine", "a's")
        assert [item.staged for item in one.stage("p", ["mine"]).items] == ["new"]

        async def other(message: str) -> Pushed:
            async with AsyncDorkyClient(b.socket) as two:
                if message == "b":
                    await two.pull("p")
                    write(b, "yours", "b's")
                    assert [item.path for item in (await two.stage("p", ["yours"])).items] == ["yours"]
                return await two.push("p", message)

        with ThreadPoolExecutor(2) as threads:
            asked = [threads.submit(one.push, "p", "a"), threads.submit(asyncio.run, other("b"))]
            failed = [each.exception() for each in asked]
        lost = [exc for exc in failed if exc is not None]
        if lost:
            (exc,) = lost
            assert isinstance(exc, Conflict)
            assert exc.code == "remote-moved"
            if failed[0] is not None:
                one.pull("p")
                one.push("p", "a again")
            else:
                with DorkyClient(b.socket) as two:
                    two.pull("p")
                    two.push("p", "b again")
        messages = [item.message for item in one.commits("p").items]
        assert sorted(message[0] for message in messages[:2]) == ["a", "b"]
        one.pull("p")
        files = {item.path for item in one.commit_files("p", one.commits("p").items[0].id).items}
    assert {"mine", "yours"} <= files
    assert (a.root / "yours").read_text() == "b's"
