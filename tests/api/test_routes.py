"""Routes: what each answers, and how each error is told."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from dorkyd.core import report
from dorkyd.core.model import Digest, Path
from dorkyd.core.report import ConflictSeen, Halt, HaltReason, ProblemItem, State, TrashItem
from dorkyd.errors import (
    AuthExpired,
    Busy,
    Configuration,
    Denied,
    DiskFull,
    DorkyError,
    Integrity,
    PathProblem,
    RateLimited,
    Refused,
    Stale,
    Transient,
    UnsafeStore,
)
from tests.api.fakes import conflict_item, file_item, log_item
from tests.api.serving import Served, eventually

FILE_FIELDS = {"path", "digest", "size", "version"}


def test_status_document(served: Served) -> None:
    """`status` is the document that DESIGN section 4 shows."""
    document = served.http.get("/v1/status").json()
    assert document["schema"] == "dorky.status/1"
    assert document["health"] == "ok"
    assert set(document["daemon"]) == {"version", "pid", "uptime_s", "device", "bandwidth"}
    (project,) = document["projects"]
    assert set(project) >= {
        *("name", "path", "bucket", "mode", "state", "files", "bytes", "pending", "conflicts", "problems"),
        *("last_success", "halt", "warnings", "requests"),
    }
    assert set(project["cost"]) == {"requests_per_month", "usd_per_month", "prices"}
    assert set(project["pending"]) == {"upload", "download", "delete_local", "delete_remote", "bytes"}
    counted = {"GET", "PUT", "LIST", "HEAD", "COPY", "DELETE", "bytes_up", "bytes_down"}
    assert set(project["requests"]) == counted


@pytest.mark.parametrize(
    ("changes", "health"),
    [
        ({"state": State.PAUSED}, "ok"),
        ({"state": State.OFFLINE}, "ok"),
        ({"conflicts": 1}, "attention"),
        ({"problems": 1}, "attention"),
        ({"state": State.AUTH_EXPIRED}, "attention"),
        ({"state": State.HALTED, "halt": Halt(HaltReason.MASS_DELETE, "many", "t")}, "attention"),
        ({"state": State.ERROR, "conflicts": 1}, "broken"),
    ],
)
def test_health(served: Served, changes: dict[str, Any], health: str) -> None:
    """Health is the worst of the projects."""
    served.project.publish(**changes)
    assert served.http.get("/v1/status").json()["health"] == health


def test_warnings(served: Served) -> None:
    """A warning about the daemon stands in `status`."""
    served.daemon.notices = [report.Warning("config", "config.yaml:3: unknown key", "Correct it.")]
    (notice,) = served.http.get("/v1/status").json()["warnings"]
    assert notice == {"code": "config", "detail": "config.yaml:3: unknown key", "hint": "Correct it."}


def test_project_life(served: Served) -> None:
    """A project is added, listed, asked for alone, and removed."""
    added = served.http.post("/v1/projects", json={"path": "/x/data", "bucket": "s3://b/data"})
    assert (added.status_code, added.json()["name"]) == (201, "data")
    assert [each["name"] for each in served.http.get("/v1/projects").json()["items"]] == ["api", "data"]
    alone = served.http.get("/v1/status", params={"project": "data"}).json()
    assert [each["name"] for each in alone["projects"]] == ["data"]
    assert served.http.delete("/v1/projects/data").json() == {"name": "data", "removed": True}
    assert served.http.delete("/v1/projects/data").status_code == 404


def test_files_in_pages(served: Served) -> None:
    """Following `next` visits every file once, and the last page has none."""
    served.project.files_held = [file_item(f"d/{n}") for n in range(5)] + [file_item("e")]
    seen, after = [], ""
    while after is not None:
        page = served.http.get("/v1/projects/api/files", params={"prefix": "d/", "after": after, "limit": 2}).json()
        seen += [item["path"] for item in page["items"]]
        after = page["next"]
    assert seen == [f"d/{n}" for n in range(5)]


def test_a_long_page_is_streamed(served: Served) -> None:
    """It is the same document, whatever is in its names, with the place where the next one begins."""
    names = [f"d/{n:05}" for n in range(4999)] + ['d/ü"\\\n😀', "e"]
    served.project.files_held = [file_item(name) for name in names]
    ask = partial(served.http.get, "/v1/projects/api/files")
    page = ask(params={"limit": 4999})
    assert page.headers["content-type"] == "application/json"
    assert (len(page.json()["items"]), page.json()["next"]) == (4999, "d/04998")
    assert page.json()["items"][:1000] == ask(params={"limit": 1000}).json()["items"]
    rest = ask(params={"after": "d/00100", "limit": 100_000}).json()
    assert [item["path"] for item in rest["items"]] == names[101:]
    assert rest["next"] is None
    assert ask(params={"limit": 5000}).json()["next"] == 'd/ü"\\\n😀'


def test_files_that_are_picked(served: Served) -> None:
    """By patterns, sizes and state; what is none of these is refused before anything is told."""
    served.project.files_held = [file_item("a.csv"), file_item("b.bin"), file_item("c.csv", state="local")]
    ask = partial(served.http.get, "/v1/projects/api/files")
    found = lambda **wanted: [item["path"] for item in ask(params=wanted).json()["items"]]
    assert found(match=["*.csv"]) == ["a.csv", "c.csv"]
    assert found(match=["*.csv"], state="local", at_least=0) == ["c.csv"]
    assert found(at_least=10**12) == []
    for wrong in ({"state": "lost"}, {"match": "[[:digit:]]"}, {"at_least": -1}):
        assert ask(params=wrong).status_code in {400, 422}


def test_files_of_the_bucket(served: Served) -> None:
    """`remote` asks what the bucket holds."""
    served.project.files_held = [file_item("a"), file_item("b", state="local")]
    items = served.http.get("/v1/projects/api/files", params={"remote": "true"}).json()["items"]
    assert [item["path"] for item in items] == ["a"]


@pytest.mark.parametrize("listing", ["files", "conflicts", "problems", "trash", "log"])
def test_items_about_files(served: Served, listing: str) -> None:
    """Every item about a file has path, digest, size and version; every list has `items` and `next`."""
    project = served.project
    project.files_held, project.conflicts_held = [file_item("a")], [conflict_item("a")]
    project.problems_held = [ProblemItem(Path("a"), "case", "clash", "rename", 1, None)]
    project.trashed = [TrashItem("t1", Path("a"), 3, "2026-11-22T10:00:00Z", None)]
    project.history = [log_item(1)]
    page = served.http.get(f"/v1/projects/api/{listing}").json()
    assert set(page) == {"items", "next"}
    assert set(page["items"][0]) >= FILE_FIELDS


def test_log_pages(served: Served) -> None:
    """The log is read from a seq on, and `next` is the seq to go on from."""
    served.project.history = [log_item(n) for n in range(1, 6)]
    page = served.http.get("/v1/projects/api/log", params={"after": 1, "limit": 2}).json()
    assert ([item["seq"] for item in page["items"]], page["next"]) == ([2, 3], "3")
    tail = served.http.get("/v1/projects/api/log", params={"limit": 2}).json()
    assert ([item["seq"] for item in tail["items"]], tail["next"]) == ([4, 5], None)


def test_log_followed(served: Served) -> None:
    """A followed log goes on with what is done later, each line once."""
    served.project.history = [log_item(1)]
    with served.http.stream("GET", "/v1/projects/api/log?follow=true") as response:
        assert response.headers["content-type"] == "application/x-ndjson"
        lines = response.iter_lines()
        assert json.loads(next(lines))["seq"] == 1
        served.project.history.append(log_item(2))
        served.project.publish(files=2)
        assert json.loads(next(lines))["seq"] == 2


def test_log_followed_from_nothing(served: Served) -> None:
    """Following an empty log misses nothing of a burst larger than one read."""
    with served.http.stream("GET", "/v1/projects/api/log?follow=true") as response:
        eventually(lambda: served.project.log_reads > 0, "the log was read empty")
        served.project.history = [log_item(n) for n in range(1, 1501)]
        served.project.publish(files=1500)
        lines = response.iter_lines()
        assert [json.loads(next(lines))["seq"] for _ in range(1500)] == list(range(1, 1501))


def test_events(served: Served) -> None:
    """Events tell each project's status as it is, then each change."""
    with served.http.stream("GET", "/v1/events") as response:
        data = (json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: "))
        assert next(data)["state"] == "in-sync"
        served.project.publish(state=State.SYNCING)
        assert next(data)["state"] == "syncing"


def test_a_change_while_events_begin(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change right after the first look at the status is told: nobody waits for ever for what has happened."""
    project = served.project
    told = project.status

    def status() -> report.ProjectStatus:
        now = told()
        monkeypatch.undo()
        project.publish(state=State.SYNCING)
        return now

    monkeypatch.setattr(project, "status", status)
    with served.http.stream("GET", "/v1/events") as response:
        data = (json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: "))
        assert [next(data)["state"] for _ in range(2)] == ["in-sync", "syncing"]


def test_reading_one_path(served: Served) -> None:
    """`why` and `check-ignore` answer for paths, several of them in one request."""
    assert served.http.get("/v1/projects/api/why", params={"path": "a b"}).json()["state"] == "unknown"
    answer = served.http.get("/v1/projects/api/check-ignore", params={"path": ["a", "b.tmp"]}).json()
    assert [item["ignored"] for item in answer["items"]] == [False, True]


def test_limits(served: Served) -> None:
    """Bandwidth limits of a project and of all together are read and changed; what is left out stays, 0 lifts."""
    http = served.http
    assert http.get("/v1/projects/api/limit").json() == {"up": None, "down": None}
    assert http.post("/v1/projects/api/limit", json={"up": 2048, "down": 4096}).json() == {"up": 2048, "down": 4096}
    assert http.post("/v1/projects/api/limit", json={"up": 0}).json() == {"up": None, "down": 4096}
    assert http.get("/v1/status").json()["projects"][0]["bandwidth"] == {"up": None, "down": 4096}
    assert http.post("/v1/limit", json={"up": 9999}).json() == {"up": 9999, "down": None}
    assert http.get("/v1/limit").json() == http.get("/v1/status").json()["daemon"]["bandwidth"]
    assert http.post("/v1/projects/none/limit", json={"up": 0}).status_code == 404
    for wrong in ({"up": -1}, {"up": "1MiB"}, {"upload": 1}):
        assert http.post("/v1/limit", json=wrong).status_code == 422


def test_allow(served: Served) -> None:
    """Patterns that the tripwire lets pass are added, and all of them answered."""
    http = served.http
    assert http.post("/v1/projects/api/allow", json={"patterns": ["/.env"]}).json() == {"patterns": ["/.env"]}
    assert http.post("/v1/projects/api/allow", json={"patterns": ["*.pem"]}).json() == {"patterns": ["/.env", "*.pem"]}
    assert http.post("/v1/projects/none/allow", json={"patterns": ["a"]}).status_code == 404
    for wrong in ({}, {"patterns": []}, {"patterns": "a"}):
        assert http.post("/v1/projects/api/allow", json=wrong).status_code == 422


def test_actions(served: Served) -> None:
    """Each action reaches the project with what was sent."""
    project = served.project
    post = served.http.post
    assert post("/v1/projects/api/pause", json={"for_s": 7200}).json()["state"] == "paused"
    assert project.paused_for == 7200
    assert post("/v1/projects/api/resume").json()["state"] == "in-sync"
    assert post("/v1/projects/api/sync", json={"wait": True, "timeout_s": 5}).json()["converged"]
    assert project.syncs == [(True, 5)]
    project.conflicts_held = [conflict_item("a"), conflict_item("b")]
    left = post("/v1/projects/api/resolve", json={"path": "a", "keep": "mine"}).json()["items"]
    assert [item["path"] for item in left] == ["b"]
    assert project.seen is None
    shown = {"copy": "sha256:1", "named": None}
    post("/v1/projects/api/resolve", json={"path": "b", "keep": "mine", "seen": shown})
    assert project.seen == ConflictSeen(Digest("sha256:1"), None)
    project.publish(state=State.HALTED, halt=Halt(HaltReason.MASS_DELETE, "many", "tok"))
    assert post("/v1/projects/api/approve", json={"token": "old"}).json()["code"] == "refused-by-guard"
    assert post("/v1/projects/api/reject", json={"token": "tok"}).json()["state"] == "in-sync"
    project.trashed = [TrashItem("t1", Path("a"), 3, "2026-11-22T10:00:00Z", None)]
    assert post("/v1/projects/api/restore", json={"path": "a", "at": "t1"}).json()["path"] == "a"
    assert served.http.get("/v1/projects/api/doctor").json()["items"][0]["ok"] is True


def test_the_past(served: Served) -> None:
    """What is asked of the past reaches it as it was sent, times understood, and pages go on where they ended."""
    project, http = served.project, served.http
    project.trashed = [TrashItem("t1", Path("a"), 3, "2026-11-22T10:00:00Z", None)]
    told = http.get("/v1/projects/api/history", params={"path": "a"}).json()
    assert (set(told["items"][0]) >= FILE_FIELDS, told["retention"]) == (True, "kept 30 days")
    undone = http.post("/v1/projects/api/undo", json={"dry_run": True}).json()
    assert ([item["done"] for item in undone["items"]], undone["dry_run"], project.undone) == (
        [True, False],
        True,
        [True],
    )
    body = {"where": "bucket", "path": "d/", "older_than_s": 60}
    assert http.post("/v1/projects/api/empty-trash", json=body).json() == {"removed": 2, "bytes": 6, "kept": 1}
    assert project.emptied == [("bucket", "d/", 60)]
    found = http.get("/v1/projects/api/diff", params={"path": "f", "before": "v0"}).json()
    assert (found["kind"], found["before"]["label"], found["text"][:3]) == ("text", "v0", "---")
    page = http.get(
        "/v1/projects/api/audit", params={"limit": 2, "by": "Ann", "action": "upload", "since": "2026-11-01"}
    )
    assert ([item["number"] for item in page.json()["items"]], page.json()["next"]) == ([1, 2], "2.0")
    rest = http.get("/v1/projects/api/audit", params={"after": "2.0"}).json()
    assert ([item["number"] for item in rest["items"]], rest["next"]) == ([3], None)
    assert (project.audits[0].who, project.audits[0].verbs, project.audits[0].since_ns is not None) == (
        "Ann",
        ("put",),
        True,
    )
    http.get("/v1/projects/api/log", params={"path": "d/"})
    assert project.log_filters[-1].path == "d/"
    assert http.get("/v1/projects/api/audit", params={"since": "soon"}).json()["code"] == "bad-time"


def test_stop(served: Served) -> None:
    """`stop` is answered, and reaches the daemon."""
    assert served.http.post("/v1/stop").status_code == 202
    assert served.daemon.stopped.is_set()


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (Refused("no"), 400, "refused"),
        (Refused("no", code="no-such-path"), 404, "not-found"),
        (Refused("no", code="refused-by-guard"), 409, "guard"),
        (Configuration("no"), 422, "configuration"),
        (Denied("no"), 403, "denied"),
        (AuthExpired("no"), 403, "auth"),
        (Integrity("no"), 502, "integrity"),
        (UnsafeStore("no"), 409, "unsafe-store"),
        (DiskFull("no"), 507, "disk-full"),
        (Busy("no"), 409, "busy"),
        (PathProblem("a", "no", code="case"), 409, "path"),
        (Stale("no"), 409, "stale"),
        (Transient("no"), 503, "temporary"),
        (RateLimited("no", retry_after_s=2.5), 503, "temporary"),
        (DorkyError("no"), 500, "error"),
    ],
)
def test_errors(served: Served, error: DorkyError, status: int, kind: str) -> None:
    """Each error has its status and kind, and keeps its code and hint."""
    error.hint = "Do this."
    served.project.error = error
    response = served.http.get("/v1/projects/api/files")
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (response.status_code, problem["status"]) == (status, status)
    assert problem["type"] == f"urn:dorky:problem:{kind}"
    assert (problem["detail"], problem["hint"], problem["code"]) == ("no", "Do this.", error.code)
    assert problem["title"]


def test_retry_after(served: Served) -> None:
    """A temporary error says how long to wait, in whole seconds, rounded up."""
    served.project.error = RateLimited("slow down", retry_after_s=2.5)
    assert served.http.get("/v1/projects/api/files").headers["Retry-After"] == "3"


def test_unforeseen(served: Served) -> None:
    """An exception nobody foresaw is a 500 that does not quote it."""
    served.project.error = RuntimeError("key=hunter2")
    response = served.http.get("/v1/projects/api/files")
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert "hunter2" not in response.text


@pytest.mark.parametrize(
    ("url", "body"),
    [
        ("/v1/projects/api/sync", {"wait": True, "hurry": True}),
        ("/v1/projects/api/sync", {"wait": "yes"}),
        ("/v1/projects/api/sync", {"timeout_s": -1}),
        ("/v1/projects/api/pause", {"for_s": 0}),
        ("/v1/projects/api/pause", {"for_s": 1e300}),
        ("/v1/projects/api/resolve", {"path": "a", "keep": "hunter2"}),
        ("/v1/projects/api/approve", {}),
        ("/v1/projects", {"path": "", "bucket": "s3://b/x"}),
    ],
)
def test_invalid_requests(served: Served, url: str, body: dict[str, Any]) -> None:
    """A request with unknown fields or wrong values is refused as a problem document, not echoing what was sent."""
    response = served.http.post(url, json=body)
    assert (response.status_code, response.json()["code"]) == (422, "invalid-request")
    assert "hunter2" not in response.text
    assert served.project.syncs == []


def test_relative_folder(served: Served) -> None:
    """A folder relative to the client's directory is refused: the daemon has another."""
    assert served.http.post("/v1/projects", json={"path": "x"}).json()["code"] == "not-absolute"


@pytest.mark.parametrize(
    ("method", "url", "status", "code"),
    [
        ("GET", "/v1/nothing", 404, "no-such-route"),
        ("PUT", "/v1/status", 405, "method-not-allowed"),
        ("GET", "/v1/projects/nobody/files", 404, "no-such-project"),
        ("GET", "/v1/status?project=nobody", 404, "no-such-project"),
        ("GET", "/v1/projects/api/files?limit=0", 422, "invalid-request"),
        ("GET", "/docs", 404, "no-such-route"),
        ("POST", "/v1/projects/api/artifacts/d/f.txt", 405, "method-not-allowed"),
        ("GET", "/v1/projects/nobody/artifacts/d/f.txt", 404, "no-such-project"),
        ("POST", "/v1/projects/api/put", 404, "no-such-route"),
    ],
)
def test_router_errors(served: Served, method: str, url: str, status: int, code: str) -> None:
    """What the router refuses is a problem document too."""
    response = served.http.request(method, url)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("method", "url", "allowed"),
    [
        ("PUT", "/v1/status", "GET"),
        ("PUT", "/v1/projects", "GET, POST"),
        ("POST", "/v1/projects/api/artifacts/d/f.txt", "DELETE, GET, HEAD, PUT"),
        ("PATCH", "/v1/projects/api/limit", "GET, POST"),
    ],
)
def test_the_wrong_method_is_told_the_right_ones(served: Served, method: str, url: str, allowed: str) -> None:
    """`Allow` has every method of the target, whichever route of it was asked first."""
    assert served.http.request(method, url).headers["allow"] == allowed


def test_openapi(served: Served) -> None:
    """The description has every route and the problem document."""
    document = served.http.get("/openapi.json").json()
    assert {"/v1/status", "/v1/projects/{p}/sync", "/v1/events"} <= set(document["paths"])
    assert "Problem" in document["components"]["schemas"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


# --- what a page shows ------------------------------------------------------------------------------------------------


def test_tree(served: Served) -> None:
    """A page of entries, with where the next begins; and what was looked for."""
    served.project.files_held = [file_item("a"), file_item("b", 2, "changing"), file_item("c", 3)]
    page = served.http.get("/v1/projects/api/tree", params={"limit": 2}).json()
    assert [item["path"] for item in page["items"]] == ["a", "b"]
    assert (page["next"], set(page["items"][0]) >= FILE_FIELDS) == ("b", True)
    rest = served.http.get("/v1/projects/api/tree", params={"limit": 2, "after": "b"}).json()
    assert ([item["path"] for item in rest["items"]], rest["next"]) == (["c"], None)
    found = served.http.get("/v1/projects/api/tree", params={"unsettled": True}).json()
    assert [item["path"] for item in found["items"]] == ["b"]


def test_samples(served: Served) -> None:
    """The last day, oldest first."""
    (first, _) = served.http.get("/v1/projects/api/samples").json()["items"]
    assert first == {"at": 60, "up": 5, "down": 0, "pending": 1, "pending_bytes": 9}
    assert served.http.get("/v1/projects/nobody/samples").status_code == 404


def test_content_of_a_state(served: Served) -> None:
    """Its bytes, with their digest; a secret's are refused."""
    answer = served.http.get("/v1/projects/api/content", params={"path": "f", "at": "v1"})
    assert (answer.content, answer.headers["content-length"]) == (b"abc", "3")
    assert answer.headers["dorky-digest"].startswith("sha256:")
    refused = served.http.get("/v1/projects/api/content", params={"path": ".env", "at": "v1"})
    assert (refused.status_code, refused.json()["code"]) == (400, "secret")


def test_two_paths_side_by_side(served: Served) -> None:
    """`other` is what stands at another path; it goes with no version."""
    query = {"path": "f", "other": "f (copy)"}
    assert served.http.get("/v1/projects/api/diff", params=query).json()["before"]["label"] == "f (copy)"
    wrong = served.http.get("/v1/projects/api/diff", params={**query, "before": "v1"})
    assert (wrong.status_code, wrong.json()["code"]) == (400, "bad-request")
