"""`/v1/projects/{p}/artifacts/{path}` of a real daemon."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import socket
from concurrent.futures import ThreadPoolExecutor

import httpx2
import pytest

from tests.api.serving import http_client
from tests.artifacts.place import Place, serving
from tests.daemons import wait_until
from tests.security.attacked import problem_of


def test_stored_fetched_deleted(place: Place) -> None:
    """What is put is in the bucket when it is answered, comes back byte for byte, appears in the folder, and is deleted."""
    made = place.put("d/a b.txt", b"hello", Content_Type="text/plain")
    assert made.status_code == 201
    item = made.json()
    assert (item["path"], item["size"]) == ("d/a b.txt", 5)
    assert item["digest"] == "sha256:" + hashlib.sha256(b"hello").hexdigest()
    assert (item["media_type"], item["updated_by"]) == ("text/plain", "a")
    assert place.objects()["d/a b.txt"] == b"hello"
    found = place.get("d/a b.txt")
    assert (found.status_code, found.content) == (200, b"hello")
    assert found.headers["content-type"] == "text/plain"
    assert found.headers["etag"] == f'"{item["version"]}"'
    assert found.headers["repr-digest"] == f"sha-256=:{base64.b64encode(hashlib.sha256(b'hello').digest()).decode()}:"
    head = place.http.head(place.url("d/a b.txt"))
    assert (head.headers["content-length"], head.content) == ("5", b"")
    place.in_folder("d/a b.txt", b"hello")
    assert place.put("d/a b.txt", b"again").status_code == 200
    place.in_folder("d/a b.txt", b"again")
    assert place.http.delete(place.url("d/a b.txt")).status_code == 204
    assert "d/a b.txt" not in place.objects()
    wait_until("the file is gone", lambda: not (place.daemon.root / "d" / "a b.txt").exists())
    for answer in (place.get("d/a b.txt"), place.http.delete(place.url("d/a b.txt"))):
        assert (answer.status_code, problem_of(answer)["code"]) == (404, "no-such-artifact")


@pytest.mark.parametrize("size", [0, 1, 65_536, 2**20, 2**20 + 1, 5 * 2**20 + 3])
def test_sizes(place: Place, size: int) -> None:
    """Bodies in memory and in staging, chunked or with a length, round-trip; nothing stays in staging."""
    data = bytes(n % 251 for n in range(1024)) * (size // 1024 + 1)
    data = data[:size]
    for path, body in ((f"size/{size}", data), (f"size/{size} chunked", iter([data[: size // 2], data[size // 2 :]]))):
        assert place.put(path, body).status_code == 201
        assert place.get(path).content == data
        place.in_folder(path, data)
    place.daemon.sync()
    wait_until("staging is empty", lambda: place.staged() == [])


def test_a_range_moves_its_bytes_alone(place: Place) -> None:
    """What follows the range is not asked of the bucket."""
    data = bytes(n % 251 for n in range(3 * 2**20))
    place.put("ranged", data)
    place.in_folder("ranged", data)
    with place.counting() as spent:
        part = place.get("ranged", Range="bytes=1000000-1000999")
    assert (part.status_code, part.content) == (206, data[1_000_000:1_001_000])
    assert spent == {"GET": 1, "bytes_down": 1000}


def test_a_state_of_before(place: Place) -> None:
    """By its whole version or digest, all of it or a range, also once the object is gone; what names none is told."""
    items = [place.put("former", body).json() for body in (b"one one", b"two two two")]
    for name in (items[0]["version"], items[0]["digest"]):
        found = place.http.get(place.url("former"), params={"version": name})
        assert (found.status_code, found.content, found.headers["etag"]) == (200, b"one one", f'"{name}"')
        assert "repr-digest" in found.headers
        part = place.http.get(place.url("former"), params={"version": name}, headers={"Range": "bytes=4-"})
        assert (part.status_code, part.content, part.headers["content-range"]) == (206, b"one", "bytes 4-6/7")
        head = place.http.head(place.url("former"), params={"version": name})
        assert head.headers["content-length"] == "7"
    now = place.http.get(place.url("former"), params={"version": items[1]["version"]})
    assert now.content == b"two two two"
    for name in (items[0]["version"][:8], "none"):
        refused = place.http.get(place.url("former"), params={"version": name})
        assert (refused.status_code, problem_of(refused)["code"]) == (404, "no-such-version")
    behind = place.http.get(place.url("former"), params={"version": items[0]["version"]}, headers={"Range": "bytes=7-"})
    assert behind.status_code == 416
    place.http.delete(place.url("former"))
    assert place.http.get(place.url("former"), params={"version": items[1]["version"]}).content == b"two two two"


def test_conditions(place: Place) -> None:
    """`If-None-Match: *` creates only, `If-Match` replaces only what it names; otherwise 412 and nothing is changed."""
    assert place.put("c", b"1", If_None_Match="*").status_code == 201
    again = place.put("c", b"2", If_None_Match="*")
    assert (again.status_code, problem_of(again)["code"]) == (412, "precondition-failed")
    first = place.get("c").headers["etag"]
    assert place.put("c", b"2", If_Match=first).status_code == 200
    for stale in (first, '"no", "such"', 'W/"x"'):
        assert place.put("c", b"3", If_Match=stale).status_code == 412
    assert place.put("none", b"3", If_Match="*").status_code == 412
    assert place.get("c").content == b"2"
    digest = "sha256:" + hashlib.sha256(b"2").hexdigest()
    assert place.put("c", b"3", If_Match=f'"{digest}"').status_code == 200
    assert place.http.delete(place.url("c"), headers={"If-Match": first}).status_code == 412
    now = place.get("c").headers["etag"]
    assert place.get("c", If_None_Match=now).status_code == 304
    assert place.get("c", If_None_Match=first).content == b"3"
    assert place.get("c", If_Match=first).status_code == 412
    assert place.http.head(place.url("c"), headers={"If-None-Match": now}).status_code == 304
    assert place.http.delete(place.url("c"), headers={"If-Match": now}).status_code == 204


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ("bytes=0-3", 206, b"0123"),
        ("bytes=4-", 206, b"456789"),
        ("bytes=-3", 206, b"789"),
        ("bytes=8-100", 206, b"89"),
        ("bytes=-100", 206, b"0123456789"),
        ("bytes=10-", 416, None),
        ("bytes=20000000000000-", 416, None),
        ("bytes=9999999999999999999-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=5-2", 200, b"0123456789"),
        ("bytes=0-1,4-5", 200, b"0123456789"),
        ("lines=1-2", 200, b"0123456789"),
        ("bytes=a-b", 200, b"0123456789"),
    ],
)
def test_ranges(place: Place, asked: str, status: int, content: bytes | None) -> None:
    """One range of bytes is 206; none that there is, 416 with the size; what is no range is passed over."""
    place.put("range", b"0123456789")
    found = place.get("range", Range=asked)
    assert found.status_code == status
    if content is not None:
        assert found.content == content
    else:
        problem_of(found)
        assert found.headers["content-range"] == "bytes */10"
    if status == 206:
        assert found.headers["content-range"].endswith("/10")
    if content is not None:
        assert int(found.headers["content-length"]) == len(content)


def test_a_range_of_what_changed(place: Place) -> None:
    """`If-Range` gives the whole of what is there now, when that is another than the client has a part of."""
    tag = place.put("part", b"0123456789").headers["etag"]
    assert place.get("part", Range="bytes=0-1", If_Range=tag).status_code == 206
    place.put("part", b"abcdefghij")
    assert place.get("part", Range="bytes=0-1", If_Range=tag).content == b"abcdefghij"


def test_metadata(place: Place) -> None:
    """A client's metadata comes back as it was, merges, and stays over another body that names none."""
    made = place.put("m", b"1", Dorky_Metadata='{"note": "na\\u00efve \\ud83d\\ude00", "plain": "x y"}')
    own = {"note": "naïve 😀", "plain": "x y"}
    assert made.json()["metadata"] == own
    assert place.http.get(place.url("m", "metadata")).json()["metadata"] == own
    version = made.json()["version"]
    patched = place.http.patch(place.url("m", "metadata"), json={"metadata": {"plain": None, "more": "żółw"}})
    assert patched.json()["metadata"] == {"note": "naïve 😀", "more": "żółw"}
    assert place.put("m", b"2").json()["metadata"] == patched.json()["metadata"]
    assert place.put("m", b"2", Dorky_Metadata="{}").json()["metadata"] == {}
    stale = place.http.patch(
        place.url("m", "metadata"), json={"metadata": {"a": "b"}}, headers={"If-Match": f'"{version}"'}
    )
    assert stale.status_code == 412
    place.in_folder("m", b"2")


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ('{"Note": "x"}', "bad-metadata"),
        ('{"dorky-op": "x"}', "bad-metadata"),
        ('{"a b": "x"}', "bad-metadata"),
        ('{"a": 1}', "bad-metadata"),
        ("[]", "bad-metadata"),
        ("{", "bad-metadata"),
        ('{"a": "%s"}' % ("x" * 2000), "metadata-too-large"),
    ],
)
def test_metadata_that_cannot_be(place: Place, said: str, code: str) -> None:
    """What no store takes is refused with the limit, and nothing is stored."""
    answer = place.put("refused", b"1", Dorky_Metadata=said)
    assert (answer.status_code, problem_of(answer)["code"]) == (422, code)
    assert "refused" not in place.objects()


