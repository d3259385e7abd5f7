"""Operations as plans, without a daemon: what is sent, what is sent again, and what becomes of half an answer."""

from __future__ import annotations

import base64
import hashlib
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dorkyd.api.failures import ApiError, BadBytes, BadRequest, Failed, NotFound, NotRunning, Temporary
from dorkyd.api.messages import ArtifactItem
from dorkyd.client import artifacts, bodies, freezes
from dorkyd.client.bodies import PathUpload, upload_of
from dorkyd.client.places import Target
from dorkyd.client.plans import Answer, Ask, Done, Patience, Pause, Plan, advance

LOST = NotRunning("lost", code="connection-lost")
DOWN = NotRunning("down", code="daemon-not-running")
AWAY = Temporary("away", code="offline", status=503, retry_after_s=5)
RUNNING = ApiError("running", code="still-running", status=409, retry_after_s=1)
ITEM = ArtifactItem(
    path="a", digest=None, size=3, version="v", media_type="x/y", updated_at=None, updated_by=None, metadata={}
)
STORED = Answer(201, {}, ITEM.model_dump_json().encode())
TARGET = Target("p", "d/a")

Reaction = Answer | ApiError | Callable[[Ask], Answer | ApiError]


def play(plan: Plan[Any], *reactions: Reaction) -> tuple[Any, list[Ask], list[float]]:
    """Carry out a plan against what is written down: its result, what it sent, and how long it waited each time."""
    left, asks, pauses = list(reactions), [], []
    step = advance(plan, None)
    while not isinstance(step, Done):
        if isinstance(step, Pause):
            pauses.append(step.seconds)
            step = advance(plan, None)
            continue
        asks.append(step)
        reaction = left.pop(0)
        answer = reaction(step) if callable(reaction) else reaction
        step = advance(plan, answer)
    assert not left, "it ended early"
    return step.value, asks, pauses


def taking(answer: Answer | ApiError) -> Callable[[Ask], Answer | ApiError]:
    """A daemon that reads the body before it answers so."""

    def take(ask: Ask) -> Answer | ApiError:
        assert ask.body is not None
        for _ in ask.body.chunks():
            pass
        return answer

    return take


def put(source: Any, to: str | None = "p:a", **more: Any) -> Plan[ArtifactItem]:
    """An upload with what is not of interest left out."""
    given = {"metadata": None, "idempotency_key": None, "if_match": None, "if_none_match": None, "progress": None}
    return artifacts.upload(source, to, **{**given, "for_s": 30.0, "cwd": "/", **more})


# --- again ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [LOST, AWAY, RUNNING])
def test_sent_again_with_the_same_key(failure: ApiError) -> None:
    """What may pass is sent again, no sooner than the daemon says, with one key and the whole body."""
    item, asks, (waited,) = play(put(b"abc"), taking(failure), taking(STORED))
    assert item == ITEM
    first, second = asks
    assert first.headers["Idempotency-Key"] == second.headers["Idempotency-Key"] != ""
    assert waited >= (failure.retry_after_s or 0)
    assert waited > 0


def test_every_upload_has_its_own_key() -> None:
    """Two uploads are two, unless the caller says that they are one."""
    keys = {play(put(b"abc"), STORED)[1][0].headers["Idempotency-Key"] for _ in range(2)}
    assert len(keys) == 2
    _, (ask,), _ = play(put(b"abc", idempotency_key="mine"), STORED)
    assert ask.headers["Idempotency-Key"] == '"mine"'


def test_a_daemon_that_starts_anew() -> None:
    """One that was there a moment ago is waited for; one that never answered is told of at once."""
    _, asks, pauses = play(put(b"abc"), LOST, DOWN, DOWN, STORED)
    assert len(asks) == 4
    assert pauses == sorted(pauses)
    with pytest.raises(NotRunning, match="down"):
        play(put(b"abc"), DOWN)


def test_it_ends() -> None:
    """Waiting has an end; then the last failure is raised, and no wait is begun that would not be worth it."""
    with pytest.raises(Temporary):
        play(put(b"abc", for_s=12.0), AWAY, AWAY, AWAY)
    with pytest.raises(Temporary):
        play(put(b"abc", for_s=0.0), AWAY)
    hours = Temporary("full", code="busy", status=503, retry_after_s=3600)
    with pytest.raises(Temporary):
        play(put(b"abc"), hours)


@pytest.mark.parametrize("failure", [NotFound("no", code="no-such-project", status=404), Failed("no", code="internal")])
def test_what_does_not_pass(failure: ApiError) -> None:
    """Any other failure is raised as it is."""
    with pytest.raises(type(failure)):
        play(put(b"abc"), failure)


def test_a_pipe_is_sent_once() -> None:
    """What cannot be read twice is not sent twice: half of it would be stored as the whole."""
    read, write = os.pipe()
    os.write(write, b"abc")
    os.close(write)
    with os.fdopen(read, "rb") as pipe, pytest.raises(NotRunning):
        play(put(pipe), taking(LOST))


