"""Log lines to the journal with their fields, in its own protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL).

One datagram a line. `journalctl --user -u dorkyd DORKYD_VERB=upload` finds what a text search would have to guess. Beside the
message stand the line's own `key=value` pairs, each as `DORKYD_KEY`, whole and as they are, though the message shows them escaped.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import logging
import os
import re
import socket
import struct
import sys
from collections.abc import Iterator, Mapping

from dorkyd.loglines import Gathering, PrintableLines

SOCKET = "/run/systemd/journal/socket"
PREFIX = "DORKYD_"
PRIORITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
"""syslog's numbers; what is below is 7."""
SEND_S = 1.0
"""A journal that does not read must not stop the log's thread for good."""
_PAIR = re.compile(r"\b([a-z][a-z0-9_]*)=(%(?:[-#0 +]*\d*(?:\.\d+)?[a-zA-Z]|%)|[^\s%]+)")
_PLACE = re.compile(r"%(?:[-#0 +]*\d*(?:\.\d+)?[a-zA-Z]|%)")


def is_journal(environ: Mapping[str, str], fd: int = 2) -> bool:
    """Whether this descriptor leads to the journal: the manager says which file it connected (systemd.exec(5))."""
    told = environ.get("JOURNAL_STREAM", "")
    try:
        seen = os.fstat(fd)
    except OSError:
        return False
    return told == f"{seen.st_dev}:{seen.st_ino}"


def fields(record: logging.LogRecord) -> Iterator[tuple[str, str]]:
    """The `key=value` pairs of a line, from its form and its arguments: a value may hold anything."""
    form = record.msg if isinstance(record.msg, str) else str(record.msg)
    given = record.args if isinstance(record.args, tuple) else ()
    places = [found.start() for found in _PLACE.finditer(form) if found[0] != "%%"]
    for found in _PAIR.finditer(form):
        value = found[2]
        if value.startswith("%"):
            if found.start(2) not in places or len(places) != len(given):
                continue
            value = str(given[places.index(found.start(2))])
        yield found[1], value


def datagram(entries: list[tuple[str, str]]) -> bytes:
    """Fields in the journal's form. A value of several lines is told by its length."""
    parts = []
    for name, value in entries:
        data = value.encode("utf-8", "backslashreplace")
        if b"\n" in data:
            parts.append(name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n")
        else:
            parts.append(name.encode() + b"=" + data + b"\n")
    return b"".join(parts)


class ToJournal(Gathering[tuple[bytes, str]]):
    """Sends each line. What the journal does not take goes to standard error, which leads there as well."""

    def __init__(self, address: str = SOCKET) -> None:
        super().__init__()
        self._address = address
        self._socket: socket.socket | None = None
        self.setFormatter(PrintableLines("%(message)s"))

    def made(self, record: logging.LogRecord) -> tuple[bytes, str]:
        """The datagram, and the line in case that it does not go."""
        message = self.format(record)
        priority = next((number for level, number in PRIORITIES if record.levelno >= level), 7)
        entries = [
            ("MESSAGE", message),
            ("PRIORITY", str(priority)),
            ("SYSLOG_IDENTIFIER", "dorkyd"),
            (f"{PREFIX}LOGGER", record.name),
        ]
        entries += [(f"{PREFIX}{name.upper()}", value) for name, value in fields(record)]
        return datagram(entries), f"<{priority}>{message}"

    def write(self, lines: list[tuple[bytes, str]]) -> None:
        """Send them."""
        for data, line in lines:
            try:
                self._send(data)
            except OSError:
                if self._socket is not None:
                    self._socket.close()
                    self._socket = None
                # Where standard error is closed as well there is nobody to tell.
                with contextlib.suppress(OSError, ValueError):
                    sys.stderr.write(f"{line}\n")
                    sys.stderr.flush()

    def _send(self, data: bytes) -> None:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.settimeout(SEND_S)
        try:
            self._socket.sendto(data, self._address)
        except OSError as exc:
            # EMSGSIZE: larger than a datagram may be; ENOBUFS: than what is free just now.
            if not _too_large(exc) or not hasattr(os, "memfd_create"):
                raise
            self._send_file(data)

    def _send_file(self, data: bytes) -> None:
        """As a sealed file in memory, which the journal reads itself."""
        assert self._socket is not None
        fd = os.memfd_create("dorkyd-log", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with open(fd, "wb", closefd=False) as stream:
                stream.write(data)
            seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))
            self._socket.sendmsg([b""], [rights], 0, self._address)
        finally:
            os.close(fd)


def _too_large(exc: OSError) -> bool:
    return exc.errno in {errno.EMSGSIZE, errno.ENOBUFS}
