"""What glibc's allocator does with the large buffers of transfers: they go back to the system when they are freed.

By default glibc learns: the first part of 8 MiB that is freed raises the size from which blocks are mapped on their own, so
that all later ones come from the heaps, one for each thread, which keep what they once had. A daemon that had moved one
large body held some 60 MB more for good, and each further thread some more (docs/performance.md, *Memory of large bodies*).
A size that is set is not changed by learning (mallopt(3)). Elsewhere nothing is done: other allocators do not do this.
"""

from __future__ import annotations

import ctypes

MAPPED_BYTES = 2 * 1024 * 1024
"""Blocks from this size on are mapped on their own. Parts and fetched pieces are larger; what is handed from function to
function (a MiB at most) is smaller, since mapping costs the system a page fault every 4 KiB."""
KEPT_BYTES = 4 * 1024 * 1024
"""So much free memory at the end of the main heap stays for the next use."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h."""


def return_large_buffers() -> bool:
    """For this process, from here on. False: its C library has no such setting, and nothing was changed."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:
        return False
    mallopt.argtypes, mallopt.restype = [ctypes.c_int, ctypes.c_int], ctypes.c_int
    return bool(mallopt(_MMAP_THRESHOLD, MAPPED_BYTES) and mallopt(_TRIM_THRESHOLD, KEPT_BYTES))
