"""`dorkyctl mcp`, as a process, asked by the SDK's own client, over a real daemon with a directory as its bucket."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.from_thread import BlockingPortal, start_blocking_portal
from mcp import Client
from mcp.client.stdio import StdioServerParameters
from mcp.shared.exceptions import MCPError

from tests.daemons import RealDaemon, wait_until
from tests.leaks import canary

pytestmark = pytest.mark.daemon

VALUE = canary().decode()
TOKEN = "gh" + "p_" + "Zq3Wd8Lk5Vt0Rb7Nc2Ym9Hs4Jx6Fg1Pu8Tw3"
KEY = "-----BEGIN " + "PRIVATE KEY-----\n" + "Zq3Wd8Lk5Vt0Rb7Nc2Ym9Hs4Jx6Fg1PuZq3Wd8Lk5Vt0Rb7Nc2Ym9Hs4Jx6Fg1Pu\n"
FILES = {
    "notes.txt": b"first\n",
    "data/t.csv": b"id,v\n1,2\n",
    "data/big.txt": "é".encode() * 100_000,
    "data/raw.bin": bytes(range(256)),
    ".env": f"# old: {VALUE}\nTOKEN={VALUE}\nDEBUG=1\n".encode(),
    "config.txt": f"a\ntoken = {TOKEN}\n".encode(),
    "deploy.pem": KEY.encode(),
}


@dataclass(frozen=True)
class Asked:
    """A client of one `dorkyctl mcp`."""

    portal: BlockingPortal
    client: Client

    def call(self, tool: str, **arguments: Any) -> Any:
        """The structured answer of a tool that succeeds."""
        result = self.portal.call(lambda: self.client.call_tool(tool, arguments))
        assert not result.is_error, result.content
        return result.structured_content

    def refused(self, tool: str, **arguments: Any) -> str:
        """What a tool that refuses says."""
        result = self.portal.call(lambda: self.client.call_tool(tool, arguments))
        assert result.is_error
        return str(result.content[0].text)

    def resource(self, uri: str) -> str:
        """A resource's text."""
        return str(self.portal.call(lambda: self.client.read_resource(uri)).contents[0].text)


def command(*words: str) -> list[str]:
    """`dorkyctl mcp` with this interpreter."""
    return ["-c", "from dorkyd.cli import main; main()", "mcp", *words]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealDaemon]:
    """A project `p`, in sync."""
    base = tmp_path_factory.mktemp("mcp")
    made = RealDaemon(base, "a", f"file://{base}/bucket", tripwire="off")
    for name, data in FILES.items():
        (made.root / name).parent.mkdir(exist_ok=True)
        (made.root / name).write_bytes(data)
    other = base / "other"
    other.mkdir()
    (other / "theirs.txt").write_text("theirs")
    one = made.settings["projects"][0]
    made.configure(
        {**made.settings, "projects": [one, {"name": "q", "path": str(other), "bucket": f"file://{base}/q"}]}
    )
    made.start()
    made.sync()
    yield made
    made.stop()


@pytest.fixture(scope="module")
def portal() -> Iterator[BlockingPortal]:
    """An event loop for clients."""
    with start_blocking_portal() as opened:
        yield opened


def asking(stack: ExitStack, portal: BlockingPortal, daemon: RealDaemon, *words: str) -> Asked:
    """Start a server, and a client of it."""
    server = StdioServerParameters(command=sys.executable, args=command(*words), env=dict(daemon.env))
    client = stack.enter_context(portal.wrap_async_context_manager(Client(server)))
    return Asked(portal, client)


@pytest.fixture(scope="module")
def asked(daemon: RealDaemon, portal: BlockingPortal) -> Iterator[Asked]:
    """With all tools, for the project `p`."""
    with ExitStack() as stack:
        yield asking(stack, portal, daemon, "--project", "p")


@pytest.fixture(scope="module")
def reader(daemon: RealDaemon, portal: BlockingPortal) -> Iterator[Asked]:
    """Read-only, for every project, with one file revealed."""
    with ExitStack() as stack:
        yield asking(stack, portal, daemon, "--read-only", "--reveal", "/.env")


def test_tools_say_what_they_do(asked: Asked, reader: Asked) -> None:
    """Each tool has truthful hints; a read-only server has no other than read-only tools."""
    hints = {
        tool.name: tool.annotations
        for tool in asked.portal.call(lambda: asked.client.list_tools(cache_mode="bypass")).tools
    }
    changing = {"put", "restore", "resolve"}
    assert set(hints) == changing | {"status", "list", "get", "history", "why", "conflicts", "problems"}
    for name, told in hints.items():
        assert told.read_only_hint is (name not in changing)
        assert told.open_world_hint is False
        assert told.destructive_hint is (True if name in changing else None)
    assert hints["put"].idempotent_hint is True
    assert hints["restore"].idempotent_hint is hints["resolve"].idempotent_hint is False
    read_only = reader.portal.call(reader.client.list_tools).tools
    assert {tool.name for tool in read_only} == set(hints) - changing
    assert "Unknown tool" in reader.refused("put", path="x", content="x", project="p")


