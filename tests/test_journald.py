"""The journal's own protocol, read by a stand-in for its socket."""

from __future__ import annotations

import array
import logging
import os
import socket
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dorkyd.journald import ToJournal, is_journal

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the journal is systemd's")


class Journal:
    """What listens on the journal's socket, and how it reads."""

    def __init__(self, address: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(address))
        self.socket.settimeout(10)

    def entry(self) -> dict[str, str]:
        """The next one; from a file in memory, where one was sent."""
        data, rights, _, _ = self.socket.recvmsg(1 << 20, socket.CMSG_SPACE(4))
        if rights:
            (fd,) = array.array("i", rights[0][2])
            with open(fd, "rb") as stream:
                stream.seek(0)
                data = stream.read()
        found = {}
        while data:
            line, _, data = data.partition(b"\n")
            name, equals, value = line.partition(b"=")
            if not equals:
                (length,) = struct.unpack_from("<Q", data)
                value, data = data[8 : 8 + length], data[8 + length + 1 :]
            found[name.decode()] = value.decode()
        return found


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[tuple[Journal, logging.Logger]]:
    """The stand-in, and a logger that sends to it."""
    made = Journal(tmp_path / "journal")
    logger = logging.getLogger(f"dorkyd.tests.{tmp_path.name}")
    logger.propagate, logger.handlers = False, [ToJournal(str(tmp_path / "journal"))]
    logger.setLevel(logging.DEBUG)
    yield made, logger
    made.socket.close()


def test_fields(journal: tuple[Journal, logging.Logger]) -> None:
    """The message for people, and each pair of it as a field of its own, as it is: also a path that forges others."""
    heard, logger = journal
    path = "a b=c\nPRIORITY=0"
    logger.warning("verb=upload path=%r bytes=%d outcome=%s", path, 3, "no such thing")
    entry = heard.entry()
    assert entry["MESSAGE"] == r"verb=upload path='a b=c\nPRIORITY=0' bytes=3 outcome=no such thing"
    assert (entry["PRIORITY"], entry["SYSLOG_IDENTIFIER"], entry["DORKYD_LOGGER"]) == ("4", "dorkyd", logger.name)
    ours = {name: value for name, value in entry.items() if name.startswith("DORKYD_")}
    assert ours == {
        "DORKYD_LOGGER": logger.name,
        "DORKYD_VERB": "upload",
        "DORKYD_PATH": path,
        "DORKYD_BYTES": "3",
        "DORKYD_OUTCOME": "no such thing",
    }


@pytest.mark.parametrize(("level", "number"), [(10, "7"), (20, "6"), (40, "3"), (50, "2")])
def test_priorities(journal: tuple[Journal, logging.Logger], level: int, number: str) -> None:
    """As syslog counts them."""
    heard, logger = journal
    logger.log(level, "x")
    assert heard.entry()["PRIORITY"] == number


def test_a_traceback_is_one_entry(journal: tuple[Journal, logging.Logger]) -> None:
    """With its lines."""
    heard, logger = journal
    try:
        raise ValueError("why")
    except ValueError:
        logger.exception("outcome=failed")
    message = heard.entry()["MESSAGE"].splitlines()
    assert (message[0], message[-1]) == ("outcome=failed", "ValueError: why")


def test_what_is_too_large_for_a_datagram(journal: tuple[Journal, logging.Logger]) -> None:
    """It comes as a file in memory, whole."""
    heard, logger = journal
    logger.warning("%s", "x" * (1 << 20))
    assert heard.entry()["MESSAGE"] == "x" * (1 << 20)


def test_a_journal_that_is_gone(
    journal: tuple[Journal, logging.Logger], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """The line goes to standard error, with its priority; once the journal is back it goes there again."""
    heard, logger = journal
    logger.warning("one")
    heard.entry()
    heard.socket.close()
    (tmp_path / "journal").unlink()
    logger.warning("two")
    assert capsys.readouterr().err == "<4>two\n"
    back = Journal(tmp_path / "journal")
    logger.warning("three")
    assert back.entry()["MESSAGE"] == "three"
    back.socket.close()


def test_is_journal(tmp_path: Path) -> None:
    """Only when the descriptor is the very file that the manager named: a redirected one is not."""
    with open(tmp_path / "f", "w") as stream:
        seen = os.fstat(stream.fileno())
        told = {"JOURNAL_STREAM": f"{seen.st_dev}:{seen.st_ino}"}
        assert is_journal(told, stream.fileno())
        assert not is_journal({"JOURNAL_STREAM": f"{seen.st_dev}:{seen.st_ino + 1}"}, stream.fileno())
        assert not is_journal({}, stream.fileno())
    assert not is_journal(told, 9999)  # closed
