"""What a worker may be made to do by a file, as tasks: see `Workshop.tasks`."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dorkyd.tables.converting.task import task as convert
from dorkyd.tables.worker import Input


def echo(request: Mapping[str, Any], files: Sequence[Input]) -> dict[str, Any]:
    """What was asked, what the files hold, and who answers."""
    held = [file.read().hex() for file in files]
    return {"asked": request.get("word"), "held": held, "pid": os.getpid(), "nice": os.nice(0)}


def piece(request: Mapping[str, Any], files: Sequence[Input]) -> dict[str, Any]:
    """Some bytes of a file that comes piece by piece."""
    files[0].seek(int(request["at"]))
    return {"held": files[0].read(int(request["count"])).hex()}


def eat(request: Mapping[str, Any], files: Sequence[Input]) -> dict[str, Any]:
    """More memory than there is."""
    held = []
    while True:
        held.append(bytearray(16 * 1024 * 1024))


def hang(request: Mapping[str, Any], files: Sequence[Input]) -> dict[str, Any]:
    """Do nothing, for ever."""
    time.sleep(3600)
    return {}


def spin(request: Mapping[str, Any], files: Sequence[Input]) -> dict[str, Any]:
    """Compute, for ever."""
    while True:
        pass


def crash(request: Mapping[str, Any], files: Sequence[Input]) -> dict[str, Any]:
    """End as a fault of a C library does."""
    os.kill(os.getpid(), 11)
    return {}


def babble(request: Mapping[str, Any], files: Sequence[Input]) -> dict[str, Any]:
    """Be noisy where a protocol might be."""
    print("no protocol here", flush=True)  # noqa: T201
    return {"said": True}


def call_home(request: Mapping[str, Any], files: Sequence[Input]) -> dict[str, Any]:
    """Reach somebody."""
    try:
        socket.create_connection(("127.0.0.1", int(request["port"])), timeout=2).close()
    except OSError as exc:
        return {"reached": False, "why": type(exc).__name__}
    return {"reached": True}


def slowly(request: Mapping[str, Any], files: Sequence[Input]) -> dict[str, Any]:
    """Convert once a file is there: the name that the table's first column has."""
    name = files[0].read(4096).split(b"\n")[0].decode()
    files[0].seek(0)
    Path(f"{name}.begun").touch()
    while not Path(name).exists():
        time.sleep(0.02)
    return convert(request, files)


def secrets(request: Mapping[str, Any], files: Sequence[Input]) -> dict[str, Any]:
    """The names in the environment."""
    return {"names": sorted(os.environ)}


def nest(request: Mapping[str, Any], files: Sequence[Input]) -> dict[str, Any]:
    """Answer with something that is nested without end."""
    _say(b'{"done": {"x": ' + b"[" * 200_000)
    time.sleep(3600)
    return {}


def huge(request: Mapping[str, Any], files: Sequence[Input]) -> dict[str, Any]:
    """Answer with what is no number."""
    _say(b'{"done": {"x": [1e999]}}')
    time.sleep(3600)
    return {}


def forge(request: Mapping[str, Any], files: Sequence[Input]) -> dict[str, Any]:
    """Refuse with a code that is a line of a log, or a terminal's command."""
    _say(json.dumps({"refused": "x\nverb=delete \x1b[2J", "detail": "d"}).encode())
    time.sleep(3600)
    return {}


def _say(line: bytes) -> None:
    """To whoever asked, past the worker's own protocol."""
    for fd in range(3, 30):
        try:
            sock = socket.socket(fileno=os.dup(fd))
        except OSError:
            continue
        if sock.family == socket.AF_UNIX:
            sock.sendall(line + b"\n")
            return
