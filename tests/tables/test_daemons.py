"""Tables between real daemons: what people see, and that sync never waits for a table."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from dorkyd.api import calls, history_calls, table_calls
from tests.daemons import RealDaemon, wait_until
from tests.tables import data

FULL = os.environ.get("DORKY_FULL") == "1"
REMOTE_BYTES = 1 << 30 if FULL else 24 << 20


def daemons(base: Path, *modes: str) -> list[RealDaemon]:
    """One for each mode, over one directory."""
    bucket = base / "bucket" / "p"
    bucket.mkdir(parents=True)
    made = [RealDaemon(base, f"d{n}", f"file://{bucket}", mode=mode).launch() for n, mode in enumerate(modes)]
    return [daemon.ready() for daemon in made]


def warnings(daemon: RealDaemon) -> list[str]:
    """What status says of tables."""
    return [each.detail for each in daemon.status().warnings if each.code == "table-changed"]


def workers(daemon: RealDaemon) -> list[int]:
    """Processes that read tables for it."""
    assert daemon.process is not None
    found = Path(f"/proc/{daemon.process.pid}/task").glob("*/children")
    children = [int(pid) for file in found for pid in file.read_text().split()]
    return [pid for pid in children if b"dorkyd.tables" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def maps_pyarrow(daemon: RealDaemon) -> bool:
    """It is loaded in the daemon itself."""
    assert daemon.process is not None
    return "libarrow" in Path(f"/proc/{daemon.process.pid}/maps").read_text()


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are read from /proc")
def test_a_changed_schema_is_told_to_both_and_sync_waits_for_no_table(tmp_path: Path) -> None:
    """In status, in the log and to who follows it; a worker that is killed or stopped holds up no file."""
    ann, ben = daemons(tmp_path, "two-way", "two-way")
    try:
        assert workers(ann) == []
        (ann.root / "plain.txt").write_text("no table")
        ann.sync()
        assert workers(ann) == []
        data.taxi_csv(ann.root / "t.csv")
        facts = tmp_path / "bucket" / "p" / ".dorky" / "tables"
        wait_until("facts are kept", lambda: facts.exists() and len(list(facts.iterdir())) == 1)
        (worker,) = workers(ann)
        os.kill(worker, signal.SIGSTOP)
        data.taxi_csv(ann.root / "t.csv", 100)
        data.taxi_csv(ann.root / "other.csv", 10)
        ann.sync()
        ben.sync()
        assert (ben.root / "t.csv").read_bytes() == (ann.root / "t.csv").read_bytes()
        os.kill(worker, signal.SIGKILL)
        wait_until("ben is told", lambda: warnings(ben) != [])
        assert warnings(ben) == ["t.csv: rows fell from 300 to 100 (by d0)"]
        with ben.client() as client:
            logged = client.send(calls.log("p", limit=10, wanted={"action": "schema"})).value.items
            assert [(item.path, item.device, item.detail) for item in logged] == [
                ("t.csv", "d0", "rows fell from 300 to 100")
            ]
            table = client.table("p", "t.csv", head=2, columns=["zone"])
            assert (table.facts.rows, table.source, len(table.head.rows if table.head else [])) == (100, "kept", 2)
            difference = client.send(history_calls.diff("p", "t.csv", key=["ride_id"])).value
            assert difference.table is not None
            assert difference.table.rows == [300, 100]
            assert difference.table.by_key is not None
            assert difference.table.by_key.removed == 200
            client.send(table_calls.dismiss("p"))
        assert warnings(ben) == []
        assert not maps_pyarrow(ann)
        assert not maps_pyarrow(ben)
    finally:
        for daemon in (ann, ben):
            daemon.stop()


def test_the_facts_of_a_large_remote_table_move_little(tmp_path: Path) -> None:
    """Less than a MiB of bodies, by the counter, of a GiB (DORKY_FULL=1) or of what CI has time for."""
    (daemon,) = daemons(tmp_path, "push")
    try:
        data.large(tmp_path / "bucket" / "p" / "big.parquet", REMOTE_BYTES)
        daemon.sync()
        before = daemon.requests()["bytes_down"]
        with daemon.client() as client:
            table = client.table("p", "big.parquet")
        assert table.facts.size >= REMOTE_BYTES
        assert (table.source, table.facts.rows) == ("bucket", 262_144 * (table.facts.groups or 0))
        daemon.sync()
        moved = daemon.requests()["bytes_down"] - before
        assert 0 < moved < 1 << 20
    finally:
        daemon.stop()


def test_a_daemon_that_ends_leaves_no_worker(tmp_path: Path) -> None:
    """Neither one that is asked to, nor one that is killed; and the next one is in sync."""
    (daemon,) = daemons(tmp_path, "two-way")
    data.taxi_csv(daemon.root / "t.csv", 20)
    daemon.sync()

    def show() -> Any:
        with daemon.client() as client:
            return client.table("p", "t.csv", head=1)

    for end in (daemon.kill, daemon.stop):
        assert show().facts.rows == 20
        left = workers(daemon)
        assert left
        end()
        wait_until("no worker is left", lambda left=left: not any(_lives(pid) for pid in left))  # type: ignore[misc]
        daemon.start()
        daemon.sync()
    daemon.stop()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_the_answer_is_json_for_programs(tmp_path: Path) -> None:
    """What is wrong is a problem document with its code."""
    (daemon,) = daemons(tmp_path, "two-way")
    try:
        data.noise(daemon.root / "noise.parquet")
        daemon.sync()
        with daemon.client() as client, pytest.raises(Exception, match="cannot be read") as caught:
            client.table("p", "noise.parquet")
        body = json.loads(getattr(caught.value, "body", b"{}"))
        assert (body["code"], body["status"]) == ("unreadable-table", 400)
        assert daemon.state() == "in-sync"
    finally:
        daemon.stop()
