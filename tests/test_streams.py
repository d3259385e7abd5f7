"""Staged files as they are written: past the page cache where that can be, and always the bytes that were given."""

from __future__ import annotations

import errno
import fcntl
import mmap
import os
from pathlib import Path

import pytest

from dorkyd.errors import DiskFull
from dorkyd.pages import PAGE_BYTES
from dorkyd.streams import writer

NEW = os.O_RDWR | os.O_CREAT


def pages(count: int) -> memoryview:
    """Whole pages of memory, each with bytes of its own."""
    made = mmap.mmap(-1, count * PAGE_BYTES)
    made.write(os.urandom(len(made)))
    return memoryview(made)


@pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="Linux's")
def test_whole_pages_pass_the_page_cache(tmp_path: Path) -> None:
    """From memory and to a place on page boundaries the bytes go to the disk at once; others go the ordinary way."""
    data, fd = pages(4), os.open(tmp_path / "f", NEW)

    def direct() -> bool:
        return bool(fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT)

    with writer(fd, "f") as stream:
        stream.write(data[: 2 * PAGE_BYTES])
        if not direct():
            pytest.skip("this file system takes no such writes")
        stream.write(data[1 : PAGE_BYTES + 1])
        assert not direct()
        stream.write(data[3 * PAGE_BYTES :])
        assert direct()


def test_every_byte_is_written_in_order(tmp_path: Path) -> None:
    """Whole pages, parts of pages, memory off its boundaries, bytes that nobody may change: all of it, one after another."""
    data, fd = pages(4), os.open(tmp_path / "f", NEW)
    given = [data, data[:-1], b"x" * PAGE_BYTES, data[1:], b"", data.toreadonly(), data[: PAGE_BYTES * 2], b"end"]
    with writer(fd, "f") as stream:
        assert [stream.write(each) for each in given] == [len(each) for each in given]
    assert (tmp_path / "f").read_bytes() == b"".join(given)


def test_goes_on_behind_what_is_there(tmp_path: Path) -> None:
    """A file that was begun goes on at its end, which need not be a page's."""
    data = pages(2)
    (tmp_path / "f").write_bytes(b"begun")
    with writer(os.open(tmp_path / "f", NEW), "f") as stream:
        stream.write(data)
        stream.write(data)
    assert (tmp_path / "f").read_bytes() == b"begun" + bytes(data) * 2


@pytest.mark.skipif(not hasattr(os, "O_DIRECT"), reason="Linux's")
def test_a_file_system_that_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system knows no such writes the bytes go the ordinary way, and it is not tried again."""
    data, tried, write = pages(2), [], os.write

    def refuse(fd: int, view: memoryview) -> int:
        if not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
            return write(fd, view)
        tried.append(len(view))
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "write", refuse)
    with writer(os.open(tmp_path / "f", NEW), "f") as stream:
        stream.write(data)
        stream.write(data)
    assert (tmp_path / "f").read_bytes() == bytes(data) * 2
    assert len(tried) == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux's")
def test_a_full_disk(tmp_path: Path) -> None:
    """It is told as one, whichever way the bytes went."""
    for data in (pages(1), b"x"):
        with writer(os.open("/dev/full", os.O_RDWR), "f") as stream, pytest.raises(DiskFull):
            stream.write(data)
