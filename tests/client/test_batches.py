"""`client.batch()` against a real daemon: all of it appears, or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from dorkyd.api.failures import BadRequest, NotFound
from dorkyd.client import AsyncDorkyClient, DorkyClient
from tests.artifacts.place import Place, serving
from tests.daemons import wait_until

pytestmark = pytest.mark.daemon


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """One daemon over a directory bucket; each test has paths of its own."""
    with serving() as up:
        yield up


def test_published_together(place: Place, tmp_path: Path) -> None:
    """In the bucket at once, in the folder with the last of them."""
    source = tmp_path / "three"
    source.write_bytes(b"3")
    with DorkyClient(place.daemon.socket) as client:
        with client.batch() as batch:
            batch.upload(b"1", "set/one", {"note": "x"})
            batch.upload_many([(b"2", "p:set/two"), source], "set")
            assert client.stat("p:set/one").metadata == {"note": "x"}
            client.sync("p", wait=True)
            assert not (place.daemon.root / "set").exists()
        for name, text in (("one", b"1"), ("two", b"2"), ("three", b"3")):
            place.in_folder(f"set/{name}", text)
        assert client.status().health == "ok"


def test_awaited(place: Place) -> None:
    """The other client does the same."""

    async def publish() -> None:
        async with AsyncDorkyClient(place.daemon.socket) as client, client.batch("p") as batch:
            await batch.upload(b"1", "awaited/one")
            await batch.upload_many([(b"2", "awaited/two")])

    asyncio.run(publish())
    place.in_folder("awaited/one", b"1")
    place.in_folder("awaited/two", b"2")


def test_what_fails_is_not_published(place: Place) -> None:
    """An exception ends the batch: what was stored is in the bucket and, for now, in no folder."""
    with DorkyClient(place.daemon.socket) as client:
        with pytest.raises(BadRequest), client.batch("p") as batch:  # noqa: PT012 - the block is what is tested
            batch.upload(b"1", "half/one")
            batch.upload(b"2", "other:half/two")
        client.sync("p", wait=True)
        assert client.stat("p:half/one").size == 1
        assert not (place.daemon.root / "half").exists()


def test_over_http(place: Place) -> None:
    """The same by any HTTP client; a name that nobody began is refused, and a second completion is none."""
    batch = place.http.post("/v1/projects/p/batches").json()["id"]
    assert place.put("http/one", b"1", Dorky_Batch=batch).status_code == 201
    assert not (place.daemon.root / "http").exists()
    for _ in range(2):
        done = place.http.post(f"/v1/projects/p/batches/{batch}/commit")
        assert (done.status_code, done.json()) == (200, {"id": batch})
    wait_until("it is in the folder", (place.daemon.root / "http" / "one").exists)
    for answer in (
        place.put("http/two", b"2", Dorky_Batch="0" * 32),
        place.http.post(f"/v1/projects/p/batches/{'0' * 32}/commit"),
    ):
        assert (answer.status_code, answer.json()["code"]) == (404, "no-such-batch")


def test_an_unknown_project(place: Place) -> None:
    """There is no batch of it."""
    with DorkyClient(place.daemon.socket) as client, pytest.raises(NotFound), client.batch("nobody"):
        raise AssertionError
