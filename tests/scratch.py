"""Where tests put what they make: in memory where that is large enough, which spares a disk some hundred thousand fsyncs and the
run a third of its time. The files are real ones, and what a disk alone shows is asked of it with `DORKY_FULL=1`.
"""

from __future__ import annotations

import os
import shutil
import tempfile

MEMORY = "/dev/shm"
NEEDED_BYTES = 8 * 1024**3
"""A run makes far less; who has less memory keeps it."""


def choose() -> None:
    """For this process and all that it starts, unless somebody has chosen (`TMPDIR`)."""
    if "TMPDIR" in os.environ or os.environ.get("DORKY_FULL") == "1" or not os.access(MEMORY, os.W_OK | os.X_OK):
        return
    if os.statvfs(MEMORY).f_flag & os.ST_NOEXEC:
        return  # programs of the tests' own lie there as well
    if shutil.disk_usage(MEMORY).free >= NEEDED_BYTES:
        os.environ["TMPDIR"] = MEMORY
        tempfile.tempdir = None
