"""A pytest plug-in that watches the whole run for secrets: in every log line, error, reply of the API, daemon's log and
command's output. A test in which one appears fails, whatever else it found.

Secret are: every credential that the tests' servers know, whatever a test puts into the variables that hold credentials,
the ids of upload sessions, anything in the form of a signature or token, and file contents that say so themselves
(`canary()`). Errors are read where they are made, so that those that nobody shows count too.

    pytest                          the plug-in is on (`tests/conftest.py`)
    python -m pytest -p tests.leaks FILE     for files elsewhere
"""

from __future__ import annotations

import logging
import os
import re
import secrets
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

from dorkyd import client, errors, ledger, ports
from dorkyd.api import failures
from tests import servers
from tests.npm import tool

_SHORTEST = 12
"""A shorter value may stand in a text by chance."""
_VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_FORMS = re.compile(
    r"canary-[0-9a-f]{32}"
    r"|X-Amz-(?:Signature|Credential|Security-Token)=\w"
    r"|AWS4-HMAC-SHA256 Credential"
    r"|\bBearer [\w.~+/-]{8,}"
    r"|upload_?id=[\w-]{12,}"
    r"|ya29\.[\w-]{20,}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
    r"|AGE-SECRET-KEY-1[0-9A-Z]{20}",
    re.IGNORECASE,
)

known: dict[str, str] = {
    servers.ACCESS_KEY: "access key",
    servers.SECRET_KEY: "secret key",
    servers.READER_KEY: "reader's access key",
    servers.READER_SECRET: "reader's secret key",
    "FAKEFAKEFAKEFAKE7KQX": "access key of the error tests",
    "fake/secret+for/tests": "secret key of the error tests",
    tool.KEY_ID: "access key that the npm tool left",
    tool.SECRET: "secret key that the npm tool left",
}
"""Each secret, and what a report calls it: the report itself must not tell it."""
found: list[str] = []
"""What was seen and not reported yet."""
looked: Counter[str] = Counter()
"""How many texts of each kind were looked at."""
_logs: dict[Path, int] = {}
"""Log files of daemons, and how far each was read."""


def canary() -> bytes:
    """New contents for a file, that may appear nowhere but in files and objects."""
    return f"canary-{secrets.token_hex(16)}".encode()


def saw(where: str, text: str) -> None:
    """Look at a text that a person or a log may see."""
    looked[where] += 1
    names = {name for secret, name in known.items() if secret in text}
    names |= {name for name in _VARIABLES if len(held := os.environ.get(name, "")) >= _SHORTEST and held in text}
    names |= {f"{match[0][:8]}…" for match in _FORMS.finditer(text)}
    found.extend(f"{where}: {name} in {_masked(text)!r}" for name in sorted(names))


def read(log: Path) -> None:
    """Look at what was added to a daemon's log. One that is gone is forgotten: a run has hundreds."""
    try:
        size = os.stat(log).st_size
    except FileNotFoundError:
        _logs.pop(log, None)
        return
    if size == _logs.get(log):
        return
    with log.open("rb") as stream:
        stream.seek(_logs.get(log, 0))
        added = stream.read()
    _logs[log] = _logs.get(log, 0) + len(added)
    for line in added.decode(errors="replace").splitlines():
        saw("daemon's log", line)


@contextmanager
def apart() -> Iterator[list[str]]:
    """What is seen in the block is given to the caller and is not this run's failure: for tests of the plug-in."""
    before = list(found)
    found.clear()
    mine: list[str] = []
    try:
        yield mine
    finally:
        mine.extend(found)
        found[:] = before


def _masked(text: str) -> str:
    for secret, name in known.items():
        text = text.replace(secret, f"<{name}>")
    return _FORMS.sub("<secret>", text)[:300]


class _Handler(logging.Handler):
    _format = logging.Formatter("%(levelname)s %(name)s %(message)s")

    def emit(self, record: logging.LogRecord) -> None:
        saw("log line", self._format.format(record))


def _watch(owner: Any, name: str, tell: Callable[..., None]) -> None:
    """Call `tell` with what a method was given, after it."""
    whole = getattr(owner, name)

    @wraps(whole)
    def told(self: Any, *args: Any, **kwargs: Any) -> Any:
        answer = whole(self, *args, **kwargs)
        tell(self, *args, **kwargs)
        return answer

    setattr(owner, name, told)


def _error(exc: Any, *_: Any, **__: Any) -> None:
    saw("error", f"{type(exc).__name__} {exc} {exc.hint} {getattr(exc, 'body', b'').decode(errors='replace')}")


def _session(session: Any, *_: Any, **__: Any) -> None:
    if len(session.id) >= _SHORTEST:
        known[session.id] = "upload session"
    saw("session", repr(session))


def pytest_configure(config: pytest.Config) -> None:
    """Listen, once a process."""
    del config
    if any(isinstance(handler, _Handler) for handler in logging.getLogger().handlers):
        return
    logging.getLogger().addHandler(_Handler())
    # As the daemon does.
    logging.getLogger("dorkyd").setLevel(logging.INFO)
    _watch(errors.DorkyError, "__init__", _error)
    _watch(failures.ApiError, "__init__", _error)
    _watch(client.Reply, "__init__", lambda reply, *_: saw("reply", reply.body.decode(errors="replace")))
    _watch(ledger.Ledger, "set_problem", lambda _, problem: saw("problem", f"{problem.detail} {problem.hint}"))
    _watch(ports.Session, "__init__", _session)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, None, None]:
    """Before the test's folders go, and again after its daemons were stopped."""
    for log in list(_logs):
        read(log)
    try:
        yield
    finally:
        _report(item.nodeid)


def watch(log: Path) -> None:
    """From now on this file belongs to what is read."""
    _logs.setdefault(log, 0)


def _report(where: str) -> None:
    if found:
        seen = "\n".join(dict.fromkeys(found))
        found.clear()
        pytest.fail(f"secrets were shown in {where}:\n{seen}", pytrace=False)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """What came after the last test fails the run, in a worker too."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["leaks"], output["looked"] = list(found), dict(looked)
    elif found:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker of xdist ended: what it found counts here."""
    output = getattr(node, "workeroutput", None) or {}
    found.extend(output.get("leaks", ()))
    looked.update(output.get("looked", {}))


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """How much was looked at: a run that looked at nothing proves nothing."""
    counts = ", ".join(f"{count:,} {kind}" for kind, count in sorted(looked.items()))
    terminalreporter.write_line(f"looked for secrets in: {counts or 'nothing'}")
    for line in found:
        terminalreporter.write_line(f"a secret was shown: {line}", red=True)