def test_names_that_look_like_routes(place: Place) -> None:
    """An artifact may be called `metadata`: its path's slashes are spelled out."""
    place.put("n", b"1")
    assert place.put("n x/metadata", b"2").status_code == 201
    assert place.get("n x/metadata").content == b"2"
    assert place.http.get("/v1/projects/p/artifacts/n/metadata").json()["path"] == "n"
    assert place.http.get("/v1/projects/p/artifacts/n%20x%2Fmetadata").content == b"2"


@pytest.mark.parametrize(
    ("name", "other"),
    [("nl\n", "nl"), ("two\nlines", "two"), ("nm/metadata\n", "nm/metadata"), ("nv/versions\n", "nv/versions")],
)
def test_names_with_line_breaks(place: Place, name: str, other: str) -> None:
    """Every character of a name counts: what is stored under one never takes another's place."""
    assert place.put(other, b"1").status_code == 201
    made = place.put(name, b"2", Dorky_Metadata='{"a": "b"}')
    assert (made.status_code, made.json()["path"]) == (201, name)
    assert (place.get(name).content, place.get(other).content) == (b"2", b"1")
    for what in ("metadata", "versions"):
        told = place.http.get(place.url(name, what)).json()
        assert (told if what == "metadata" else told["items"][0])["path"] == name
    assert place.http.delete(place.url(name)).status_code == 204
    assert (place.get(name).status_code, place.get(other).content) == (404, b"1")


