"""`.dorky/base/`: what small text files held when both sides last agreed, kept so that two edits can be merged.

Each is a file named by the digest of its bytes, mode 0600. They are no record of anything: a copy that is gone, damaged by
a power cut or never made only means that a conflict stays one.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from contextlib import suppress

from dorkyd.core.metadata import hex_of, sha256
from dorkyd.core.model import Digest
from dorkyd.dirfd import names_in
from dorkyd.faults import faults

BASE = "base"
"""Name of their folder in `.dorky`."""

_NAME = re.compile(r"[0-9a-f]{64}")
_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def put(base: int, digest: Digest, data: bytes) -> None:
    """Keep these bytes. Not synced to the disk: `get` proves them."""
    name = hex_of(digest)
    with faults(f"{BASE}/{name}", "write"):
        fd = os.open(f".{name}", _NEW, 0o600, dir_fd=base)
        with open(fd, "wb") as out:
            out.write(data)
        os.rename(f".{name}", name, src_dir_fd=base, dst_dir_fd=base)


def get(base: int, digest: Digest) -> bytes | None:
    """The bytes of that digest; None: they are not here, whole."""
    name = hex_of(digest)
    with faults(f"{BASE}/{name}", "read"):
        try:
            fd = os.open(name, _READ, dir_fd=base)
        except FileNotFoundError:
            return None
        with open(fd, "rb") as reading:
            data = reading.read()
    return data if sha256(hashlib.sha256(data).hexdigest()) == digest else None


def names(base: int) -> Sequence[Digest]:
    """What is kept."""
    return [sha256(name) for name in names_in(base, BASE) if _NAME.fullmatch(name)]


def remove(base: int, digest: Digest) -> None:
    """Keep it no longer. Absent is fine."""
    name = hex_of(digest)
    with faults(f"{BASE}/{name}", "write"), suppress(FileNotFoundError):
        os.unlink(name, dir_fd=base)
