"""A real daemon adopts a project of the npm tool `dorky` on a real S3 server, as a person types it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.daemons import RealDaemon, wait_until
from tests.e2e.commands import ctl, running
from tests.npm.tool import KEY_ID, SECRET, NpmTool, nothing_changes, tree_of
from tests.servers import Server

pytestmark = [pytest.mark.daemon, pytest.mark.s3]


@dataclass
class Adopting:
    """A folder `api` of the npm tool, pushed twice, and a daemon without projects."""

    daemon: RealDaemon
    tool: NpmTool
    bucket: str
    client: Any
    endpoint_url: str

    def objects(self) -> dict[str, tuple[str, Any]]:
        """Stamp and ETag of every object but ours."""
        listed = self.client.list_objects_v2(Bucket=self.bucket, Prefix="api/").get("Contents", ())
        return {o["Key"]: (o["ETag"], o["LastModified"]) for o in listed if "/.dorky/" not in o["Key"]}

    def run(self, *more: str) -> Any:
        return ctl(self.daemon, "import-dorky", str(self.tool.root), "--endpoint-url", self.endpoint_url, *more)


@pytest.fixture
def adopting(tmp_path: Path, seaweed: Server) -> Iterator[Adopting]:
    """See `Adopting`."""
    bucket = seaweed.new_bucket()
    daemon = RealDaemon(tmp_path, "ana", "file:///unused", env=seaweed.env)
    daemon.configure({"device": "ana", "poll_s": 0.3})
    root = tmp_path / "api"
    with contextlib.closing(seaweed.client()) as client, running(daemon):
        tool = NpmTool(
            root,
            lambda key, content: client.put_object(Bucket=bucket, Key=key, Body=content),
            lambda key: client.delete_object(Bucket=bucket, Key=key),
        )
        tool.init(bucket)
        (root / "config").mkdir()
        (root / ".env").write_text("A=1")
        (root / "config/model.bin").write_bytes(bytes(range(256)))
        tool.add(".env", "config/model.bin")
        tool.push()
        (root / ".env").write_text("A=2")
        tool.add(".env")
        tool.push()
        yield Adopting(daemon, tool, bucket, client, seaweed.endpoint_url)


def test_adopted_without_a_byte(adopting: Adopting) -> None:
    """`up` and `add` name the command; the plan changes nothing; adopting sends no body, touches no object and no file of the
    tool; then it syncs.
    """
    root = adopting.tool.root
    (root / "main.py").write_text("print()")
    before, files = adopting.objects(), tree_of(root)
    with nothing_changes(root):
        for words in (("up", str(root), "--yes"), ("add", str(root), "--bucket", "s3://x/y")):
            refused = ctl(adopting.daemon, *words)
            assert refused.code == 7, refused
            assert f"dorkyctl import-dorky {root}" in refused.err
        shown = adopting.run("--dry-run")
    assert shown.code == 0, shown
    assert f"s3://{adopting.bucket}/api" in shown.out
    assert "2 files (259 B) the same on both sides" in shown.out
    assert KEY_ID[-4:] in shown.out
    with nothing_changes(root):
        assert adopting.run().code == 7
    done = adopting.run("--yes")
    assert done.code == 0, done
    assert "in-sync" in done.out
    asked = adopting.daemon.requests()
    assert (asked["bytes_up"], asked["bytes_down"]) == (0, 0)
    # `.dorkyignore` is synced, and the npm tool never sent it: an empty object.
    assert adopting.objects().keys() - before.keys() == {"api/.dorkyignore"}
    assert {key: stamp for key, stamp in adopting.objects().items() if key in before} == before
    after = tree_of(root)
    # The private file is for its owner alone from here on.
    expected = {name: (data, mode & 0o700 if name == ".env" else mode) for name, (data, mode) in files.items()}
    assert {name: after[name] for name in files} == expected
    assert not (root / ".dorky-history").exists()
    config = yaml.safe_load((adopting.daemon.home / "config.yaml").read_text())["projects"][0]
    assert SECRET not in (adopting.daemon.home / "config.yaml").read_text()
    assert config["ignore"] == ["/*", "!/.env", "!/config/"]
    # An edit goes up, what the tool was never given stays.
    (root / ".env").write_text("A=3")
    wait_until("it is sent", lambda: _body(adopting, ".env") == b"A=3")
    assert "api/main.py" not in adopting.objects()
    assert adopting.run("--yes").code == 2
    assert ctl(adopting.daemon, "up", str(root)).code == 0


def test_retired(adopting: Adopting) -> None:
    """`--retire` moves the tool's files, whole, and `--history` makes commits of its pushes; both may come afterwards."""
    root = adopting.tool.root
    texts = adopting.tool.texts()
    assert adopting.run("--yes").code == 0
    assert adopting.tool.texts() == texts
    done = adopting.run("--yes", "--retire", "--history", "--json")
    assert done.code == 0, done
    assert "History: 2 commits of 2 of its pushes" in done.err
    assert json.loads(done.out)["moves"] == ["metadata.json", "history.json", "credentials.json"]
    there = {name: content.decode() for name, (content, _) in tree_of(root / ".dorky/npm").items()}
    assert [there[name] for name in ("metadata.json", "history.json", "credentials.json")] == texts
    assert there[".gitignore"] == "*\n"
    assert not (root / ".dorky/metadata.json").exists()
    assert adopting.run("--yes", "--retire").code == 2
    checked = ctl(adopting.daemon, "doctor", "api")
    assert f"{root}/.dorky/npm/credentials.json" in checked.out


def test_what_differs_is_kept(adopting: Adopting) -> None:
    """Edits on both sides are a file and a conflict copy; what is missing on a side arrives there."""
    root = adopting.tool.root
    adopting.client.put_object(Bucket=adopting.bucket, Key="api/theirs", Body=b"theirs")
    (root / ".env").write_text("A=mine")
    (root / "new.env").write_text("N=1")
    adopting.tool.add("new.env")
    done = adopting.run("--yes")
    assert done.code == 0, done
    assert "changed here since its last push" in done.out
    assert "shared-prefix" in done.out
    wait_until("all is there", lambda: _body(adopting, "new.env") == b"N=1" and (root / "theirs").exists())
    contents = [file.read_text() for file in root.glob(".env*")]
    assert sorted(contents) == ["A=2", "A=mine"]
    assert (root / ".env").read_text() == "A=2"


def _body(adopting: Adopting, path: str) -> bytes:
    try:
        return bytes(adopting.client.get_object(Bucket=adopting.bucket, Key=f"api/{path}")["Body"].read())
    except adopting.client.exceptions.NoSuchKey:
        return b""
