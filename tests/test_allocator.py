"""Memory of large buffers is given back."""

from __future__ import annotations

import subprocess
import sys

import pytest

from dorkyd import allocator

STORY = """
import ctypes, mmap, re, sys
from pathlib import Path
from dorkyd import allocator
if "settings" in sys.argv:
    allocator.return_large_buffers()
def rss_kib():
    return int(re.search(r"VmRSS:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
del_me = bytes(8 << 20)
del del_me  # glibc has learned by now
before = rss_kib()
parts, pins = [], []
for _ in range(6):
    parts.append(b"x" * (8 << 20))
    pins.append(bytearray(70_000))  # something small that lives on lies between them
parts.clear()
print(rss_kib() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator, measured by /proc")
def test_large_buffers_go_back() -> None:
    """What was freed of large buffers is not held, although small ones that live on were made between them."""
    if not allocator.return_large_buffers():
        pytest.skip("this C library has no such setting")
    grown = {
        words: int(
            subprocess.run([sys.executable, "-c", STORY, *words], capture_output=True, check=True, text=True).stdout
        )
        for words in [("settings",), ()]
    }
    assert grown["settings",] < 4096 < 24 * 1024 < grown[()]