def test_what_is_not_asked_of_a_name(place: Place) -> None:
    """A name that is spelled out is never taken for another artifact's metadata."""
    place.put("spelled", b"1")
    assert (
        place.http.patch("/v1/projects/p/artifacts/spelled%2Fmetadata", json={"metadata": {"a": "b"}}).status_code
        == 405
    )
    assert place.http.get(place.url("spelled", "metadata")).json()["metadata"] == {}


def test_a_digest_that_does_not_match(place: Place) -> None:
    """A body that is not what the client says it is is not stored."""
    wrong = base64.b64encode(hashlib.sha256(b"other").digest()).decode()
    answer = place.put("digest", b"body", Content_Digest=f"sha-256=:{wrong}:")
    assert (answer.status_code, problem_of(answer)["code"]) == (400, "digest-mismatch")
    right = base64.b64encode(hashlib.sha256(b"body").digest()).decode()
    assert place.put("digest", b"body", Content_Digest=f"sha-256=:{right}:").status_code == 201


@pytest.mark.parametrize("sent", [10, 3 * 2**20])
def test_a_client_that_dies(place: Place, sent: int) -> None:
    """A client that goes in the middle of its body leaves no object and no staged file."""
    head = f"PUT /v1/projects/p/artifacts/dead{sent} HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n".encode()
    with socket.socket(socket.AF_UNIX) as peer:
        peer.connect(place.daemon.socket)
        peer.sendall(head + b"x" * sent)
        if sent > 2**20:
            wait_until("it is being staged", lambda: place.staged() != [])
    wait_until("nothing is staged", lambda: place.staged() == [])
    assert f"dead{sent}" not in place.objects()
    assert place.get(f"dead{sent}").status_code == 404


@pytest.mark.parametrize(
    "path", ["../x", "a/../x", "/x", ".dorky/x", ".git/config", "a//b", "a\\b/..", "x/", "a" * 300]
)
def test_paths_that_are_none(place: Place, path: str) -> None:
    """What can be no path is refused, with every method, and nothing is stored."""
    before = place.objects()
    for method in ("GET", "HEAD", "PUT", "DELETE"):
        answer = place.http.request(method, place.url(path))
        assert answer.status_code == 400
    assert place.objects() == before


