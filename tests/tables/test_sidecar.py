"""The converter beside a daemon: a Parquet sibling of each matching file, whatever happens."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from tests.daemons import RealDaemon, wait_until
from tests.e2e.test_encryption import founded, ok
from tests.tables import data

pytestmark = [pytest.mark.daemon]
FULL, WHY = os.environ.get("DORKY_FULL") == "1", "DORKY_FULL=1; CI has the worker alone, `test_worker.py`"
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
    """What the folder has; None: nothing yet."""
    file = daemon.root / path
    # Read once: Arrow opens a path twice, and the file may be exchanged in between.
    return pq.read_table(io.BytesIO(file.read_bytes())).to_pydict() if file.exists() else None


def warnings(daemon: RealDaemon) -> dict[str, str]:
    """By code, what the status says of conversions."""
    found = [warning for warning in daemon.status().warnings if warning.code.startswith("convert")]
    return {warning.code: f"{warning.detail}; {warning.hint}" for warning in found}


def tells(daemon: RealDaemon, code: str, *words: str) -> None:
    """Wait until the status has this warning."""
    wait_until(f"the status says {code}", lambda: all(word in warnings(daemon).get(code, "") for word in ("", *words)))
    assert code in warnings(daemon)


def stored(daemon: RealDaemon, path: str) -> list[str]:
    """The verbs of what was done to a path, oldest first."""
    with daemon.client() as client:
        return [item.verb for item in client.log("p", limit=1000).items if item.path == path]


def test_a_sibling_is_made_and_kept_up_to_date(made: list[RealDaemon], tmp_path: Path) -> None:
    """In the bucket with words on its origin, and so in every folder. An edit makes it anew, a rename makes another, and the
    device beside that converts as well finds it there.
    """
    schema = [{"match": "*.csv", "to": "parquet", "schema": "zip.yaml"}]
    a, b = start(made, tmp_path, "a", convert=schema), start(made, tmp_path, "b", convert=schema)
    (a.root / "d").mkdir()
    (a.root / "zip.yaml").write_text("zip: int32\n")
    (a.root / "d" / "x.csv").write_bytes(b"n,zip\n1,007\n")
    a.start()
    wait_until("the table is there", lambda: table(a, "d/x.parquet") == {"n": [1], "zip": [7]})
    with a.client() as client:
        own = client.metadata("p:d/x.parquet")
        assert own["table-of"] == "x.csv"
        assert own["table-of-digest"] == client.stat("p:d/x.csv").digest
    b.start()
    wait_until("the other has it", lambda: table(b, "d/x.parquet") == {"n": [1], "zip": [7]})
    (a.root / "zip.yaml").write_text("zip: string\n")
    wait_until("it obeys the new schema", lambda: table(b, "d/x.parquet") == {"n": [1], "zip": ["007"]})
    (a.root / "d" / "x.csv").write_bytes(b"n,zip\n2,008\n")
    wait_until("it follows", lambda: table(b, "d/x.parquet") == {"n": [2], "zip": ["008"]})
    (a.root / "d" / "x.csv").rename(a.root / "d" / "y.csv")
    wait_until("the other name has one", lambda: table(b, "d/y.parquet") == {"n": [2], "zip": ["008"]})
    for daemon in (a, b):
        daemon.sync()
        assert warnings(daemon) == {}
        assert sorted(path.name for path in (daemon.root / "d").iterdir()) == ["x.parquet", "y.csv", "y.parquet"]
    # Whoever was first stored it, and the other found it: three states of x, one of y.
    assert [verb for verb in stored(a, "d/x.parquet") + stored(b, "d/x.parquet") if verb == "put"] == ["put"] * 3
    assert [verb for verb in stored(a, "d/y.parquet") + stored(b, "d/y.parquet") if verb == "put"] == ["put"]


def test_what_a_person_wrote_is_never_replaced(made: list[RealDaemon], tmp_path: Path) -> None:
    """Neither a table that was there nor one that was made and then edited: the status says so, and what to do."""
    a = start(made, tmp_path, "a", convert=CONVERT)
    (a.root / "x.csv").write_bytes(b"n\n1\n")
    (a.root / "x.parquet").write_bytes(b"mine")
    (a.root / "y.csv").write_bytes(b"n\n1\n")
    a.start()
    tells(a, "convert-taken", "x.parquet is not what was made of it", "move x.parquet away")
    wait_until("y is there", lambda: table(a, "y.parquet") == {"n": [1]})
    (a.root / "y.parquet").write_bytes(b"edited")
    a.sync()
    (a.root / "y.csv").write_bytes(b"n\n2\n")
    (a.root / "x.parquet").rename(a.root / "mine.parquet")
    wait_until("x is there", lambda: table(a, "x.parquet") == {"n": [1]})
    tells(a, "convert-taken", "y.parquet is not what was made of it")
    a.sync()
    assert (a.root / "y.parquet").read_bytes() == b"edited"
    assert (a.root / "mine.parquet").read_bytes() == b"mine"


def test_what_cannot_be_converted_is_told_and_left(made: list[RealDaemon], tmp_path: Path) -> None:
    """Rejects with their count, a file that is no table with its reason; it is tried once, also over a restart, until its
    content changes.
    """
    a = start(made, tmp_path, "a", convert=CONVERT)
    data.ragged(a.root / "ragged.csv")
    (a.root / "latin.csv").write_bytes("a,b\n1,Ä\n".encode("latin-1"))
    a.start()
    tells(a, "convert-rejects", "ragged.csv: 2 records are not in ragged.parquet", "dorkyctl convert")
    tells(a, "convert-failed", "latin.csv: no table was made", "line 2 is not UTF-8", "latin-1")
    a.stop()
    a.start()
    tells(a, "convert-failed", "latin.csv")
    (a.root / "ragged.csv").write_text("a,b,c\n1,2,3\n")
    wait_until("all rows are there", lambda: table(a, "ragged.parquet") == {"a": [1], "b": [2], "c": [3]})
    wait_until("nothing is told of it", lambda: "convert-rejects" not in warnings(a))
    assert a.log.read_text().count("path='latin.csv' outcome=not-utf8") == 1
    (a.root / "latin.csv").write_bytes("a,b\n1,Ä\n".encode())
    wait_until("it is a table now", lambda: table(a, "latin.parquet") == {"a": [1], "b": ["Ä"]})
    wait_until("nothing is told of that", lambda: warnings(a) == {})


@pytest.mark.parametrize(
    ("task", "said"),
    [("crash", "signal 11"), pytest.param("eat", "more memory", marks=pytest.mark.skipif(not FULL, reason=WHY))],
)
def test_a_worker_that_breaks_leaves_sync_alone(made: list[RealDaemon], tmp_path: Path, task: str, said: str) -> None:
    """A fault of a library, no memory left: the daemon stays, goes on, and says which file it was."""
    strange = {"STRANGE_TASK": f"tests.tables.misbehaving:{task}"}
    a = start(made, tmp_path, "a", convert=CONVERT, env=strange, module="tests.tables.strange")
    (a.root / "x.csv").write_bytes(b"n\n1\n")
    a.start()
    tells(a, "convert-failed", "x.csv: no table was made", said)
    (a.root / "f").write_bytes(b"1")
    a.sync()
    assert (a.state(), stored(a, "f")) == ("in-sync", ["upload"])
    assert a.process is not None
    assert a.process.poll() is None


def test_a_kill_between_converting_and_storing(made: list[RealDaemon], tmp_path: Path) -> None:
    """Costs the conversion: the next start makes the table, once, and nothing is left of the one before."""
    marker = tmp_path / "killed"
    a = start(made, tmp_path, "a", convert=CONVERT, env={"STRANGE_KILL": str(marker)}, module="tests.tables.strange")
    (a.root / "x.csv").write_bytes(b"n\n1\n")
    a.launch()
    wait_until("it was killed", lambda: a.process is not None and a.process.poll() is not None)
    assert marker.exists()
    assert not (a.root / "x.parquet").exists()
    a.start()
    wait_until("the table is there", lambda: table(a, "x.parquet") == {"n": [1]})
    a.sync()
    assert [verb for verb in stored(a, "x.parquet") if verb == "put"] == ["put"]
    assert {
        path.name
        for path in (a.home / "state" / "journals").iterdir()
        if path.suffix not in {".db", ".db-wal", ".db-shm"}
    } == set()


def test_a_secret_gets_no_plain_sibling(made: list[RealDaemon], tmp_path: Path) -> None:
    """It is said and not made; once the sibling is covered it is made, and its words tell no digest."""
    a = start(made, tmp_path, "a", convert=CONVERT)
    a.start()
    founded(a, "x.csv")
    (a.root / "x.csv").write_bytes(b"n\n1\n")
    tells(a, "convert-secret", "x.csv: it is encrypted and x.parquet would not be", "dorkyctl encrypt")
    assert not (a.root / "x.parquet").exists()
    ok(a, "encrypt", "x.parquet")
    wait_until("it is made", lambda: table(a, "x.parquet") == {"n": [1]})
    a.sync()
    assert not (tmp_path / "bucket" / "x.parquet").read_bytes().startswith(b"PAR1")
    with a.client() as client:
        own = client.metadata("p:x.parquet")
        plain = {client.stat(f"p:x.{ending}").digest for ending in ("csv", "parquet")}
    assert not plain & set(own.values())
    before = stored(a, "x.parquet").count("put")
    a.stop()
    a.start()
    a.sync()
    assert stored(a, "x.parquet").count("put") == before == 1


def test_what_became_secret_while_it_was_converted(made: list[RealDaemon], tmp_path: Path) -> None:
    """Its table is not stored in plain: what counts is how things are when it would be."""
    strange = {"STRANGE_TASK": "tests.tables.misbehaving:slowly"}
    a = start(made, tmp_path, "a", convert=CONVERT, env=strange, module="tests.tables.strange")
    go, begun = tmp_path / "go", tmp_path / "go.begun"
    a.start()
    (a.root / "x.csv").write_text(f"{go}\n1\n")
    wait_until("it converts", begun.exists)
    founded(a, "x.csv")
    go.touch()
    tells(a, "convert-secret", "x.csv: it is encrypted and x.parquet would not be")
    a.sync()
    assert not (tmp_path / "bucket" / "x.parquet").exists()


def test_a_table_that_stands_in_plain_is_told(made: list[RealDaemon], tmp_path: Path) -> None:
    """When its original becomes secret after it was made; until it is encrypted too."""
    a = start(made, tmp_path, "a", convert=CONVERT)
    (a.root / "x.csv").write_bytes(b"n\n1\n")
    a.start()
    wait_until("the table is there", lambda: table(a, "x.parquet") == {"n": [1]})
    founded(a, "x.csv")
    tells(a, "convert-secret", "x.parquet, which was made of it, is in the bucket in plain", "dorkyctl encrypt")
    ok(a, "encrypt", "x.parquet")
    wait_until("that is over", lambda: warnings(a) == {})


def test_a_persons_words_on_a_table_stay(made: list[RealDaemon], tmp_path: Path) -> None:
    """Metadata beside the converter's own is not the converter's."""
    a = start(made, tmp_path, "a", convert=CONVERT)
    (a.root / "x.csv").write_bytes(b"n\n1\n")
    a.start()
    wait_until("the table is there", lambda: table(a, "x.parquet") == {"n": [1]})
    a.sync()
    with a.client() as client:
        client.update_metadata("p:x.parquet", {"note": "for the board"})
        a.sync()
        (a.root / "x.csv").write_bytes(b"n\n2\n")
        wait_until("it follows", lambda: table(a, "x.parquet") == {"n": [2]})
        assert client.metadata("p:x.parquet")["note"] == "for the board"
