"""Memory that is used again."""

from __future__ import annotations

import ctypes

from dorkyd.pages import PAGE_BYTES
from dorkyd.slabs import SLAB_BYTES, Slabs


def address(view: memoryview) -> int:
    """Where its memory begins."""
    return ctypes.addressof(ctypes.c_char.from_buffer(view))


def test_begins_on_a_page() -> None:
    """So that a file system takes it past the page cache."""
    slab = Slabs().take()
    assert len(slab) == SLAB_BYTES
    assert address(slab) % PAGE_BYTES == 0


def test_is_used_again_once_nothing_refers_to_it() -> None:
    """A slice keeps all of it, whatever became of the rest."""
    slabs = Slabs()
    with slabs.while_in_use():
        slab = slabs.take()
        first = address(slab)
        kept = slab[10:20]
        kept[:] = b"0123456789"
        del slab
        other = slabs.take()
        other[:] = bytes(SLAB_BYTES)
        assert address(other) != first
        assert kept == b"0123456789"
        del kept
        assert address(slabs.take()) == first


def test_is_let_go_when_nobody_downloads() -> None:
    """Free memory is kept while some download runs, and no longer."""
    slabs = Slabs()
    with slabs.while_in_use():
        with slabs.while_in_use():
            del (slab := [slabs.take()])[:]
        assert len(slabs._free) == 1
        held = slabs.take()
    assert not slab
    assert not slabs._free
    del held
    assert not slabs._free