def test_what_sync_would_not_carry(place: Place) -> None:
    """A path that is ignored, and a file where a folder is, are refused by name."""
    assert problem_of(place.put(".DS_Store", b"1"))["code"] == "ignored"
    place.put("file", b"1")
    answer = place.put("file/below", b"1")
    assert (answer.status_code, problem_of(answer)["code"]) == (409, "clash")


def test_paused(place: Place) -> None:
    """A paused project stores nothing, and still reads."""
    place.put("quiet", b"1")
    place.http.post("/v1/projects/p/pause", json={})
    answer = place.put("quiet", b"2")
    assert (answer.status_code, problem_of(answer)["code"]) == (409, "paused")
    assert place.get("quiet").content == b"1"
    place.http.post("/v1/projects/p/resume")
    assert place.put("quiet", b"2").status_code == 200


def test_offline(place: Place) -> None:
    """While the bucket cannot be reached, a PUT is 503 with Retry-After; sync and artifacts go on when it is back."""
    away = place.base / "away"
    (place.base / "bucket").rename(away)
    try:
        answer = place.put("offline", b"1")
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) >= 1
        problem_of(answer)
    finally:
        away.rename(place.base / "bucket")
    place.daemon.sync()
    assert place.put("offline", b"1").status_code == 201


# --- repeats ----------------------------------------------------------------------------------------------------------


def test_an_idempotency_key(place: Place) -> None:
    """A repeat gets the first answer, also where its own condition no longer holds; another request with the key is 422."""
    key = "0b6f0a2e-3b5f-4a51-9f6d-d6c4a5a0b5a1"
    first = place.put("once", b"1", Idempotency_Key=key, If_None_Match="*", Dorky_Metadata='{"a": "b"}')
    assert first.status_code == 201
    place.in_folder("once", b"1")
    place.daemon.sync()
    with place.counting() as spent:
        again = place.put("once", b"1", Idempotency_Key=f'"{key}"', If_None_Match="*", Dorky_Metadata='{"a": "b"}')
    assert spent == {}
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["etag"] == first.headers["etag"]
    for other in (
        place.put("once", b"2", Idempotency_Key=key, If_None_Match="*", Dorky_Metadata='{"a": "b"}'),
        place.put("twice", b"1", Idempotency_Key=key),
        place.http.delete(place.url("once"), headers={"Idempotency-Key": key}),
    ):
        assert (other.status_code, problem_of(other)["code"]) == (422, "key-reused")
    assert problem_of(place.put("x", b"1", Idempotency_Key="a" * 300))["code"] == "bad-key"
    for _ in range(2):
        gone = place.http.delete(place.url("once"), headers={"Idempotency-Key": "delete-1"})
        assert gone.status_code == 204


def test_a_key_after_kill_9(place: Place) -> None:
    """The answer outlives the daemon."""
    first = place.put("kept", b"1", Idempotency_Key="kept-1")
    place.daemon.kill()
    place.daemon.start()
    again = place.put("kept", b"1", Idempotency_Key="kept-1")
    assert (again.status_code, again.json()["version"]) == (201, first.json()["version"])


def test_many_at_once(place: Place) -> None:
    """64 clients store and fetch bodies of mixed sizes at one time: none is lost, none is another's."""
    sizes = [0, 10, 4096, 70_000, 2**20 + 7, 3 * 2**20]

    def one(number: int) -> None:
        data = f"{number}-".encode() * (sizes[number % len(sizes)] // 3 + 1)
        with http_client(place.daemon.socket) as http:
            http.timeout = httpx2.Timeout(200)
            mine = Place(place.base, place.daemon, http)
            assert mine.put(f"many/{number}", data).status_code == 201
            assert mine.get(f"many/{number}").content == data
            assert mine.get(f"many/{number}", Range="bytes=1-5").content == data[1:6]

    with ThreadPoolExecutor(64) as pool:
        list(pool.map(one, range(64)))
    place.daemon.sync()
    here = {path: content for path, (content, _, _) in place.daemon.tree().items() if path.startswith("many/")}
    assert len(here) == 64
    assert all(content.startswith(path.removeprefix("many/").encode() + b"-") for path, content in here.items())
    assert place.http.get("/v1/projects/p/conflicts").json()["items"] == []


def test_many_on_one_path(place: Place) -> None:
    """Clients that store under one name at one time: the last one's bytes stand whole, and with `If-Match` one wins."""
    tag = place.put("one", b"first").headers["etag"]

    def unconditional(number: int) -> int:
        with http_client(place.daemon.socket) as http:
            http.timeout = httpx2.Timeout(200)
            return Place(place.base, place.daemon, http).put("one", f"{number}".encode() * 1000, **kind).status_code

    kind = {"If_Match": tag}
    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(unconditional, range(8))) == [200] + [412] * 7
    kind = {}
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(unconditional, range(8))) <= {200, 503}
    held = place.get("one").content
    assert held in {f"{number}".encode() * 1000 for number in range(8)}
    place.in_folder("one", held)
    assert place.http.get("/v1/projects/p/conflicts").json()["items"] == []


