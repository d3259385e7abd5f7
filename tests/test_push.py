"""The bucket's events as hints: what a queue may hold, and what becomes of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path as FilePath

import pytest

from dorkyd import push
from dorkyd.core.model import Path, Version
from dorkyd.ports import Pushed
from dorkyd.push import QueuePush, events_of
from tests.devices import Device, World


def record(key: str, etag: str | None = "e1", name: str = "ObjectCreated:Put", bucket: str = "b") -> dict[str, object]:
    """As S3 writes it; the key is encoded as in a form."""
    found: dict[str, object] = {"key": key, "size": 3}
    if etag is not None:
        found["eTag"] = etag
    return {"eventSource": "aws:s3", "eventName": name, "s3": {"bucket": {"name": bucket}, "object": found}}


def message(*records: object) -> str:
    """The body of a message."""
    return json.dumps({"Records": records})


def queue() -> QueuePush:
    """Not listening: messages are handed to `take`."""
    return QueuePush("http://127.0.0.1:1/1/q", "s3://b/team/p", profile=None, region=None)


@pytest.mark.parametrize(
    ("key", "there"),
    [
        ("team/p/f.txt", "f.txt"),
        ("team/p/a+b%2Bc%20d", "a b+c d"),
        ("team/p/%C3%A9/%25", "é/%"),
        ("team/p/.dorky/log/000000000007.json", ".dorky/log/000000000007.json"),
    ],
)
def test_keys_are_decoded(key: str, there: str) -> None:
    """Keys come encoded as in a form, and lose the prefix."""
    assert list(events_of(message(record(key)), "b", "team/p/")) == [(there, Version("e1"))]


def test_a_deletion_makes_no_version() -> None:
    """Whatever tag it names."""
    body = message(record("f", "e", "ObjectRemoved:Delete"), record("g", None, "ObjectRemoved:DeleteMarkerCreated"))
    assert list(events_of(body, "b", "")) == [("f", None), ("g", None)]


def test_a_topic_may_wrap_the_message() -> None:
    """SNS without raw delivery puts it into an envelope."""
    body = json.dumps({"Type": "Notification", "Message": message(record("f"))})
    assert list(events_of(body, "b", "")) == [("f", Version("e1"))]


GARBAGE = [
    "",
    "nonsense",
    "[" * 100_000,
    "null",
    "[1, 2]",
    json.dumps({"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "b"}),
    json.dumps({"Records": "many"}),
    json.dumps({"Type": "Notification", "Message": {"Records": []}}),
    message(None, 3, {}, {"s3": 1}, {"eventName": 4, "s3": {"bucket": {"name": "b"}, "object": {"key": "k"}}}),
    message(record("f", bucket="another")),
    message(record("team/q/f"), record("team/p/"), record("team/p"), record("")),
    message(record("team/p/%ff")),
    message({**record("team/p/f"), "eventSource": "aws:sqs"}),
]


@pytest.mark.parametrize("body", GARBAGE)
def test_garbage_tells_of_nothing(body: str) -> None:
    """What is no event of this bucket and prefix is dropped, whatever it is."""
    assert list(events_of(body, "b", "team/p/")) == []


def test_what_can_be_no_file_is_dropped() -> None:
    """Our own objects but the log's, folder markers, and keys that would leave the folder."""
    pushed = queue()
    keys = [".dorky/trash/f/1", ".dorky/project.json", "d/", "../f", "a//b", ".git/config"]
    pushed.take([message(*(record(f"team/p/{key}") for key in keys))])
    assert not pushed.drain()


def test_two_events_of_one_path() -> None:
    """They may come in the wrong order, so neither version counts as the last."""
    pushed = queue()
    pushed.take([message(record("team/p/f", "1"), record("team/p/g", "1")), message(record("team/p/f", "2"))])
    pushed.take([message(record("team/p/g", "1"))])
    assert pushed.drain() == Pushed({Path("f"): None, Path("g"): Version("1")})
    assert not pushed.drain()


def test_a_flood_becomes_a_listing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Past so many paths their looks would cost more than a listing, and memory."""
    monkeypatch.setattr(push, "MOST", 3)
    pushed = queue()
    pushed.take([message(*(record(f"team/p/f{n}") for n in range(5)))])
    told = pushed.drain()
    assert told.everything
    assert len(told.paths) <= 3


def _hearing(tmp_path: FilePath, **settings: object) -> tuple[World, Device, Device, QueuePush]:
    """Device b hears of events and polls once an hour."""
    world = World(tmp_path)
    a, b = world.device("a"), world.device("b", poll_s=3600.0, list_every_s=86_400.0, **settings)
    heard = queue()
    heard.start = lambda wake: None  # type: ignore[method-assign]  # the test hands messages over
    b.engine.wiring = replace(b.engine.wiring, make_push=lambda: heard)
    world.begin({"f": "0"})
    return world, a, b, heard


def _run(device: Device) -> None:
    for _ in range(8):
        device.step(0.5)


def test_news_is_asked_for_at_once(tmp_path: FilePath) -> None:
    """An event of the log's next entry is a poll now; one of an entry that was read is nothing."""
    world, a, b, heard = _hearing(tmp_path)
    a.write("f", "1")
    a.settle()
    _run(b)
    assert b.read("f") == "0"
    entry = max(key for key in world.keys(".dorky/log/"))
    heard.take([message(record(f"team/p/{entry}"))])
    _run(b)
    assert b.read("f") == "1"
    world.forget()
    heard.take([message(record(f"team/p/{entry}"))])
    _run(b)
    assert sum(world.counts["b"].values()) == 0


def test_what_another_tool_writes_arrives_at_once(tmp_path: FilePath) -> None:
    """Long before a listing would find it, and its deletion as well."""
    world, _a, b, heard = _hearing(tmp_path)
    world.put("d/new", "foreign")
    heard.take([message(record("team/p/d/new", "x"))])
    _run(b)
    assert b.read("d/new") == "foreign"
    world.remove("d/new")
    heard.take([message(record("team/p/d/new", None, "ObjectRemoved:Delete"))])
    for _ in range(10):
        b.step(1)
    assert b.tree() == {"f": "0"}


def test_our_own_writes_cost_nothing(tmp_path: FilePath) -> None:
    """Their events come back to us and name the version that we know."""
    world, _a, b, heard = _hearing(tmp_path)
    b.write("mine", "m")
    b.settle()
    row = b.journal.remote(Path("mine"))
    assert row is not None
    world.forget()
    heard.take([message(record("team/p/mine", row.version))])
    _run(b)
    assert sum(world.counts["b"].values()) == 0


@pytest.mark.parametrize("body", [message(record("team/p/f", "wrong")), message(record("team/p/none"))])
def test_an_event_that_lies_is_harmless(tmp_path: FilePath, body: str) -> None:
    """It costs a look, which finds that nothing changed."""
    world, _a, b, heard = _hearing(tmp_path)
    heard.take([body])
    _run(b)
    assert world.counts["b"]["HEAD"] <= 1
    assert world.moved() == {}
    world.all_hold({"f": "0"})


def test_trouble_is_a_warning(tmp_path: FilePath) -> None:
    """A queue that cannot be read is told of in status, until it can."""
    _world, a, b, heard = _hearing(tmp_path)
    heard._trouble = "no events"
    a.write("f", "1")
    a.settle()
    b.settle()
    assert b.engine.warnings["push"] == ("no events", push.HINT)
    assert b.read("f") == "1"
    heard._trouble = None
    b.step(1)
    assert "push" not in b.engine.warnings
