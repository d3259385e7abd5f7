"""The plug-in that looks for secrets: it sees what it should, and a run in which one is shown fails."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from dorkyd.api.failures import BadRequest
from dorkyd.errors import Blocked, Transient
from dorkyd.ports import Session
from tests import leaks
from tests.servers import ACCESS_KEY, READER_SECRET, SECRET_KEY

REPOSITORY = Path(__file__).parents[2]
SHOWN = [
    f"key {ACCESS_KEY} refused",
    f"-{SECRET_KEY}-",
    READER_SECRET,
    f"the file begins with {leaks.canary().decode()}",
    "https://store/k?X-Amz-Signature=0123abc",
    "Authorization: AWS4-HMAC-SHA256 Credential=x",
    "authorization: bearer abcdefghijkl",
    "https://store/o?uploadType=resumable&upload_id=ABCdef0123456789",
    "the identity is AGE-SECRET-" + "KEY-1" + "Q0" * 29,
]


@pytest.mark.parametrize("text", SHOWN, ids=range(len(SHOWN)))
def test_each_kind_of_secret_is_seen(text: str) -> None:
    """In a log line, an error, its hint, and what the API answered; and the report does not tell it again."""
    with leaks.apart() as seen:
        logging.getLogger("dorkyd.test").info("%s", text)
        Blocked("no", hint=text)
        Transient(text)
        BadRequest("no", code="no", body=text.encode())
    assert [line.partition(":")[0] for line in seen] == ["log line", "error", "error", "error"]
    assert not any(text in line for line in seen)


def test_a_cause_in_a_log_is_seen() -> None:
    """A line with a traceback is looked at whole."""
    with leaks.apart() as seen:
        try:
            raise ValueError(SECRET_KEY)
        except ValueError:
            logging.getLogger("dorkyd.test").exception("it broke")
    assert len(seen) == 1


def test_credentials_of_a_test_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test puts into the environment is as secret as what the servers know."""
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token-of-this-test")
    with leaks.apart() as seen:
        Blocked("refused a-token-of-this-test")
    assert len(seen) == 1


def test_a_session_is_a_secret() -> None:
    """Its id may be a capability: seen wherever it appears, and hidden where the session is printed."""
    with leaks.apart() as seen:
        session = Session("a-capability-of-the-store", 8)
        assert seen == []
        Blocked(f"gave up {session.id}")
        Blocked(f"gave up {session}")
    del leaks.known[session.id]
    assert len(seen) == 1


def test_a_daemons_log_is_read(tmp_path: Path) -> None:
    """What was added since the last time, each line once."""
    log = tmp_path / "log"
    with leaks.apart() as seen:
        log.write_text(f"fine\nnot {SECRET_KEY}\n")
        leaks.read(log)
        leaks.read(log)
        with log.open("a") as more:
            more.write(f"again {SECRET_KEY}\n")
        leaks.read(log)
    assert len(seen) == 2


RUN = """
import logging
from dorkyd.errors import Stale
from tests import leaks
from tests.servers import SECRET_KEY

def test_nothing(): logging.getLogger("dorkyd.x").info("a file of 3 bytes")
def test_log(): logging.getLogger("dorkyd.x").info("%s", SECRET_KEY)
def test_error(): Stale(SECRET_KEY)
"""
LATE = """
import os
import pytest
from tests import leaks
from tests.servers import SECRET_KEY

@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish():
    if "SHOW_LATE" in os.environ:
        leaks.saw("late", SECRET_KEY)
"""


@pytest.mark.parametrize("workers", [[], ["-n", "1"]], ids=["alone", "xdist"])
def test_a_run_that_shows_a_secret_fails(tmp_path: Path, workers: list[str]) -> None:
    """Each test in which one is shown, though it passed, no other; and the run, when it is shown after the last of them."""
    (tmp_path / "test_it.py").write_text(RUN)
    (tmp_path / "conftest.py").write_text(LATE)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.leaks", "-p", "no:cacheprovider", *workers]
    command += ["--show-capture=no", f"--rootdir={tmp_path}"]

    def run(only: str, **more: str) -> subprocess.CompletedProcess[str]:
        ran, env = [*command, "-k", only, str(tmp_path)], {**os.environ, **more}
        return subprocess.run(ran, cwd=REPOSITORY, env=env, capture_output=True, text=True, check=False)

    ran = run("test_nothing or test_log or test_error")
    assert "3 passed, 2 errors" in ran.stdout, ran.stdout + ran.stderr
    assert "<secret key>" in ran.stdout
    assert SECRET_KEY not in ran.stdout
    ran = run("test_nothing", SHOW_LATE="1")
    assert "1 passed" in ran.stdout, ran.stdout + ran.stderr
    assert ran.returncode == 1
    assert "a secret was shown: late: secret key" in ran.stdout