def test_a_watcher_that_raises_ends_it() -> None:
    """Also at the very end: half of a pipe whose other end was interrupted with us is never stored as the whole."""
    seen: list[int] = []

    def watch(progress: bodies.Progress) -> None:
        seen.append(progress.moved)
        if seen.count(3) == 2:
            raise Failed("enough", code="interrupted")

    body = upload_of(io.BytesIO(b"abc"))
    body.watching = watch
    with pytest.raises(Failed, match="enough"):
        list(body.chunks())


def test_all_that_changes_has_a_key() -> None:
    """Deleting and annotating are as safe to repeat as storing."""
    for plan in (
        artifacts.delete(TARGET, None, None, Patience(30)),
        artifacts.update_metadata(TARGET, {"a": "b"}, None, None, Patience(30)),
    ):
        _, asks, _ = play(plan, LOST, STORED)
        assert asks[0].headers["Idempotency-Key"] == asks[1].headers["Idempotency-Key"]


# --- what is sent -----------------------------------------------------------------------------------------------------


def test_what_an_upload_says() -> None:
    """Path, metadata, conditions and media type are where the daemon looks for them."""
    plan = put(b"abc", "my p:d e/ü.csv", metadata={"note": "é"}, if_match="v1")
    _, (ask,), _ = play(plan, STORED)
    assert (ask.method, ask.path) == ("PUT", "/v1/projects/my%20p/artifacts/d%20e%2F%C3%BC.csv")
    assert ask.headers["Dorky-Metadata"] == '{"note":"\\u00e9"}'
    assert ask.headers["If-Match"] == '"v1"'
    assert ask.headers["Content-Type"] == "text/csv"
    _, (ask,), _ = play(put(b"abc", if_none_match="*"), STORED)
    assert ask.headers["If-None-Match"] == "*"
    assert {"Dorky-Metadata", "Content-Type", "If-Match"}.isdisjoint(ask.headers)


def test_a_folder_keeps_the_base_name(tmp_path: Path) -> None:
    """`p:` and `p:d/` take the file's own name; bytes have none."""
    (tmp_path / "f.bin").write_bytes(b"abc")
    for to, path in (("p:", "f.bin"), ("p:d/", "d%2Ff.bin"), ("p:d", "d")):
        _, (ask,), _ = play(put(tmp_path / "f.bin", to), STORED)
        assert ask.path.endswith(f"/artifacts/{path}")
    with pytest.raises(BadRequest) as refused:
        play(put(b"abc", "p:"))
    assert refused.value.code == "name_required"


def test_another_digest_than_was_sent() -> None:
    """An answer about other bytes than those that were sent is no success."""
    other = Answer(201, {}, ITEM.model_copy(update={"digest": "sha256:00"}).model_dump_json().encode())
    with pytest.raises(BadBytes):
        play(put(b"abc"), taking(other))


# --- bodies -----------------------------------------------------------------------------------------------------------


def sent(source: Any) -> bytes:
    """What goes up."""
    return b"".join(upload_of(source).chunks())


@pytest.mark.parametrize("size", [0, 1, bodies.CHUNK_BYTES - 1, bodies.CHUNK_BYTES, 2 * bodies.CHUNK_BYTES + 7])
def test_every_source_is_sent_whole(tmp_path: Path, size: int) -> None:
    """A path, bytes, a file from where it stands, and a pipe: what is sent is what is there, and can be sent again."""
    data = os.urandom(size)
    (tmp_path / "f").write_bytes(data)
    assert sent(str(tmp_path / "f")) == sent(data) == sent(bytearray(data)) == sent(memoryview(data)) == data
    stream = io.BytesIO(b"skipped" + data)
    stream.seek(7)
    body = upload_of(stream)
    assert body.size == size
    for _ in range(2):
        assert b"".join(body.chunks()) == data
    assert body.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"


def test_a_file_that_changes(tmp_path: Path) -> None:
    """A file that is written to while it is sent never arrives whole: nothing torn is stored."""
    file = tmp_path / "f"
    for change in (lambda: file.write_bytes(b"x" * 10), lambda: os.utime(file, ns=(1, 1)), lambda: _append(file)):
        file.write_bytes(b"a" * (2 * bodies.CHUNK_BYTES))
        body = PathUpload(file)
        chunks = body.chunks()
        arrived = len(next(chunks))
        change()
        with pytest.raises(Failed, match="changed while it was sent"):
            arrived += sum(map(len, chunks))
        assert body.size is not None
        assert arrived < body.size


def _append(file: Path) -> None:
    with file.open("ab") as opened:
        opened.write(b"more")


def test_what_cannot_be_sent(tmp_path: Path) -> None:
    """A missing file, a folder and a text file are refused before anything is sent."""
    for source in (tmp_path / "missing", tmp_path):
        with pytest.raises(BadRequest) as refused:
            upload_of(source)
        assert refused.value.code == "unreadable-file"
    with pytest.raises(BadRequest, match="binary mode"):
        sent(io.StringIO("text"))


# --- down -------------------------------------------------------------------------------------------------------------

CONTENT = b"0123456789"
DIGEST = f"sha-256=:{base64.b64encode(hashlib.sha256(CONTENT).digest()).decode()}:"


