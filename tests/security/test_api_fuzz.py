"""Requests made from the API's own description: right ones and wrong ones, against a real daemon on its socket.

Every answer must be one that the description declares, with the declared status, media type and schema; none is a 500.
`DORKY_FUZZ=N` tries N requests of each kind for each operation (default 4).
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import CHECKS, CheckFunction
from schemathesis.generation import GenerationMode
from schemathesis.schemas import APIOperation

from dorkyd.api.routes import build_app
from dorkyd.api.streams import Feeds
from tests.api.fakes import FakeDaemon
from tests.security.attacked import Attacked, attacked, problem_of

EXAMPLES = int(os.environ.get("DORKY_FUZZ", "4"))
EMPTY = FakeDaemon()
DOCUMENT: dict[str, Any] = build_app(EMPTY, Feeds(EMPTY)).openapi()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
ENDS = {("post", "/v1/stop"), ("get", "/v1/events")}
"""Ends the daemon, or never ends itself: tested one by one."""
CAN_BE_WRONG = {"after", "limit", "follow", "remote", "path"}
"""Parameters whose type leaves something to get wrong; of texts, only one that must be there."""
OPERATIONS = [
    pytest.param(operation, mode, id=f"{operation.method} {operation.path} {mode.value}")
    for operation in (each.ok() for each in SCHEMA.get_all_operations())
    if (operation.method, operation.path) not in ENDS
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE
    or (operation.body and operation.method != "put")
    or any(p.name in CAN_BE_WRONG for p in operation.query)
]
NAMED = ["not_a_server_error", "status_code_conformance", "content_type_conformance", "response_schema_conformance"]
sent = {"requests": 0, "refused": 0}


@pytest.fixture(scope="module")
def there() -> Iterator[Attacked]:
    """A real daemon for the whole module, in whatever state the requests bring it."""
    with attacked() as up:
        yield up
    print(f"{sent['requests']} requests, {sent['refused']} of them refused")  # noqa: T201 - seen with -s


def checks() -> list[CheckFunction]:
    """What every answer is held to."""
    return CHECKS.get_by_names(NAMED)


def harmless(case: schemathesis.Case) -> bool:
    """Not a request to sync a folder of this machine that the test did not make."""
    body = case.body if isinstance(case.body, dict) else {}
    return not (case.path == "/v1/projects" and case.method == "POST" and os.path.isabs(str(body.get("path", ""))))


def send(there: Attacked, case: schemathesis.Case, project: str | None) -> httpx2.Response:
    """Send it, to the project that is there or to whatever was made up."""
    if project is not None and case.path_parameters and case.method != "DELETE":
        case.path_parameters["p"] = project
    if case.query and str(case.query.get("follow", "")).lower() not in ("", "false", "0", "no", "off", "f", "n"):
        case.query["follow"] = "false"
    if isinstance(case.body, dict) and case.body.get("wait") is True:
        case.body["timeout_s"] = 0.2
    told = case.as_transport_kwargs(base_url="http://dorkyd")
    body = json.dumps(told["json"]).encode() if "json" in told else told.get("data")
    if not isinstance(body, bytes | str | None):
        body = repr(body)  # a form or parts: whatever they are, they are not JSON
    return there.http.request(told["method"], told["url"], params=told["params"], headers=told["headers"], content=body)


@pytest.mark.parametrize(("operation", "mode"), OPERATIONS)
def test_every_answer_is_declared(there: Attacked, operation: APIOperation, mode: GenerationMode) -> None:
    """No 500, no undeclared status, media type or field, whether a request is right or wrong."""
    cases = operation.as_strategy(generation_mode=mode)

    @settings(
        max_examples=EXAMPLES,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        derandomize="DORKY_FUZZ" not in os.environ,
    )
    @given(case=cases, known=st.booleans())
    def ask(case: schemathesis.Case, known: bool) -> None:
        if not harmless(case):
            return
        response = send(there, case, "p" if known else None)
        sent["requests"] += 1
        sent["refused"] += response.status_code >= 400
        case.validate_response(response, checks=checks())
        if response.status_code >= 400 and case.method != "HEAD":
            problem_of(response)

    ask()
    assert there.is_well()
