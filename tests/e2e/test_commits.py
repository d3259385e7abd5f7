"""Commits as people use them: real daemons, `dorkyctl`, and SIGKILL in the middle of a commit, a checkout and a collection."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from dorkyd.api.failures import ApiError
from dorkyd.client import DorkyClient
from tests.daemons import RealDaemon
from tests.e2e.commands import ctl, running
from tests.e2e.places import Place

pytestmark = [
    pytest.mark.daemon,
    pytest.mark.timeout(300),
    # httpcore leaks the socket of a connection that is refused, as those of a dead daemon are.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

FILES = 40


def become(daemon: RealDaemon, state: str) -> None:
    """The folder holds this state's files."""
    for number in range(FILES):
        (daemon.root / f"f{number:02}").write_text(f"{state} {number}")
    (daemon.root / "only A").write_text("here") if state == "A" else (daemon.root / "only A").unlink()


def contents(daemon: RealDaemon) -> dict[str, bytes]:
    """What the folder holds, without the lock file."""
    return {path: data for path, (data, _, _) in daemon.tree().items() if path != "dorky.lock"}


def test_a_b_and_a_again(directory: Place) -> None:
    """Three commits; each checks out byte-exactly on the other device, the lock file in one command; the object's SHA-256 is
    the id; the same state again is refused with 1.
    """
    one, two = directory.device("one"), directory.device("two")
    with running(one, two):
        held = []
        for state in ("A", "B", "A"):
            become(one, state)
            done = ctl(one, "commit", "p", "-m", f"state {state}", "--lock", "--json")
            assert done.code == 0, done.said
            held.append((json.loads(done.out), contents(one), (one.root / "dorky.lock").read_text()))
        again = ctl(one, "commit", "p", "-m", "nothing new")
        assert (again.code, "nothing to commit" in again.err) == (1, True)
        two.sync()
        listed = json.loads(ctl(two, "commits", "p", "--json").out)["items"]
        assert [item["id"] for item in listed] == [made["id"] for made, _, _ in reversed(held)]
        assert len({item["id"] for item in listed}) == 3
        for made, tree, lock in (held[1], held[0]):
            done = ctl(two, "checkout", f"p:{made['id'][:10]}")
            assert done.code == 0, done.said
            assert contents(two) == tree
            document = directory.read()[f".dorky/commits/{made['seq']:012d}.json"]
            assert hashlib.sha256(document).hexdigest() == made["id"]
            assert json.loads(lock)["commit"] == made["id"]
        (two.root / "dorky.lock").write_text(held[1][2])
        assert ctl(two, "checkout", "--locked", "p").code == 0
        assert contents(two) == held[1][1]
        differ = ctl(two, "diff", f"p:{held[0][0]['id'][:8]}", held[1][0]["id"][:8])
        assert differ.out.splitlines()[-1] == "D  only A  4 B"
        assert ctl(two, "checkout", "p:0000").code == 2
        (two.root / "only A").write_text("changed")
        two.sync()
        since = ctl(two, "diff", cwd=two.root)
        assert (since.code, "M  only A  4 B -> 7 B" in since.out.splitlines()) == (0, True)
        collected = ctl(two, "gc", "p", "--keep-last", "1", "--yes")
        assert (collected.code, collected.out.startswith("Removed 0 commits")) == (0, True), "they are of today"


def test_killed_in_the_middle(directory: Place) -> None:
    """SIGKILL while it commits, checks out and collects: started again, the same request ends well and all is whole."""
    one, two = directory.device("one"), directory.device("two")
    with running(one, two):
        become(one, "A")
        with one.client() as client:
            first = client.commit("p", "A")
        state_a = contents(one)
        for nth, after_s in enumerate((0.02, 0.1, 0.25)):
            become(one, f"B{nth}") if not nth else (one.root / "f00").write_text(f"again {nth}")
            one.sync()
            _cut(one, after_s, lambda client: client.commit("p", "B"))
            with one.client() as client, suppress(ApiError):
                client.commit("p", "B")  # the one that was cut short may have come far enough
            _cut(one, after_s, lambda client: client.collect("p", keep_last=1))
            _cut(one, after_s, lambda client: client.checkout("p", first.id))
            one.sync()
            with one.client() as client:
                assert client.checkout("p", first.id, overwrite=True).unlike == []
                assert contents(one) == state_a
                listed = client.commits("p").items
            deadline = time.monotonic() + 120
            assert [item.seq for item in listed] == list(range(len(listed), 0, -1))
            with two.client() as client:
                for item in listed:
                    # A change of the other device may arrive while it works, which is told, and the person asks again.
                    while client.checkout("p", item.id, overwrite=True).unlike:
                        assert time.monotonic() < deadline
                    files = client.commit_files("p", item.id).items
                    assert {f.path: f.digest for f in files} == {
                        path: f"sha256:{hashlib.sha256(data).hexdigest()}" for path, data in contents(two).items()
                    }
            two.sync()
            one.sync()


def _cut(daemon: RealDaemon, after_s: float, ask: Callable[[DorkyClient], object]) -> None:
    """Ask, kill the daemon while it is at it, and start it again."""

    def work() -> None:
        with suppress(ApiError), daemon.client() as client:
            ask(client)

    asking = threading.Thread(target=work)
    asking.start()
    time.sleep(after_s)
    daemon.kill()
    asking.join()
    daemon.start()
    daemon.sync()
