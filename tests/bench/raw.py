"""The ceiling: what obstore does with the same objects and nothing around it, as a program of its own.

    python -m tests.bench.raw puts FOLDER BUCKET      every file of the folder, create-only, with metadata, 16 threads
    python -m tests.bench.raw up FILE BUCKET          one large object
    python -m tests.bench.raw down BUCKET FILE        the same back
    python -m tests.bench.raw sure BUCKET FILE        the same back in ranges, its SHA-256 computed, then fsync

No journal, no look at what is there and, but for `sure`, no hashing and no fsync. The endpoint is in BENCH_ENDPOINT, the credentials where the AWS SDK wants them.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

THREADS = 16
LARGE_KEY = "p/big.bin"


def store(bucket: str, env: dict[str, str] | None = None) -> Any:
    """The bucket, by obstore."""
    from obstore.store import S3Store

    env = env or dict(os.environ)
    return S3Store(
        bucket,
        endpoint=env["BENCH_ENDPOINT"],
        access_key_id=env["AWS_ACCESS_KEY_ID"],
        secret_access_key=env["AWS_SECRET_ACCESS_KEY"],
        region=env["AWS_DEFAULT_REGION"],
        client_options={"allow_http": True},
    )


def puts(folder: str, bucket: str) -> None:
    """See the module."""
    import obstore

    into = store(bucket)
    metadata = {
        "dorky-sha256": "0" * 64, "dorky-mtime-ns": "1750000000000000000", "dorky-mode": "644",
        "dorky-device": "bench", "dorky-op": "0" * 22, "dorky-ancestry": "0" * 22,
    }  # fmt: skip

    def put(file: str) -> None:
        content = Path(file).read_bytes()
        obstore.put(into, f"p/{os.path.relpath(file, folder)}", content, mode="create", attributes=metadata)

    files = [os.path.join(where, name) for where, _, names in os.walk(folder) for name in names]
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(put, files):
            pass


def up(file: str, bucket: str) -> None:
    """See the module."""
    import obstore

    obstore.put(store(bucket), LARGE_KEY, Path(file), chunk_size=16 * 2**20, max_concurrency=8)


def down(bucket: str, file: str) -> None:
    """See the module."""
    import obstore

    with open(file, "wb") as stream:
        stream.writelines(obstore.get(store(bucket), LARGE_KEY).stream(min_chunk_size=8 * 2**20))


def sure(bucket: str, file: str) -> None:
    """See the module."""
    import obstore

    source = store(bucket)
    size, piece = obstore.head(source, LARGE_KEY)["size"], 4 * 2**20
    starts, hashed = range(0, size, piece), hashlib.sha256()

    def get(start: int) -> Any:
        return obstore.get_range(source, LARGE_KEY, start=start, end=min(start + piece, size))

    with open(file, "wb") as stream, ThreadPoolExecutor(6) as pool:
        coming = deque(pool.submit(get, start) for start in starts[:6])
        for start in starts:
            data = memoryview(coming.popleft().result())
            if start + 6 * piece < size:
                coming.append(pool.submit(get, start + 6 * piece))
            hashed.update(data)
            stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())


if __name__ == "__main__":
    {"puts": puts, "up": up, "down": down, "sure": sure}[sys.argv[1]](*sys.argv[2:])
