"""Artifacts on every kind of store: what is put comes back, metadata with every character, large bodies in bounded memory.

`DORKY_LARGE_MIB=N` is the size of the large body (default 96).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest

from dorkyd import schema
from tests.api.serving import http_client
from tests.artifacts.place import Place
from tests.bench.measure import forget_peak, memory_mb
from tests.daemons import RealDaemon, wait_until
from tests.e2e.places import directory_place, gcs_place, s3_place
from tests.servers import Server

LARGE_BYTES = int(os.environ.get("DORKY_LARGE_MIB", "96")) * 2**20
GROWTH_MB = 100
"""A daemon may grow by so much at its peak, whatever the size of a body."""
BLOCK = os.urandom(2**20)


@pytest.fixture(
    scope="module",
    params=["directory", pytest.param("s3", marks=pytest.mark.s3), pytest.param("gcs", marks=pytest.mark.gcs)],
)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """A daemon with a folder, over each store."""
    base = Path(os.path.realpath(tempfile.mkdtemp(prefix="dk")))
    made = {
        "directory": lambda: directory_place(base),
        "s3": lambda: s3_place(base, request.getfixturevalue("seaweed")),
        "gcs": lambda: gcs_place(base, request.getfixturevalue("strict_gcs")),
    }[request.param]()
    with made as e2e:
        daemon = e2e.device("a").start()
        with http_client(daemon.socket) as http:
            http.timeout = httpx2.Timeout(1800)  # 5 GiB on a busy machine
            yield Place(base, daemon, http)
    shutil.rmtree(base)


@pytest.mark.parametrize(
    "own",
    [
        {"note": "naïve 😀 żółw", "plain": 'a b, c=d; "e"', "percent": "100%", "looks": "UTF-8''%41"},
        {"spaces": "  both ends  ", "line": "two\nlines\ttab", "empty": "", "rtl": "\u202eabc", "zero": "a\u200db"},
        {"a.b_c-d1": "x", "0": "digit", "long": "y" * 900},
    ],
)
def test_metadata_round_trips(place: Place, own: dict[str, str]) -> None:
    """Every character comes back, from the store itself, after a merge and after an edit in the folder."""
    path = f"meta/{len(own)}-{next(iter(own))} ü.bin"
    assert place.put(path, b"1", Dorky_Metadata=json.dumps(own), Content_Type='text/x; q="1"').json()["metadata"] == own
    told = place.http.get(place.url(path, "metadata")).json()
    assert (told["metadata"], told["media_type"]) == (own, 'text/x; q="1"')
    merged = place.http.patch(place.url(path, "metadata"), json={"metadata": {"more": "ß"}}).json()["metadata"]
    assert merged == {**own, "more": "ß"}
    place.in_folder(path, b"1")
    (place.daemon.root / path).write_bytes(b"edited here")
    place.daemon.sync()
    assert place.get(path).content == b"edited here"
    assert place.http.get(place.url(path, "metadata")).json()["metadata"] == merged


def test_conditions(place: Place) -> None:
    """Conditions hold on the store: create once, replace what was seen, delete what was seen."""
    first = place.put("c", b"1", If_None_Match="*")
    assert first.status_code == 201
    assert place.put("c", b"2", If_None_Match="*").status_code == 412
    assert place.put("c", b"2", If_Match=first.headers["etag"]).status_code == 200
    assert place.put("c", b"3", If_Match=first.headers["etag"]).status_code == 412
    assert place.http.delete(place.url("c"), headers={"If-Match": first.headers["etag"]}).status_code == 412
    assert place.http.delete(place.url("c")).status_code == 204
    assert place.get("c").status_code == 404


def test_a_get_is_one_request(place: Place) -> None:
    """To the bucket, where it tells metadata with the bytes: all of it, from some byte on, or under a condition that holds."""
    own = {"note": "x"}
    made = place.put("one", b"0123456789", Dorky_Metadata=json.dumps(own), Content_Type="text/csv")
    place.in_folder("one", b"0123456789")
    place.daemon.sync()
    asked = [{}, {"Range": "bytes=3-5"}, {"Range": "bytes=9-"}, {"If_Match": made.headers["etag"]}]
    with place.counting() as spent:
        answers = [place.get("one", **headers) for headers in asked]
    assert [answer.content for answer in answers] == [b"0123456789", b"345", b"9", b"0123456789"]
    assert [answer.status_code for answer in answers] == [200, 206, 206, 200]
    for answer in answers:
        assert json.loads(answer.headers["dorky-metadata"]) == own
        assert (answer.headers["content-type"], answer.headers["etag"]) == ("text/csv", made.headers["etag"])
    apart = place.daemon.settings["projects"][0]["bucket"].startswith("gs:")
    spent.pop("bytes_down")
    assert spent == {"GET": len(asked)} | ({"HEAD": len(asked)} if apart else {})
    for headers, status in (
        ({"Range": "bytes=10-"}, 416),
        ({"Range": "bytes=11-"}, 416),
        ({"Range": "bytes=-3"}, 206),
        ({"Range": "bytes=5-2"}, 200),
        ({"Range": "bytes=5-", "If_Range": '"other"'}, 200),
        ({"If_None_Match": made.headers["etag"]}, 304),
        ({"If_Match": '"other"'}, 412),
    ):
        assert place.get("one", **headers).status_code == status, headers
    assert place.get("none").status_code == 404
    assert place.get("none", Range="bytes=1-").status_code == 404


def test_a_large_body(place: Place) -> None:
    """A body of any size goes in and comes out in bounded memory, whole, and its parts by range."""
    hashing, sent = hashlib.sha256(), 0
    place.daemon.sync()  # by then the store's client is loaded, which any daemon holds
    assert place.daemon.process is not None
    pid = place.daemon.process.pid
    forget_peak(pid)
    before = memory_mb(pid)

    def blocks() -> Iterator[bytes]:
        nonlocal sent
        while sent < LARGE_BYTES:
            block = sent.to_bytes(8, "big") + BLOCK[8:]
            hashing.update(block)
            sent += len(block)
            yield block

    made = place.put("large", blocks())
    assert made.status_code == 201, made.text
    assert made.json()["digest"] == f"sha256:{hashing.hexdigest()}"
    sent_mb, got = memory_mb(pid) - before, hashlib.sha256()
    with place.http.stream("GET", place.url("large")) as answer:
        for chunk in answer.iter_bytes():
            got.update(chunk)
    assert got.digest() == hashing.digest()
    assert place.get("large", Range=f"bytes={LARGE_BYTES - 2**20}-{LARGE_BYTES - 2**20 + 7}").content == (
        LARGE_BYTES - 2**20
    ).to_bytes(8, "big")
    place.daemon.sync()
    assert hashlib.sha256((place.daemon.root / "large").read_bytes()).digest() == hashing.digest()
    assert place.daemon.requests()["bytes_down"] < 3 * LARGE_BYTES // 2 + 2**20, "its own bytes are not fetched again"
    grown_mb, left_mb = memory_mb(pid) - before, memory_mb(pid, "VmRSS") - before
    told = f"{LARGE_BYTES >> 20} MiB: grown by {sent_mb:.0f} MB up, {grown_mb:.0f} in all; {left_mb:.0f} stayed\n"
    sys.stdout.write(told)  # for `pytest -s`
    assert grown_mb < GROWTH_MB, told


def test_metadata_stays_with_a_rename(place: Place) -> None:
    """A file that a person renames keeps its metadata and its media type."""
    place.put("old name", b"renamed", Dorky_Metadata='{"a": "b"}', Content_Type="text/csv")
    place.in_folder("old name", b"renamed")
    place.daemon.sync()
    (place.daemon.root / "old name").rename(place.daemon.root / "new name")
    place.daemon.sync()
    told = place.http.get(place.url("new name", "metadata")).json()
    assert (told["metadata"], told["media_type"]) == ({"a": "b"}, "text/csv")
    assert place.get("old name").status_code == 404


@pytest.mark.s3
def test_killed_in_the_middle_of_a_large_upload(seaweed: Server) -> None:
    """A daemon that is killed while it sends a client's body in parts leaves no object, no staged body, and no parts."""
    base = Path(os.path.realpath(tempfile.mkdtemp(prefix="dk")))
    with s3_place(base, seaweed) as e2e, contextlib.closing(seaweed.client()) as client:
        daemon = e2e.device("a", bandwidth={"up": "8MiB"}).start()
        bucket = e2e.bucket.split("/")[2]
        parts = lambda: client.list_multipart_uploads(Bucket=bucket).get("Uploads") or []

        def send() -> None:
            with contextlib.suppress(httpx2.HTTPError), http_client(daemon.socket) as http:
                Place(base, daemon, http).put("large", BLOCK * 96)

        with ThreadPoolExecutor(1) as pool:
            sending = pool.submit(send)
            wait_until("parts are being sent", lambda: bool(parts()) and remembered(daemon) == 1)
            daemon.kill()
            sending.result(60)
        daemon.start()
        daemon.sync()
        wait_until("the parts are gone", lambda: not parts())
        with http_client(daemon.socket) as http:
            place = Place(base, daemon, http)
            assert place.staged() == []
            assert place.get("large").status_code == 404
        assert e2e.live() == {}
    shutil.rmtree(base)


def remembered(daemon: RealDaemon) -> int:
    """How many sessions its journal has."""
    (journal,) = (daemon.home / "state" / "journals").glob("*.db")
    with contextlib.closing(schema.connect_readonly(journal)) as conn:
        return int(conn.execute("SELECT count(*) FROM uploads").fetchone()[0])