def test_status_and_list(asked: Asked) -> None:
    """The project is in sync, and has its files, a page at a time."""
    status = asked.call("status")
    assert [(each["name"], each["state"]) for each in status["projects"]] == [("p", "in-sync")]
    first = asked.call("list", limit=2)
    rest = asked.call("list", after=first["next"])
    assert {each["path"] for each in [*first["files"], *rest["files"]]} >= set(FILES)
    assert [each["path"] for each in asked.call("list", prefix="data/t")["files"]] == ["data/t.csv"]


def test_get(asked: Asked) -> None:
    """Text is text, bytes are base64, and a large file comes in parts of whole characters that make it up again."""
    assert asked.call("get", path="data/t.csv")["content"] == "id,v\n1,2\n"
    raw = asked.call("get", path="data/raw.bin")
    assert (raw["encoding"], base64.b64decode(raw["content"])) == ("base64", FILES["data/raw.bin"])
    parts, at = [], 0
    while at is not None:
        part = asked.call("get", path="data/big.txt", offset=at, max_bytes=65_537)
        assert part["encoding"] == "utf-8"
        parts.append(part["content"])
        at = part["next_offset"]
    assert ("".join(parts).encode(), len(parts)) == (FILES["data/big.txt"], 4)
    end = asked.call("get", path="data/big.txt", offset=-3)
    assert (end["content"], end["offset"], end["next_offset"]) == ("é", 199_998, None)


def test_secrets_are_masked(asked: Asked, reader: Asked) -> None:
    """Of `.env` the keys, of a key or of what looks like one nothing, in no part of the file; unless it was revealed."""
    env = asked.call("get", path=".env")
    assert env["content"] == "# ********\nTOKEN=********\nDEBUG=********\n"
    assert "secrets" in env["masked"]
    for path in ("deploy.pem", "config.txt"):
        for offset in (0, 9):
            found = asked.call("get", path=path, offset=offset)
            assert found["content"] == ""
            assert found["masked"]
    assert "digest" not in json.dumps(asked.call("history", path=".env"))
    assert asked.resource("dorky://p/.env") == env["content"]
    assert VALUE in reader.call("get", path=".env", project="p")["content"]
    assert reader.call("get", path="deploy.pem", project="p")["content"] == ""


def test_a_secret_is_not_moved_to_the_light(asked: Asked, daemon: RealDaemon) -> None:
    """Restoring `.env` or a key under a harmless name would show it; putting a masked text back would destroy it."""
    (daemon.root / ".env").write_bytes(FILES[".env"] + b"MORE=1\n")
    daemon.sync()
    for path in (".env", "deploy.pem", "deploy.pem@1"):
        assert "would-reveal" in asked.refused("restore", path=path, to="free.txt")
    env = asked.call("get", path=".env")
    said = asked.refused("put", path=".env", content=env["content"], replaces=env["version"])
    assert "masked-content" in said
    assert "looks-secret" in asked.refused("put", path="new.txt", content=f"x\ntoken = {TOKEN}\n")
    assert (daemon.root / ".env").read_bytes() == FILES[".env"] + b"MORE=1\n"
    assert not (daemon.root / "new.txt").exists()


def test_put_replaces_only_what_was_seen(asked: Asked, daemon: RealDaemon) -> None:
    """A new file is only created, a known one only replaced while it is that version; what was replaced is restored."""
    new = asked.call("put", path="made/by.txt", content="one\n", metadata={"note": "why"})
    wait_until("it is in the folder", (daemon.root / "made/by.txt").exists)
    assert "is there already" in asked.refused("put", path="made/by.txt", content="two\n")
    assert asked.call("get", path="made/by.txt")["metadata"] == {"note": "why"}

    (daemon.root / "made/by.txt").write_text("a person's\n")
    daemon.sync()
    said = asked.refused("put", path="made/by.txt", content="two\n", replaces=new["version"])
    assert "has changed since that version" in said
    assert "precondition-failed" in said
    assert asked.call("get", path="made/by.txt")["content"] == "a person's\n"

    now = asked.call("get", path="made/by.txt")["version"]
    asked.call("put", path="made/by.txt", content=base64.b64encode(b"two\n").decode(), encoding="base64", replaces=now)
    wait_until("it is replaced", lambda: (daemon.root / "made/by.txt").read_text() == "two\n")
    states = asked.call("history", path="made/by.txt")["states"]
    assert [each["current"] for each in states][:1] == [True]
    asked.call("restore", path="made/by.txt", at=now)
    wait_until("it is back", lambda: (daemon.root / "made/by.txt").read_text() == "a person's\n")


