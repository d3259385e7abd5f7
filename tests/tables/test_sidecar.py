"""The converter beside a daemon: a Parquet sibling of each matching file, whatever happens."""

from __future__ import annotations

import io
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from dorkyd.client import DorkyClient
from tests.daemons import RealDaemon, wait_until
from tests.tables import data

pytestmark = [pytest.mark.daemon]
CONVERT = [{"match": "*.csv", "to": "parquet"}]


@pytest.fixture
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RealDaemon]]:
    """Daemons that a test starts, ended with it."""
    daemons: list[RealDaemon] = []
    yield daemons
    for daemon in daemons:
        daemon.stop()


def start(made: list[RealDaemon], base: Path, name: str, **settings: Any) -> RealDaemon:
    """One more device over the bucket."""
    (base / "bucket").mkdir(exist_ok=True)
    daemon = RealDaemon(base, name, f"file://{base}/bucket", **settings)
    made.append(daemon)
    return daemon


def table(daemon: RealDaemon, path: str) -> Any:
    """What the folder has."""
    return pq.read_table(daemon.root / path).to_pydict()


def warnings(daemon: RealDaemon) -> dict[str, str]:
    """By code, what the status says."""
    return {warning.code: f"{warning.detail} {warning.hint}" for warning in daemon.status().warnings}


def test_a_sibling_is_made_and_kept_up_to_date(made: list[RealDaemon], tmp_path: Path) -> None:
    """In the bucket with words on its origin, and so in the folder; an edit makes it anew; a rename makes another."""
    a = start(made, tmp_path, "a", convert=CONVERT)
    (a.root / "d").mkdir()
    (a.root / "d" / "x.csv").write_bytes(b"n,zip\n1,007\n")
    a.start()
    wait_until("the table is there", (a.root / "d" / "x.parquet").exists)
    assert table(a, "d/x.parquet") == {"n": [1], "zip": ["007"]}
    with a.client() as client:
        own = client.metadata("p:d/x.parquet").metadata
        assert own["table-of"] == "x.csv"
        assert own["table-of-digest"] == client.stat("p:d/x.csv").digest
    (a.root / "d" / "x.csv").write_bytes(b"n,zip\n2,008\n")
    wait_until("it follows", lambda: table(a, "d/x.parquet")["n"] == [2])
    (a.root / "d" / "x.csv").rename(a.root / "d" / "y.csv")
    wait_until("the other is there", (a.root / "d" / "y.parquet").exists)
    assert (a.root / "d" / "x.parquet").exists()
    assert warnings(a) == {}
