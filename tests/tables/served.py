"""A daemon with tables, and what reading them costs."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pytest

from dorkyd.client import DorkyClient
from dorkyd.tables import sources
from tests.artifacts.place import Place, serving

T = TypeVar("T")

FULL = bool(os.environ.get("DORKY_FULL"))
FOREVER_NS = 2**62


def taxi(rows: int, seed: int = 1, *, columns: int = 50, first: int = 0, small: bool = False) -> pa.Table:
    """Trips in the order of time, from number `first` on: when, who, what was paid, and many measures; `small`: a byte or two of
    each.
    """
    rng = np.random.default_rng((seed, first))
    numbers = np.arange(first, first + rows)
    named = {
        "trip": pa.array(numbers),
        "at": pa.array(np.datetime64("2026-01-01T00:00", "ms") + numbers * np.timedelta64(1, "s")),
        "vendor": pa.array(np.array(["red", "green", "blue"])[rng.integers(0, 3, rows)]),
        "fare": pa.array(np.round(rng.gamma(3, 7, rows), 2)),
    }

    def measure() -> pa.Array:
        return pa.array(rng.integers(0, 1000, rows, np.int16) if small else rng.random(rows))

    return pa.table({**named, **{f"measure_{number:02}": measure() for number in range(columns - len(named))}})


def long_taxi(rows: int, *, columns: int = 50, step: int = 500_000) -> pa.RecordBatchReader:
    """As `taxi`, made while it is read."""
    schema = taxi(1, columns=columns, small=True).schema
    parts = (taxi(min(step, rows - first), columns=columns, first=first, small=True) for first in range(0, rows, step))
    return pa.RecordBatchReader.from_batches(schema, (batch for part in parts for batch in part.to_batches()))


def nested(rows: int) -> pa.Table:
    """A struct, a list and a map in each row, and rows without."""
    ids = pa.array(range(rows))
    where = pa.array([None if n % 7 == 0 else {"lat": n / 3, "lon": -n / 5, "zone": f"z{n % 4}"} for n in range(rows)])
    stops = pa.array([[f"s{k}" for k in range(n % 4)] for n in range(rows)])
    tags = pa.array([[("a", n)] for n in range(rows)], pa.map_(pa.string(), pa.int64()))
    return pa.table({"id": ids, "where": where, "stops": stops, "tags": tags})


@dataclass
class Served:
    """What a test talks to."""

    place: Place
    client: DorkyClient

    def cost(self, do: Callable[[], T]) -> tuple[T, dict[str, int]]:
        """What it gives, and the requests and bytes that the bucket was asked for meanwhile."""
        with self.place.counting() as spent:
            found = do()
        return found, spent

    @property
    def options(self) -> dict[str, Any]:
        """Of the file system."""
        return {"where": self.place.daemon.socket}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    """One daemon over a directory bucket; each test has paths of its own."""
    with serving() as place, place.daemon.client() as client:
        yield Served(place, client)


@pytest.fixture
def from_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is read from the folder."""
    monkeypatch.setattr(sources, "RECENT_NS", FOREVER_NS)