def test_nothing_outside_a_project(asked: Asked, daemon: RealDaemon) -> None:
    """Neither other projects nor other files: whatever the spelling."""
    (daemon.home / "outside.txt").write_text(VALUE)
    for path in (
        "../h-a/outside.txt",
        "data/../../h-a/outside.txt",
        str(daemon.home / "outside.txt"),
        ".dorky/folder.json",
    ):
        for tool, more in (("get", {}), ("put", {"content": "x"}), ("history", {}), ("why", {}), ("restore", {})):
            assert "Error executing tool" in asked.refused(tool, path=path, **more)
    assert "reserved-name" in asked.refused("restore", path="notes.txt", to=".dorky/x")
    assert "no-such-project" in asked.refused("get", path="theirs.txt", project="q")
    for uri in ("dorky://q/theirs.txt", "dorky://p/..%2Fh-a%2Foutside.txt", "dorky://p/.dorky/folder.json"):
        with pytest.raises(MCPError):
            asked.resource(uri)
    assert (daemon.home / "outside.txt").read_text() == VALUE


def test_which_project(reader: Asked) -> None:
    """With several, one must be named; a resource names it."""
    assert "project_required" in reader.refused("get", path="notes.txt")
    assert reader.call("get", path="theirs.txt", project="q")["content"] == "theirs"
    assert reader.resource("dorky://q/theirs.txt") == "theirs"
    assert reader.resource("dorky://p/data/t.csv") == "id,v\n1,2\n"


def test_conflicts_are_settled(asked: Asked, daemon: RealDaemon) -> None:
    """A conflict is listed with its copy, and settled."""
    bucket = Path(daemon.settings["projects"][0]["bucket"].removeprefix("file://"))
    with daemon.client() as client:
        client.pause("p")
        (daemon.root / "notes.txt").write_text("mine\n")
        (bucket / "notes.txt").write_text("theirs, by another tool\n")
        client.resume("p")
        client.sync("p", wait=True, timeout_s=60)
    (conflict,) = asked.call("conflicts")["conflicts"]
    assert conflict["path"] == "notes.txt"
    texts = {asked.call("get", path=conflict[side])["content"] for side in ("path", "losing")}
    assert texts == {"mine\n", "theirs, by another tool\n"}
    assert asked.call("resolve", path="notes.txt", keep="theirs")["conflicts"] == []
    assert asked.call("problems")["problems"] == []


def test_a_cancelled_call_leaves_things_right(asked: Asked, daemon: RealDaemon) -> None:
    """A put that is given up stored all or nothing, and the next call is answered."""
    content = "x" * (6 << 20)

    async def give_up() -> None:
        with anyio.move_on_after(0.02) as scope:
            await asked.client.call_tool("put", {"path": "given-up.txt", "content": content})
        assert scope.cancelled_caught

    asked.portal.call(give_up)
    assert asked.call("status")["projects"][0]["name"] == "p"
    daemon.sync()
    there = asked.call("list", prefix="given-up")["files"]
    assert [each["size"] for each in there] in ([], [len(content)])
    if not there:
        asked.call("put", path="given-up.txt", content=content)


def test_stdout_is_the_protocol_and_the_end_of_input_ends_it(daemon: RealDaemon) -> None:
    """Each line on standard output is a message, whatever came in; then the process ends by itself, with 0."""
    hello = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
    }  # fmt: skip
    ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
    wrong = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "get", "arguments": {"path": ".."}}}
    text = "\n".join([json.dumps(hello), "this is no message", json.dumps(ready), json.dumps(wrong)]) + "\n"
    done = subprocess.run(
        [sys.executable, *command("--project", "p")],
        input=text, capture_output=True, text=True, env=daemon.env, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    assert messages[0]["result"]["serverInfo"]["name"] == "dorky"
    assert all(message["jsonrpc"] == "2.0" for message in messages)
    assert VALUE not in done.stderr


def test_without_a_daemon(tmp_path: Path, portal: BlockingPortal, daemon: RealDaemon) -> None:
    """It starts all the same, and each call says what to run."""
    home = tmp_path / "home"
    server = StdioServerParameters(command=sys.executable, args=command(), env={**daemon.env, "DORKY_HOME": str(home)})
    with portal.wrap_async_context_manager(Client(server)) as client:
        said = Asked(portal, client).refused("status")
    assert "daemon-not-running" in said
    assert "dorkyctl up" in said
