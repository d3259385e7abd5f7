"""Two clients do the same at one time, or one of them twice: it is done once, and nothing is lost."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest
import yaml

from tests.api.serving import http_client
from tests.daemons import wait_until
from tests.security.attacked import Attacked, attacked, problem_of

CLIENTS = 6
PROJECT = "/v1/projects/p"


@pytest.fixture(scope="module")
def there() -> Iterator[Attacked]:
    """A real daemon whose guard lets two deletions pass; each test has files of its own."""
    with attacked(guard={"percent": 1, "files": 2, "max": 5000, "window_s": 600}) as up:
        up.daemon.sync()
        yield up


def at_once(there: Attacked, ask: Callable[[httpx2.Client, int], httpx2.Response]) -> list[httpx2.Response]:
    """The answers of several clients that ask at one time; every refusal is a problem document, and none is a 500."""
    start = threading.Barrier(CLIENTS)

    def one(number: int) -> httpx2.Response:
        with http_client(there.socket) as http:
            start.wait(20)
            return ask(http, number)

    with ThreadPoolExecutor(CLIENTS) as pool:
        answers = list(pool.map(one, range(CLIENTS)))
    for answer in answers:
        assert answer.status_code != 500
        if answer.status_code >= 400:
            problem_of(answer)
    assert there.is_well()
    return answers


def codes(answers: list[httpx2.Response]) -> Counter[int]:
    """How often each status was answered."""
    return Counter(answer.status_code for answer in answers)


def halt(there: Attacked, name: str) -> str:
    """Five files that were in sync are deleted, which the guard stops; the halt's token."""
    files = [there.daemon.root / f"{name}{n}" for n in range(5)]
    for file in files:
        file.write_text(file.name)
    there.daemon.sync()
    for file in files:
        file.unlink()
    wait_until("the guard halts", lambda: there.daemon.state() == "halted")
    return str(there.daemon.status().halt.token)


@pytest.mark.parametrize("verb", ["approve", "reject"])
def test_one_halt_answered_by_many(there: Attacked, verb: str) -> None:
    """A halt is lifted once; whoever comes later is told that it is over, and the outcome is what was asked once."""
    token = halt(there, verb)
    answers = at_once(there, lambda http, _: http.post(f"{PROJECT}/{verb}", json={"token": token}))
    assert codes(answers) == {200: 1, answers_other(answers): CLIENTS - 1}
    there.daemon.sync()
    left = [name for name in there.daemon.tree() if name.startswith(verb)]
    assert len(left) == (0 if verb == "approve" else 5)
    assert there.http.post(f"{PROJECT}/{verb}", json={"token": token}).status_code == answers_other(answers)


def answers_other(answers: list[httpx2.Response]) -> int:
    """The one status that the losers got."""
    (status,) = {answer.status_code for answer in answers} - {200}
    assert 400 <= status < 500
    return status


def test_approve_against_reject(there: Attacked) -> None:
    """Of two opposite answers to one halt one holds: all of it is deleted, or nothing."""
    body = {"token": halt(there, "either")}
    verbs = ["approve", "reject"]
    answers = at_once(there, lambda http, n: http.post(f"{PROJECT}/{verbs[n % 2]}", json=body))
    won = [verbs[n % 2] for n, answer in enumerate(answers) if answer.status_code == 200]
    assert len(won) == 1
    there.daemon.sync()
    left = [name for name in there.daemon.tree() if name.startswith("either")]
    assert len(left) == (0 if won == ["approve"] else 5)


def test_one_file_restored_by_many(there: Attacked) -> None:
    """A file brought back several times at once is there, whole, and so is everything that stood in its place."""
    gone = there.daemon.root / "restored"
    gone.write_bytes(b"second")
    there.daemon.sync()
    (there.base / "bucket" / "prefix" / "restored").unlink()
    there.daemon.sync()
    assert not gone.exists()
    answers = at_once(there, lambda http, _: http.post(f"{PROJECT}/restore", json={"path": "restored"}))
    told = codes(answers)
    # Whoever comes later finds the newest state in its place: there is nothing to restore.
    assert told[200] >= 1
    assert told.keys() <= {200, 400}
    there.daemon.sync()
    assert gone.read_bytes() == b"second"
    assert there.http.get(f"{PROJECT}/conflicts").json()["items"] == []


@pytest.mark.parametrize("keep", ["mine", "theirs", "both"])
def test_one_conflict_resolved_by_many(there: Attacked, keep: str) -> None:
    """A conflict is settled once; the bytes that were not kept are in the trash, and none are anywhere twice."""
    other = f"of another device, {keep}".encode()
    (there.daemon.root / f"{keep}.txt").write_bytes(keep.encode())
    (there.daemon.root / f"{keep} (conflict b 20261122-100000 abcdef).txt").write_bytes(other)
    there.daemon.sync()
    assert there.daemon.status().conflicts == 1
    answers = at_once(
        there, lambda http, _: http.post(f"{PROJECT}/resolve", json={"path": f"{keep}.txt", "keep": keep})
    )
    assert codes(answers)[200] == 1
    there.daemon.sync()
    live = {content for content, _, _ in there.daemon.tree().values()}
    trash = there.daemon.root / ".dorky" / "trash"
    kept = live | {file.read_bytes() for file in trash.rglob("*") if file.is_file()}
    assert {keep.encode(), other} <= kept
    assert there.http.get(f"{PROJECT}/conflicts").json()["items"] == []


def test_pauses_and_limits_by_many(there: Attacked) -> None:
    """Pauses, resumes and limits at one time leave one of the states that were asked for, and a configuration that holds."""
    verbs = ["pause", "resume"]
    for _ in range(3):
        answers = at_once(there, lambda http, n: http.post(f"{PROJECT}/{verbs[n % 2]}", json={}))
        assert codes(answers) == {200: CLIENTS}
    assert there.http.post(f"{PROJECT}/resume").status_code == 200
    answers = at_once(there, lambda http, n: http.post(f"{PROJECT}/limit", json={"up": (n + 1) * 2**20}))
    assert codes(answers) == {200: CLIENTS}
    config = yaml.safe_load((there.daemon.home / "config.yaml").read_text())
    written = config["projects"][0]["bandwidth"]["up"]
    there.daemon.sync()
    in_force = there.http.get(f"{PROJECT}/limit").json()["up"]
    assert in_force in {(n + 1) * 2**20 for n in range(CLIENTS)}
    assert str(in_force // 2**20) in str(written) or in_force == written


def test_one_project_added_and_removed_by_many(there: Attacked) -> None:
    """A folder becomes one project, whoever asks how often; removing it twice is told, and deletes nothing."""
    folder = there.base / "more"
    folder.mkdir()
    (folder / "kept").write_bytes(b"kept")
    answers = at_once(there, lambda http, _: http.post("/v1/projects", json={"path": str(folder), "name": "more"}))
    assert codes(answers)[201] == 1
    assert [each["name"] for each in there.http.get("/v1/projects").json()["items"]] == ["p", "more"]
    answers = at_once(there, lambda http, _: http.delete("/v1/projects/more"))
    assert codes(answers) == {200: 1, 404: CLIENTS - 1}
    assert (folder / "kept").read_bytes() == b"kept"
