"""What differs on macOS, by a stand-in for each thing that Linux has and macOS has not. No test here has seen a Mac."""

from __future__ import annotations

import os
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import cast

import pytest

from dorkyd.core.model import Path as OurPath
from dorkyd.peer import peer_uid
from tests.folders import Fixture

_IMPORTS = """
import sys, types, os, socket, select
# What is not ours runs on either system, but not with the one's name on the other.
import asyncio, ctypes, sysconfig, fastapi, uvicorn, httpx2, typer, rich.progress, sqlite_utils, yaml, pathspec
import apscheduler.schedulers.background
fsevents = types.ModuleType("_watchdog_fsevents")
class NativeEvent: pass
for name in ("add_watch", "remove_watch", "read_events", "stop", "schedule"):
    setattr(fsevents, name, lambda *a: None)
fsevents.NativeEvent = NativeEvent
fsevents.__version__ = "0"
sys.modules["_watchdog_fsevents"] = fsevents
sys.modules["watchdog.observers.inotify_c"] = None  # as if it were not there: importing it fails
sys.modules["watchdog.observers.inotify"] = None
for module, names in ((os, ("O_PATH", "O_TMPFILE", "copy_file_range", "sched_getaffinity", "posix_fadvise", "fdatasync")),
                      (socket, ("SO_PEERCRED",)), (select, ("epoll",))):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
sys.platform = "darwin"
import importlib, pkgutil, dorkyd
for found in pkgutil.walk_packages(dorkyd.__path__, "dorkyd."):
    if found.name not in ("dorkyd.inotify", "dorkyd.__main__"):
        importlib.import_module(found.name)
from dorkyd.hints import Hints
from dorkyd.watcher import _FSEVENTS_LOST, _new_observer
hints = Hints(lambda: None)
emitter = _new_observer(hints)._emitter_class
told = []
emitter.__mro__[1].events_callback = lambda self, paths, inodes, flags, ids: told.append(flags)
seen = emitter.__new__(emitter)
seen.events_callback([b"/x"], [1], [0], [1])
assert not hints.drain().everything
seen.events_callback([b"/x"], [1], [0x4], [1])
assert hints.drain().everything and told == [[0], [0x4]]
print("fine")
"""


def test_nothing_of_linux_is_needed_to_import() -> None:
    """Every module but `dorkyd.inotify` can be imported without Linux's own calls, and FSEvents that were lost ask for a
    whole scan.
    """
    done = subprocess.run([sys.executable, "-c", _IMPORTS], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr[-2000:]


class _Mac:
    """A connection that answers as the BSD kernels do (<sys/un.h>, struct xucred)."""

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        assert (level, option, size) == (0, 1, 76)
        return struct.pack("=IIh", 0, 501, 1).ljust(size, b"\0")


def test_peer_uid() -> None:
    """LOCAL_PEERCRED tells the uid of the other end."""
    assert peer_uid(cast("socket.socket", _Mac()), platform="darwin") == 501


def test_copies_without_the_kernels_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file of the folder is copied to staging by reading and writing."""
    monkeypatch.delattr(os, "copy_file_range", raising=False)
    folder = Fixture(tmp_path / "f")
    local = folder.write("f", b"x" * 3_000_000)
    folder.folder.stage_copy(OurPath("f"), local, "copy")
    assert folder.staged("copy") == b"x" * 3_000_000


def test_permission_bits_of_what_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without O_PATH the bits are set by name, and never through a link."""
    asked: list[tuple[object, object]] = []
    chmod, opened = os.chmod, os.open

    def by_name(name: str, bits: int, *, dir_fd: int, follow_symlinks: bool) -> None:
        asked.append((name, follow_symlinks))
        chmod(name, bits, dir_fd=dir_fd)  # Linux knows no such call

    def refuse(name: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if name == "f":
            raise PermissionError(13, "Permission denied", name)
        return opened(name, flags, mode, dir_fd=dir_fd)

    folder = Fixture(tmp_path / "f")
    local = folder.write("f")
    monkeypatch.delattr(os, "O_PATH", raising=False)
    monkeypatch.setattr(os, "chmod", by_name)
    monkeypatch.setattr(os, "open", refuse)
    made = folder.folder.set_mode(OurPath("f"), 0o640, local)
    assert (made.mode, asked) == (0o640, [("f", False)])
