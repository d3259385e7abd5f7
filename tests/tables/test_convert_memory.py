"""A conversion takes little memory, however large its file is."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from dorkyd.core.conversion import Conversion
from dorkyd.core.settings import GiB, MiB
from dorkyd.tables import sidecar
from dorkyd.tables.converting.task import TASK
from dorkyd.tables.supervisor import Workshop
from tests.bench.converting import rides

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]
FULL = os.environ.get("DORKY_FULL") == "1"
MOST = 400 * MiB


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.skipif(not FULL, reason="2 GiB: DORKY_FULL=1")
def test_two_gigabytes_in_four_hundred_megabytes(form: str, tmp_path: Path) -> None:
    """Resident, at most, of the worker that the sidecar uses and within its limit; all rows are there."""
    source, target = tmp_path / f"rides.{form}", tmp_path / "rides.parquet"
    rides(tmp_path / "rides.csv", 2 * GiB if form == "csv" else 64 * MiB)
    rows = _lines(tmp_path / "rides.csv") - 1
    if form == "jsonl":
        rows = _as_json(tmp_path / "rides.csv", source, 2 * GiB)
    shop = Workshop(memory=sidecar.MEMORY_BYTES, timeout_s=sidecar.PATIENCE_S, tasks={"convert": TASK})
    try:
        with source.open("rb") as given, target.open("w+b") as made:
            asked = dataclasses.asdict(Conversion(name=source.name, form=form))
            told = shop.do({"do": "convert", "asked": asked}, [given.fileno(), made.fileno()])
            status = Path(f"/proc/{shop.pid}/status").read_text()
    finally:
        shop.close()
    assert (told["rows"], told["rejects"]) == (rows, 0)
    assert pq.read_metadata(target).num_rows == rows
    found = re.search(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    print(f"{form}: {int(found[1]) / 1024:.0f} MiB")  # noqa: T201
    assert int(found[1]) * 1024 < MOST


def _lines(file: Path) -> int:
    with file.open("rb") as stream:
        return sum(piece.count(b"\n") for piece in iter(lambda: stream.read(MiB), b""))


def _as_json(csv: Path, to: Path, size: int) -> int:
    """Some rides as JSON lines, again and again until there are so many bytes; how many rows."""
    import pyarrow.csv

    lines = (
        pyarrow.csv.read_csv(csv).slice(0, 50_000).to_pandas().to_json(orient="records", lines=True, date_format="iso")
    )
    part, rows = lines.encode(), 0
    with to.open("wb") as out:
        while out.tell() < size:
            out.write(part)
            rows += 50_000
    return rows