def giving(
    part: bytes, status: int, then: ApiError | None = None, **headers: str
) -> Callable[[Ask], Answer | ApiError]:
    """A daemon that sends so much and then (None: having sent it all) is gone."""
    told = {"ETag": '"v1"', "Repr-Digest": DIGEST, **{k.replace("_", "-"): v for k, v in headers.items()}}

    def give(ask: Ask) -> Answer | ApiError:
        assert ask.sink is not None
        try:
            ask.sink.begin(status, told)
            ask.sink.write(part)
        except ApiError as exc:
            return exc
        return then or Answer(status, told, b"")

    return give


def fetch(dest: Any) -> Plan[artifacts.Fetched]:
    """A download of `TARGET`."""
    return artifacts.download(TARGET, dest, Patience(30), None)


def test_a_lost_download_goes_on(tmp_path: Path) -> None:
    """What is here already is not sent again, provided that it is a part of what is there now."""
    found, (_, second), _ = play(
        fetch(tmp_path / "f"),
        giving(b"0123", 200, LOST, Content_Length="10"),
        giving(b"456789", 206, Content_Length="6"),
    )
    assert (tmp_path / "f").read_bytes() == CONTENT
    assert second.headers == {"Range": "bytes=4-", "If-Range": '"v1"'}
    assert (found.size, found.version) == (10, "v1")
    assert os.listdir(tmp_path) == ["f"]


def test_a_download_of_what_changed_meanwhile(tmp_path: Path) -> None:
    """When it is another by now the daemon sends it whole, and nothing of the old one stays."""
    play(fetch(tmp_path / "f"), giving(b"abcdefghijkl", 200, LOST), giving(CONTENT, 200, ETag='"v2"'))
    assert (tmp_path / "f").read_bytes() == CONTENT
    with pytest.raises(Failed, match="changed while it was fetched"):
        play(fetch(io.BytesIO()), giving(b"abc", 200, LOST), giving(CONTENT, 200))


def test_only_the_end_was_lost(tmp_path: Path) -> None:
    """All bytes came and the connection broke: there is nothing to ask for."""
    play(fetch(tmp_path / "f"), giving(CONTENT, 200, LOST, Content_Length="10"))
    assert (tmp_path / "f").read_bytes() == CONTENT


@pytest.mark.parametrize("content", [b"012345678X", b"0123", b""])
def test_other_bytes_than_the_digest_says(tmp_path: Path, content: bytes) -> None:
    """What is not what the bucket says it holds is no file: the one that was there stays, and nothing is left behind."""
    (tmp_path / "f").write_bytes(b"before")
    with pytest.raises(BadBytes):
        play(fetch(tmp_path / "f"), giving(content, 200))
    assert (tmp_path / "f").read_bytes() == b"before"
    assert os.listdir(tmp_path) == ["f"]


def test_an_object_of_another_tool(tmp_path: Path) -> None:
    """Where no digest is known the length is what is checked."""
    play(fetch(tmp_path / "f"), giving(CONTENT, 200, Repr_Digest="", Content_Length="10"))
    with pytest.raises(BadBytes):
        play(fetch(tmp_path / "f"), giving(CONTENT[1:], 200, Repr_Digest="", Content_Length="10"))


def test_a_download_that_is_given_up(tmp_path: Path) -> None:
    """Interrupted anywhere, it leaves nothing beside the file."""
    plan = fetch(tmp_path / "f")
    step = advance(plan, None)
    assert isinstance(step, Ask)
    assert len(os.listdir(tmp_path)) == 1
    giving(b"0123", 200)(step)
    plan.close()
    assert os.listdir(tmp_path) == []


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    """A missing folder, or a full disk, is told, and nothing is sent again for it."""
    with pytest.raises(Failed, match="cannot be written"):
        play(fetch(tmp_path / "missing" / "f"))

    class Full(io.RawIOBase):
        def write(self, data: Any) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(Failed, match="No space left"):
        play(fetch(Full()), giving(CONTENT, 200))


def test_progress(tmp_path: Path) -> None:
    """It begins at nothing, ends with all of it, and says how much there is."""
    (tmp_path / "f").write_bytes(b"a" * (3 * bodies.CHUNK_BYTES))
    seen: list[bodies.Progress] = []
    play(put(tmp_path / "f", progress=seen.append), taking(STORED))
    assert [each.moved // bodies.CHUNK_BYTES for each in seen] == [0, 1, 2, 3, 3]
    assert {each.size for each in seen} == {3 * bodies.CHUNK_BYTES}


@pytest.mark.parametrize("code", ["too-slow", "paused", "no-such-freeze"])
def test_a_renewal_that_fails_is_not_the_last(code: str) -> None:
    """Whoever renews goes on: a daemon that was slow once would else take the job for dead."""
    held = freezes.Freeze("api", "name", 30)
    plan = freezes.renew(held)
    advance(plan, None)
    assert isinstance(advance(plan, Failed("it failed", code=code)), Done)
    assert (held.lost is not None) == (code == "no-such-freeze")
