"""A project without a folder: objects are stored and fetched, and nothing is synced."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.api.serving import http_client
from tests.artifacts.place import Place
from tests.daemons import RealDaemon


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """`p` has no folder; `q` syncs one with the same bucket's other prefix."""
    base = Path(os.path.realpath(tempfile.mkdtemp(prefix="dk")))
    daemon = RealDaemon(base, "a", f"file://{base}/bucket/prefix")
    (base / "bucket").mkdir()
    (project,) = daemon.settings["projects"]
    del project["path"], project["settle_s"]
    daemon.configure({"device": "a", "projects": [project]})
    daemon.start()
    try:
        with http_client(daemon.socket) as http:
            yield Place(base, daemon, http)
    finally:
        daemon.stop()
        shutil.rmtree(base)


@pytest.mark.parametrize("size", [3, 3 * 2**20])
def test_stored_without_a_folder(place: Place, size: int) -> None:
    """Artifacts are stored, fetched, annotated and deleted; nothing is left on this machine."""
    data = b"x" * size
    assert place.put(f"d/{size}", data).status_code == 201
    assert place.get(f"d/{size}").content == data
    assert place.put(f"d/{size}", data + b"y", Dorky_Metadata='{"a": "b"}').status_code == 200
    place.daemon.sync()
    here = place.daemon.home / "state" / "folders" / "p"
    assert [file for file in here.rglob("*") if file.is_file() and file.stat().st_size >= size and size > 3] == []
    assert [file.name for file in here.iterdir()] == [".dorky"]
    items = place.http.get("/v1/projects/p/files", params={"remote": "true"}).json()["items"]
    assert f"d/{size}" in [item["path"] for item in items]
    assert place.http.delete(place.url(f"d/{size}")).status_code == 204
    assert place.objects() == {}


def test_what_others_write(place: Place) -> None:
    """An object of another tool is there at once; it is not synced, and nothing is said to be pending for ever."""
    other = place.base / "bucket" / "prefix" / "other.txt"
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(b"theirs")
    assert place.get("other.txt").content == b"theirs"
    place.daemon.sync()
    assert place.daemon.state() == "in-sync"
    assert not (place.daemon.home / "state" / "folders" / "p" / "other.txt").exists()
    status = place.daemon.status()
    assert (status.mode, status.pending.download) == ("bucket", 0)
    other.unlink()
    place.daemon.sync()


def test_added_over_the_api(place: Place) -> None:
    """A name and no path make such a project; it survives a restart of the daemon."""
    made = place.http.post("/v1/projects", json={"name": "more"})
    assert (made.status_code, made.json()["mode"]) == (201, "bucket")
    assert place.http.post("/v1/projects", json={"bucket": "s3://b/x"}).json()["code"] == "no-name"
    url = "/v1/projects/more/artifacts/x"
    assert place.http.put(url, content=b"1").status_code == 201
    place.daemon.stop()
    place.daemon.start()
    assert place.http.get(url).content == b"1"
    assert place.http.delete("/v1/projects/more").status_code == 200
