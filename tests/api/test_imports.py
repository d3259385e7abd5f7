"""`POST /v1/import-dorky`."""

from __future__ import annotations

import asyncio

import pytest

from dorkyd.client import AsyncDorkyClient, DorkyClient
from dorkyd.control_import import ImportWish
from tests.api.serving import Served


def test_a_dry_run_is_only_planned(served: Served) -> None:
    """The plan in full, every file with its path, digest, size and version; nothing is carried out."""
    answer = served.http.post("/v1/import-dorky", json={"path": "/home/ana/api", "dry_run": True})
    document = answer.json()
    assert (answer.status_code, document["done"], document["next"]) == (200, False, None)
    assert {"path", "digest", "size", "version", "standing", "tracked"} <= set(document["items"][0])
    assert document["warnings"] == [{"code": "shared-prefix", "detail": "others push there too", "hint": "sort it out"}]
    assert served.daemon.imports.planned == [ImportWish("/home/ana/api")]
    assert served.daemon.imports.carried_out == []


def test_carried_out(served: Served) -> None:
    """All that a person said arrives; the answer says that it was done."""
    said = {"bucket": "s3://b/p", "name": "n", "endpoint_url": "http://e", "region": "r", "profile": "q"}
    said |= {"everything": True, "retire": True, "token": "0123abcd"}
    answer = served.http.post("/v1/import-dorky", json={"path": "/home/ana/api", **said})
    assert answer.json()["done"] is True
    assert served.daemon.imports.carried_out == [ImportWish("/home/ana/api", **said)]


@pytest.mark.parametrize("body", [{"path": "api"}, {"path": ""}, {}, {"path": "/a", "yes": True}])
def test_what_is_refused(served: Served, body: dict[str, object]) -> None:
    """A relative path, none, and a word that nobody knows."""
    assert served.http.post("/v1/import-dorky", json=body).status_code in {400, 422}
    assert served.daemon.imports.carried_out == []


def test_both_clients(served: Served) -> None:
    """Each has the method, with the same words."""

    async def ask() -> str:
        async with AsyncDorkyClient(served.socket) as client:
            return (await client.import_dorky("/home/ana/api", retire=True)).token

    with DorkyClient(served.socket) as client:
        assert client.import_dorky("/home/ana/api", "s3://b", dry_run=True).done is False
    assert asyncio.run(ask()) == "0123abcd"
    assert served.daemon.imports.planned == [ImportWish("/home/ana/api", "s3://b")]
    assert served.daemon.imports.carried_out == [ImportWish("/home/ana/api", retire=True)]


def test_history(served: Served) -> None:
    """What became of it, in numbers; both clients have the method."""

    async def ask() -> int:
        async with AsyncDorkyClient(served.socket) as client:
            return (await client.import_history("api")).made

    document = served.http.post("/v1/projects/api/import-dorky-history").json()
    assert document == {"pushes": 3, "commits": 2, "made": 1, "missing": 4, "differing": 5, "head": "ab" * 32}
    with DorkyClient(served.socket) as client:
        assert client.import_history("api").commits == 2
    assert asyncio.run(ask()) == 1
    assert served.project.histories == 3
