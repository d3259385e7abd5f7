"""Bandwidth limits of real daemons: they hold, change while bytes move, and let nobody wait who need not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.daemons import RealDaemon, wait_until
from tests.e2e.commands import run
from tests.e2e.places import Place

pytestmark = [pytest.mark.daemon]

MiB = 1024 * 1024
SOON_S = 90.0
"""Far below what a slow transfer has left."""


def limit(daemon: RealDaemon, **bandwidth: str) -> None:
    """Edit the configuration as a person does."""
    document = json.loads(json.dumps(daemon.settings))
    document["projects"][0]["bandwidth"] = bandwidth
    daemon.configure(document)


def slow(place: Place, size: int = 6 * MiB) -> RealDaemon:
    """A daemon that sends a file for which it needs minutes, and has begun."""
    daemon = place.device("a", bandwidth={"up": "32KiB"})
    (daemon.root / "large.bin").write_bytes(b"\1" * size)
    daemon.start()
    wait_until("the file is being sent", lambda: daemon.status().pending.bytes == size)
    return daemon


def test_a_changed_limit_holds_for_what_is_under_way(place: Place) -> None:
    """A file that would take minutes is there soon after the limit was raised, and the project was not started anew."""
    a = slow(place)
    before = a.status()
    assert before.bandwidth.up == 32 * 1024
    assert place.live() == {}
    limit(a, up="100MiB", down="1MiB")
    wait_until("the file is in the bucket", lambda: "large.bin" in place.live(), SOON_S)
    wait_until("in sync", lambda: a.state() == "in-sync", SOON_S)
    after = a.status()
    assert (after.bandwidth.up, after.bandwidth.down) == (100 * MiB, MiB)
    counts = after.requests.model_dump()
    assert all(counts[kind] >= count for kind, count in before.requests.model_dump().items())
    assert "outcome=held" not in a.log.read_text()


def test_a_stop_does_not_wait(place: Place) -> None:
    """A stop ends a transfer that waits for its limit; the next start takes it up."""
    a = slow(place)
    a.stop()
    assert "outcome=held" in a.log.read_text()
    limit(a)
    a.start().sync()
    assert place.live() == {"large.bin": b"\1" * 6 * MiB}


def test_a_pause_ends_what_waits(directory: Place) -> None:
    """In a pause nothing moves; afterwards the transfer is taken up again."""
    a = slow(directory)
    with a.client() as client:
        assert client.pause("p").state == "paused"
        wait_until("the transfer ended", lambda: "outcome=held" in a.log.read_text(), SOON_S)
        limit(a)
        client.resume("p")
    a.sync()
    assert directory.live() == {"large.bin": b"\1" * 6 * MiB}


def test_downloads(directory: Place) -> None:
    """A limit downwards holds back what is received, and is lifted while it waits."""
    a = directory.device("a")
    (a.root / "large.bin").write_bytes(b"\1" * 6 * MiB)
    a.start().sync()
    b = directory.device("b", bandwidth={"down": "32KiB"})
    b.start()
    wait_until("the file is being received", lambda: b.status().pending.bytes == 6 * MiB)
    assert not (b.root / "large.bin").exists()
    limit(b)
    wait_until("the file is here", (b.root / "large.bin").exists, SOON_S)


def test_the_command(directory: Place) -> None:
    """`dorkyctl limit` writes the configuration, and the limits of a project and of all together hold at once."""
    a = slow(directory)
    (a.home / "config.yaml").write_text((a.home / "config.yaml").read_text() + "# mine\n")

    def ctl(*arguments: str) -> Any:
        ran = run("dorkyctl", *arguments, env=a.env)
        assert ran.code == 0, ran
        return ran.out

    assert ctl("limit", "p").strip() == "p: ↑32.0 KiB/s"
    assert ctl("limit", "--global").strip() == "All projects together: no bandwidth limit"
    assert json.loads(ctl("limit", "--global", "--up", "64KiB", "--json")) == {"up": 65536, "down": None}
    assert ctl("limit", "p", "--up", "0").strip() == "p: no bandwidth limit"
    assert "bandwidth limit of all projects together: ↑64.0 KiB/s" in ctl("status")
    assert directory.live() == {}
    ctl("limit", "--global", "--up", "0")
    wait_until("the file is in the bucket", lambda: "large.bin" in directory.live(), SOON_S)
    assert "# mine" in (a.home / "config.yaml").read_text()
    assert run("dorkyctl", "limit", "p", "--up", "10", env=a.env).code == 2


def two_projects(a: RealDaemon, tmp_path: Path, **settings: Any) -> dict[str, Path]:
    """Two more projects beside the device's own."""
    document = dict(a.settings)
    folders = {"p": a.root}
    for name in ("q", "r"):
        folders[name] = tmp_path / f"folder-{name}"
        folders[name].mkdir()
        bucket = f"file://{tmp_path / f'bucket-{name}'}"
        (tmp_path / f"bucket-{name}").mkdir()
        project = {"name": name, "path": str(folders[name]), "bucket": bucket, "poll_s": 0.3, "settle_s": 0.2}
        document["projects"] = [*document["projects"], {**project, **settings}]
    a.configure(document)
    return folders


def test_small_files_flow_while_large_ones_move(directory: Place, tmp_path: Path) -> None:
    """With large transfers under way in every project, each project's small file is soon in its bucket."""
    bandwidth = {"up": "1MiB"}
    a = directory.device("a", bandwidth=bandwidth)
    folders = two_projects(a, tmp_path, bandwidth=bandwidth)
    for folder in folders.values():
        for n in range(6):
            with (folder / f"large-{n}").open("wb") as sparse:
                sparse.truncate(40 * MiB)
    a.start()

    def moving() -> list[int]:
        with a.client() as client:
            return [each.pending.bytes for each in client.status().projects]

    wait_until("large files move everywhere", lambda: min(moving()) == 4 * 40 * MiB)
    for folder in folders.values():
        (folder / "small").write_text("now")
    buckets = [tmp_path / "bucket", tmp_path / "bucket-q", tmp_path / "bucket-r"]
    wait_until("small files arrive", lambda: all((bucket / "small").exists() for bucket in buckets), SOON_S)
    # 160 MiB at 1 MiB a second: none of the large ones can be there.
    assert min(moving()) >= 4 * 40 * MiB


def test_a_backlog_starves_nobody(directory: Place, tmp_path: Path) -> None:
    """A project with thousands of small files held to a limit does not keep another's single file."""
    a = directory.device("a", bandwidth={"up": "2KiB"})
    folders = two_projects(a, tmp_path)
    for n in range(3000):
        (a.root / f"f{n}").write_bytes(b"1" * 2048)
    a.start()
    wait_until("the backlog moves", lambda: a.status().pending.bytes > 100 * 2048)
    (folders["q"] / "single").write_text("now")
    wait_until("the other's file arrives", (tmp_path / "bucket-q" / "single").exists, SOON_S)
    assert a.status().pending.bytes > 100 * 2048