# --- lists ------------------------------------------------------------------------------------------------------------


def test_listed_and_searched(place: Place) -> None:
    """Artifacts are listed by prefix, in pages, and found by their metadata, without a request to the bucket."""
    for n in range(5):
        own = json.dumps({"kind": "ż" if n % 2 else "even", "n": str(n)})
        place.put(f"list/{n} é", b"x" * n, Dorky_Metadata=own)
    place.daemon.sync()
    url = "/v1/projects/p/artifacts"
    with place.counting() as spent:
        first = place.http.get(url, params={"prefix": "list/", "limit": 3}).json()
        assert [item["size"] for item in first["items"]] == [0, 1, 2]
        rest = place.http.get(url, params={"prefix": "list/", "limit": 3, "after": first["next"]}).json()
        assert ([item["path"] for item in rest["items"]], rest["next"]) == (["list/3 é", "list/4 é"], None)
        assert rest["items"][0]["metadata"] == {"kind": "ż", "n": "3"}
        found = place.http.get(url, params={"meta": "kind=ż"}).json()["items"]
        assert [item["path"] for item in found] == ["list/1 é", "list/3 é"]
        both = place.http.get(url, params={"meta": ["kind=ż", "n=1"]}).json()["items"]
        assert [item["path"] for item in both] == ["list/1 é"]
        assert place.http.get(url, params={"meta": "kind=none"}).json()["items"] == []
        for wrong in ('a"b=x', "kind"):
            assert problem_of(place.http.get(url, params={"meta": wrong}))["code"] == "bad-metadata"
    assert spent == {}


def test_versions(place: Place) -> None:
    """The states of an artifact are told, newest first, with where the trash keeps them."""
    made = [place.put("v/a", text).json() for text in (b"1", b"22", b"333")]
    place.daemon.sync()
    items = place.http.get(place.url("v/a", "versions")).json()["items"]
    assert [(item["size"], item["current"]) for item in items] == [(3, True), (2, False), (1, False)]
    assert [item["digest"] for item in items] == [item["digest"] for item in reversed(made)]
    assert [item["version"] for item in items] == [item["version"] for item in reversed(made)]
    assert items[0]["trashed"] is None
    kept = place.base / "bucket" / "prefix" / items[1]["trashed"]
    assert kept.read_bytes() == b"22"
    assert place.http.get(place.url("v/none", "versions")).status_code == 404
    place.http.delete(place.url("v/a"))
    assert {item["current"] for item in place.http.get(place.url("v/a", "versions")).json()["items"]} == {False}


def test_many_that_wait_keep_nobody_waiting() -> None:
    """A hundred clients whose bodies wait for a bandwidth limit keep nobody from reading what is there."""
    with serving(bandwidth={"up": "64KiB"}) as place, ThreadPoolExecutor(100) as pool:
        assert place.put("there", b"1").status_code == 201

        def slow(number: int) -> None:
            with contextlib.suppress(httpx2.HTTPError), http_client(place.daemon.socket) as http:
                http.put(place.url(f"slow/{number}"), content=b"x" * 300_000)

        waiting = [pool.submit(slow, number) for number in range(100)]
        wait_until("many are waiting", lambda: place.daemon.status().pending.bytes > 20_000_000)
        for _ in range(20):
            assert place.get("there").content == b"1"
        assert not all(each.done() for each in waiting)
        place.daemon.kill()
