"""Names that would lead out of a project, through every route that takes one."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from urllib.parse import quote

import httpx2
import pytest

from tests.api.serving import DEADLINE_S
from tests.security.attacked import SECRET, Attacked, attacked, problem_of

NAMES: dict[str, str] = {
    "dots": "../secret.txt",
    "many dots": "../" * 40 + "etc/passwd",
    "dots inside": "sub/../../secret.txt",
    "only dots": "..",
    "one dot": "./a.txt",
    "absolute": "/etc/passwd",
    "twice absolute": "//etc/passwd",
    "backslashes": "..\\secret.txt",
    "a drive": "C:\\secret.txt",
    "a url": "file:///etc/passwd",
    "NUL": "a.txt\0.png",
    "a newline": "a\n../secret.txt",
    "through a link": "link/secret.txt",
    "ours": ".dorky/folder.json",
    "ours, shouted": ".DORKY/folder.json",
    "ours, inside": "sub/.dorky/trash",
    "git's": ".git/config",
    "git's, shouted": ".Git/config",
    "git's, invisibly": ".g\u200cit/config",
    "very long": "a/" * 3000,
    "a long name": "a" * 5000,
    "empty": "",
    "a closing slash": "sub/",
    "fullwidth dots": "\uff0e\uff0e/secret.txt",
}
ORDINARY = {"backslashes", "a drive", "a newline", "fullwidth dots", "a closing slash"}
"""Odd, and yet the name of a file or folder of the project."""
RAW = {
    "encoded": "%2e%2e%2fsecret.txt",
    "half encoded": "..%2fsecret.txt",
    "encoded twice": "%252e%252e%252fsecret.txt",
    "overlong": "%c0%ae%c0%ae%c0%afsecret.txt",
    "a backslash, encoded": "..%5csecret.txt",
    "NUL, encoded": "a.txt%00.png",
    "not utf-8": "%ff%fe.txt",
    "half a character": "b%20%c3.txt",
    "a surrogate": "%ed%a0%80",
    "broken encoding": "%zz%",
    "iis": "%u002e%u002e%u002fsecret.txt",
    "a semicolon": "..;/secret.txt",
}
"""As they stand in a target, byte for byte: no client tidies them up."""
ASKING = ["why?path={}", "check-ignore?path={}", "files?prefix={}", "files?after={}", "artifacts/{}", "log?after={}"]
IN_A_BODY = [("restore", "path"), ("restore", "name"), ("resolve", "path"), ("approve", "token"), ("reject", "token")]
PLACES = [f"/v1/projects/p/{each}" for each in ASKING] + [
    "/v1/projects/{}/files",
    "/v1/projects/{}",
    "/v1/projects/{}/restore",
    "/v1/status?project={}",
    "/v1/{}",
    "/{}",
]


@pytest.fixture(scope="module")
def there() -> Iterator[Attacked]:
    """A real daemon for the whole module."""
    with attacked() as up:
        yield up


def raw_get(place: str, target: str, method: str = "GET") -> httpx2.Response:
    """One request with exactly this target."""
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(DEADLINE_S)
        peer.connect(place)
        peer.sendall(
            f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n".encode()
        )
        answer = b""
        while more := peer.recv(65_536):
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = head.decode().split("\r\n")
    request = httpx2.Request(method, "http://dorkyd")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    return httpx2.Response(int(lines[0].split()[1]), headers=headers, content=body, request=request)


def check(answer: httpx2.Response) -> None:
    """Refused with a problem document, or an answer that holds nothing from outside."""
    assert SECRET not in answer.content
    assert b"root:" not in answer.content
    assert answer.status_code != 500
    if answer.status_code >= 400 and answer.request.method != "HEAD":
        problem_of(answer)
        assert len(answer.content) < 20_000


@pytest.mark.parametrize("place", PLACES)
def test_names_in_targets(there: Attacked, place: str) -> None:
    """A name in a path or a query, encoded whole, leads nowhere; nothing outside is read or changed."""
    before = there.around()
    for method in ("GET", "PUT", "POST", "DELETE"):
        for name in NAMES.values():
            check(raw_get(there.socket, place.format(quote(name, safe="")), method))
        for raw in RAW.values():
            check(raw_get(there.socket, place.format(raw), method))
    assert there.around() == before
    assert there.is_well()


@pytest.mark.parametrize("name", NAMES)
def test_names_that_no_project_has(there: Attacked, name: str) -> None:
    """What is asked of a path outside the project, or of one that is reserved, is a 4xx or says that it is ignored."""
    odd = {"a newline", "through a link", "fullwidth dots", "a url", "a closing slash", "git's, invisibly"}
    answer = there.http.get("/v1/projects/p/why", params={"path": NAMES[name]})
    check(answer)
    assert answer.status_code in ((200, 400) if name in odd | {"backslashes", "a drive", "a long name"} else (400,))
    told = answer.json()["local"] if answer.status_code == 200 else None
    # Where a name is an ordinary one here, such as one with backslashes, another test may have stored an empty file there.
    assert told is None or told["size"] == 0 or name == "a closing slash"


@pytest.mark.parametrize(("verb", "field"), IN_A_BODY)
def test_names_in_bodies(there: Attacked, verb: str, field: str) -> None:
    """A name in a document leads nowhere either."""
    before = there.around()
    rest = {"resolve": {"keep": "mine"}, "restore": {"path": "gone.txt"}}.get(verb, {})
    for name in NAMES.values():
        answer = there.http.post(f"/v1/projects/p/{verb}", json={**rest, field: name})
        # Where a name is an ordinary one here, another test may have stored and deleted it.
        ordinary = (verb, field) == ("restore", "path") and name in {NAMES[each] for each in ORDINARY}
        assert 400 <= answer.status_code < 500 or ordinary
        check(answer)
    assert there.around() == before


def test_projects_that_would_hold_too_much(there: Attacked) -> None:
    """A project cannot be the whole disk, the daemon's own home, another project's folder or bucket, or a name that is a
    path; and what was refused changed nothing.
    """
    config = (there.daemon.home / "config.yaml").read_text()
    base, root = str(there.base), str(there.daemon.root)
    for path in ("/", "//", base, str(there.daemon.home), root, f"{root}/sub", f"{root}/link", f"{base}/bucket", "/\0"):
        answer = there.http.post("/v1/projects", json={"path": path})
        assert 400 <= answer.status_code < 500, path
        check(answer)
    free = there.base / "free"
    free.mkdir()
    for name in ("../x", "a/b", "..", ".", "a\nb", "a\0b", "a" * 65, "\ud800", "%2e%2e"):
        body = json.dumps({"path": str(free), "name": name})
        answer = there.http.post("/v1/projects", content=body, headers={"Content-Type": "application/json"})
        assert 400 <= answer.status_code < 500, name
        check(answer)
    for bucket in (
        f"file://{root}",
        f"file://{base}/bucket/prefix/x",
        "file://../x",
        "file:///",
        "ftp://x/y",
        "s3://../x",
    ):
        answer = there.http.post("/v1/projects", json={"path": str(free), "bucket": bucket})
        assert 400 <= answer.status_code < 500, bucket
        check(answer)
    assert (there.daemon.home / "config.yaml").read_text() == config
    assert [each["name"] for each in there.http.get("/v1/projects").json()["items"]] == ["p"]
