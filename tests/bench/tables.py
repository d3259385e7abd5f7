"""A table of ten million rows in the bucket, of which little is wanted, beside pyarrow's own file system for S3."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.fs as pa_fs
import pyarrow.parquet as pq

from dorkyd.client import DorkyClient
from tests import servers
from tests.bench.artifacts import bucket_only
from tests.bench.measure import Meter, Sample, cpu_s
from tests.bench.stage import Run, Stage
from tests.tables.served import long_taxi, taxi

ROWS, PARTS = 10_000_000, 10
COLUMNS = ["trip", "fare"]
OURS, THEIRS = "dorkyd", "pyarrow, S3FileSystem"
READS = ("2 of 50 columns", "2 of 50 columns, filter", "a part of a dataset, filter", "all")


@contextlib.contextmanager
def tables(stage: Stage) -> Iterator[Mapping[str, Run]]:
    """10 million rows of 50 columns: two columns, with a filter, one partition of ten, and all of it"""
    rows = stage.scaled(ROWS)
    with stage.bucket() as bucket, bucket_only(stage, bucket) as daemon, daemon.client() as client:
        size = client.write_table("p:long.parquet", long_taxi(rows)).size
        parts = [_part(client, number, rows // PARTS) for number in range(PARTS)]
        host = stage.store.server.endpoint_url.partition("://")[2]
        theirs = pa_fs.S3FileSystem(
            access_key=stage.store.server.access_key,
            secret_key=stage.store.server.secret_key,
            endpoint_override=host,
            scheme="http",
            region=servers.REGION,
        )
        wanted = pc.field("trip") >= rows * 9 // 10
        last = (pc.field("part") == PARTS - 1) & (pc.field("trip") >= rows * 19 // 20)
        one = f"{bucket}/p/long.parquet"

        def run(read: Callable[[], pa.Table], of: int, expect: int, *, ours: bool) -> Sample:
            meter = Meter(stage.store, bucket, daemon.pid if ours else os.getpid())
            before = cpu_s(os.getpid())
            found = read()
            sample = meter.done()
            assert found.num_rows == expect, (found.num_rows, expect)
            if ours:
                sample = replace(sample, cpu_s=sample.cpu_s + cpu_s(os.getpid()) - before)
            share = sample.traffic.bytes_down / of
            return replace(sample, note=f"{share:.2%} of {of / 2**20:.0f} MB")

        def their_dataset() -> Any:
            return ds.dataset(f"{bucket}/p/parts", filesystem=theirs, partitioning="hive")

        tenth, twentieth = rows - rows * 9 // 10, rows // PARTS * PARTS - rows * 19 // 20
        reads: dict[str, tuple[Callable[[], pa.Table], Callable[[], pa.Table], int, int]] = {
            READS[0]: (
                lambda: client.read_table("p:long.parquet", columns=COLUMNS),
                lambda: pq.read_table(one, filesystem=theirs, columns=COLUMNS),
                *(size, rows),
            ),
            READS[1]: (
                lambda: client.read_table("p:long.parquet", columns=COLUMNS, filters=wanted),
                lambda: pq.read_table(one, filesystem=theirs, columns=COLUMNS, filters=wanted),
                *(size, tenth),
            ),
            READS[2]: (
                lambda: client.dataset("p:parts/").to_table(columns=COLUMNS, filter=last),
                lambda: their_dataset().to_table(columns=COLUMNS, filter=last),
                *(sum(parts), twentieth),
            ),
            READS[3]: (
                lambda: client.read_table("p:long.parquet"),
                lambda: pq.read_table(one, filesystem=theirs),
                *(size, rows),
            ),
        }
        runs: dict[str, Run] = {}
        for name, (our_read, their_read, of, expect) in reads.items():
            runs[f"{OURS}: {name}"] = lambda r=our_read, of=of, n=expect: run(r, of, n, ours=True)  # type: ignore[misc]
            runs[f"{THEIRS}: {name}"] = lambda r=their_read, of=of, n=expect: run(r, of, n, ours=False)  # type: ignore[misc]
        yield runs


def _part(client: DorkyClient, number: int, rows: int) -> int:
    table = taxi(rows, first=number * rows, small=True)
    return client.write_table(f"p:parts/part={number}/t.parquet", table).size
