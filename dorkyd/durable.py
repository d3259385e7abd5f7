"""Making a file or a folder's list of names survive a power cut."""

from __future__ import annotations

import errno
import fcntl
import os

_FULL_SYNC: int | None = getattr(fcntl, "F_FULLFSYNC", None)
"""macOS: its fsync(2) says that data may stay in the drive's cache, and names this call for what we need."""


def fsync(fd: int) -> None:
    """Return when what this descriptor shows is on the disk. For a folder: its names."""
    if _FULL_SYNC is not None:
        try:
            fcntl.fcntl(fd, _FULL_SYNC)
        except OSError as exc:
            # File systems that do not know the call (network, FAT) say so; the ordinary one below is their best.
            if exc.errno not in {errno.ENOTSUP, errno.EINVAL, errno.ENOTTY}:
                raise
        else:
            return
    try:
        os.fsync(fd)
    except OSError as exc:
        # fsync(2): EINVAL says that this object has no such thing as syncing, as folders on some FUSE and SMB mounts.
        if exc.errno != errno.EINVAL:
            raise
