"""What daemons ask of the bucket, how they do without it, and what other tools do there."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from pathlib import Path

import pytest

from tests.daemons import RealDaemon, settle, wait_until
from tests.e2e.persons import mine
from tests.e2e.places import FULL, Place, moved, s3_place
from tests.servers import private_seaweed, restart, suspend

pytestmark = [pytest.mark.daemon]


def in_sync(*daemons: RealDaemon) -> bool:
    """Whether all of them say so."""
    return all(daemon.state() == "in-sync" for daemon in daemons)


def test_at_rest_a_poll_is_one_request(place: Place) -> None:
    """The next number of the log is asked for, and nothing else."""
    a = place.device("a", poll_s=0.5)
    for n in range(20):
        (a.root / f"f{n}").write_text(str(n))
    a.start().sync()
    a.sync()
    before = a.requests()
    begun = time.monotonic()
    wait_until("eight polls", lambda: a.requests()["GET"] - before["GET"] >= 8)
    polls = moved(before, a.requests())
    took_s = time.monotonic() - begun
    assert polls.keys() == {"GET"}, polls
    assert polls["GET"] <= 2 + took_s / (0.5 * 0.8), f"{polls} in {took_s:.1f} s"


def _edit_both(a: RealDaemon, b: RealDaemon) -> None:
    (a.root / "from-a").write_text("made on a")
    (b.root / "from-b").write_text("made on b")
    (a.root / "both").write_text("a's own")
    (b.root / "both").write_text("b's own, longer")
    (a.root / "gone").unlink()


def _nothing_is_lost(a: RealDaemon, b: RealDaemon) -> None:
    first, second = mine(a.root), mine(b.root)
    assert first == second
    assert first["from-a"] == b"made on a"
    assert first["from-b"] == b"made on b"
    assert first["stays"] == b"stays"
    assert "gone" not in first
    both = {data for path, data in first.items() if path.startswith("both")}
    assert both == {b"a's own", b"b's own, longer"}
    assert len(first) == 5


def _meet(a: RealDaemon, b: RealDaemon) -> None:
    for name in ("both", "gone", "stays"):
        (a.root / name).write_text(name)
    a.launch(), b.launch()
    settle(a.ready(), b.ready())
    _edit_needs_a_tick()


def _edit_needs_a_tick() -> None:
    threading.Event().wait(0.05)


def test_a_directory_that_is_away_is_waited_for(directory: Place) -> None:
    """Both work on; when the bucket is back all is sent and fetched without anybody's help."""
    a, b = directory.device("a"), directory.device("b")
    _meet(a, b)
    bucket, away = directory.base / "bucket", directory.base / "unplugged"
    bucket.rename(away)
    _edit_both(a, b)
    wait_until("both say offline", lambda: a.state() == b.state() == "offline")
    assert not bucket.exists(), "a missing bucket is not made anew"
    a.stop()
    a.start()
    wait_until("offline after a restart too", lambda: a.state() == "offline")
    assert not bucket.exists()
    away.rename(bucket)
    wait_until("both catch up", lambda: in_sync(a, b) and len(mine(a.root)) == len(mine(b.root)) == 5)
    settle(a, b)
    _nothing_is_lost(a, b)


@pytest.mark.s3
def test_a_server_that_is_away_is_waited_for(tmp_path: Path) -> None:
    """SeaweedFS stopped and started again on its port and its data."""
    server = private_seaweed()
    with s3_place(tmp_path, server) as place:
        a, b = place.device("a"), place.device("b")
        _meet(a, b)
        suspend(server)
        _edit_both(a, b)
        wait_until("both say offline", lambda: a.state() == b.state() == "offline")
        restart(server)
        wait_until("both catch up", lambda: in_sync(a, b) and len(mine(a.root)) == len(mine(b.root)) == 5)
        settle(a, b)
        _nothing_is_lost(a, b)


def test_a_file_that_grows_arrives_whole_in_few_puts(directory: Place) -> None:
    """Appended to every 100 ms for 10 s: held back while it is written to, within `hold_s`."""
    a, b = directory.device("a", settle_s=1), directory.device("b")
    (a.root / "first").write_text("1")
    a.launch(), b.launch()
    settle(a.ready(), b.ready())
    before = a.requests()
    line = b"a line of the log\n"
    pace = threading.Event()
    for _ in range(100):
        with (a.root / "growing.log").open("ab") as stream:
            stream.write(line)
        pace.wait(0.1)
    settle(a, b)
    assert (b.root / "growing.log").read_bytes() == line * 100
    objects = moved(before, a.requests())["bytes_up"] / len(line * 100)
    assert objects <= 3, f"sent {objects} times over"
    assert moved(before, a.requests())["PUT"] <= 8, moved(before, a.requests())


@pytest.mark.timeout(900)
def test_a_burst_of_files_all_sync(directory: Place) -> None:
    """20,000 files at once (800 of them in CI): none is missed."""
    files = 20_000 if FULL else 800
    a, b = directory.device("a"), directory.device("b")
    (a.root / "first").write_text("1")
    a.launch(), b.launch()
    settle(a.ready(), b.ready())
    for n in range(files):
        folder = a.root / "burst" / f"d{n % 40}" / f"e{n % 3}"
        if n < 120:
            folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{n}.txt").write_text(f"{n}")
    # By the watcher and the log alone: nobody asks for a scan or a listing.
    wait_until("all arrived", lambda: b.status().files == files + 1 and in_sync(a, b), 600)
    assert mine(a.root) == mine(b.root)
    assert len(mine(b.root)) == files + 1


def test_plain_tools_work_in_the_bucket(directory: Place) -> None:
    """What `cp`, an editor and `rm` do in the bucket's directory arrives in the folders, without our metadata."""
    a, b = directory.device("a", list_every_s=0.5), directory.device("b", list_every_s=0.5)
    bucket = directory.base / "bucket"
    for name in ("edited.txt", "appended.txt", "removed.txt", "sub/kept.txt"):
        (a.root / name).parent.mkdir(exist_ok=True)
        (a.root / name).write_text(f"{name} as it was\n")
    a.launch(), b.launch()
    settle(a.ready(), b.ready())
    foreign = directory.base / "foreign.bin"
    foreign.write_bytes(bytes(range(256)) * 64)
    (bucket / "new" / "folder").mkdir(parents=True)
    shutil.copy(foreign, bucket / "new" / "folder" / "copied.bin")
    (bucket / "edited.txt").write_text("edited by another tool\n")
    with (bucket / "appended.txt").open("a") as stream:
        stream.write("one more line\n")
    (bucket / "removed.txt").unlink()
    expected = {
        "new/folder/copied.bin": foreign.read_bytes(),
        "edited.txt": b"edited by another tool\n",
        "appended.txt": b"appended.txt as it was\none more line\n",
        "sub/kept.txt": b"sub/kept.txt as it was\n",
    }

    def arrived(daemon: RealDaemon) -> bool:
        with contextlib.suppress(OSError):
            return mine(daemon.root) == expected
        return False

    for daemon in (a, b):
        wait_until(f"all of it is on {daemon.name}", lambda daemon=daemon: arrived(daemon))
    assert directory.live() == expected
    # And the other way: the object has no metadata, yet an edit of it is an ordinary one.
    (b.root / "edited.txt").write_text("edited on b\n")
    wait_until("b's edit is on a", lambda: mine(a.root)["edited.txt"] == b"edited on b\n")
    settle(a, b)
    assert a.status().conflicts == b.status().conflicts == 0
