"""A CSV of taxi rides to Parquet: `dorkyctl convert`, pyarrow's own loop, DuckDB's COPY."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

from dorkyd.core.settings import GiB
from tests.bench.measure import Sample, run_peer
from tests.bench.stage import Run, Stage

LOOP = "pyarrow's loop"
PYARROW = """
import sys, pyarrow as pa, pyarrow.csv, pyarrow.parquet
source, target, pages = sys.argv[1:]
with pyarrow.csv.open_csv(source) as batches:
    cut = pages == "by content"
    with pyarrow.parquet.ParquetWriter(target, batches.schema, compression="zstd", use_content_defined_chunking=cut) as out:
        for batch in batches:
            out.write_table(pa.Table.from_batches([batch]))
"""
DUCKDB = """
import sys, duckdb
source, target = sys.argv[1:]
duckdb.sql(f"COPY (SELECT * FROM read_csv('{source}')) TO '{target}' (FORMAT parquet, COMPRESSION zstd)")
"""
OURS = "import sys; from dorkyd.cli import main; main()"
PART_ROWS = 200_000
HEAD = "vendor,pickup,dropoff,passengers,distance,rate,flag,from,to,payment,fare,tip,tolls,total,lon,lat,note\n"


def rides(file: Path, size: int) -> None:
    """So many bytes of CSV: whole and decimal numbers, times, words, quoted notes; some fields are empty."""
    chance = random.Random(1)
    notes = ["", "cash", '"card, split"', '"no ""meter"""', "airport"]
    part, at = list[str](), 1_704_067_200
    for _ in range(PART_ROWS):
        at += chance.randrange(9)
        begun, ended = (
            time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(at + more)) for more in (0, chance.randrange(3000))
        )
        fare, tip = chance.randrange(300, 9000) / 100, chance.randrange(1500) / 100
        part.append(
            f"{chance.choice('12')},{begun},{ended},{chance.choice(['', 1, 1, 2, 3])},{chance.randrange(3000) / 100:.2f},1,"
            f"{chance.choice('NY')},{chance.randrange(1, 265)},{chance.randrange(1, 265)},{chance.randrange(1, 5)},{fare:.2f},"
            f"{tip:.2f},0.0,{fare + tip:.2f},{-73.9 - chance.random() / 10!r},{40.7 + chance.random() / 10!r},{chance.choice(notes)}\n"
        )
    text = "".join(part).encode()
    with file.open("wb") as out:
        out.write(HEAD.encode())
        while out.tell() < size:
            out.write(text)


@contextlib.contextmanager
def convert(stage: Stage) -> Iterator[Mapping[str, Run]]:
    """A CSV of 1 GiB to Parquet with zstd, from the start of the process to its end"""
    with stage.folder("convert") as folder, stage.bucket() as bucket:
        source, target = folder / "rides.csv", folder / "rides.parquet"
        rides(source, stage.scaled(GiB))
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}

        def ran(script: str, *words: str) -> Sample:
            target.unlink(missing_ok=True)
            sample = run_peer(stage.store, bucket, [sys.executable, "-c", script, *words], env, folder)
            assert target.stat().st_size > source.stat().st_size / 20
            return sample

        places = (str(source), str(target))
        yield {
            "dorkyd": partial(ran, OURS, "convert", *places),
            LOOP: partial(ran, PYARROW, *places, "as usual"),
            f"{LOOP}, pages cut by content": partial(ran, PYARROW, *places, "by content"),
            "DuckDB's COPY": partial(ran, DUCKDB, *places),
        }
