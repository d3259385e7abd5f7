"""Hashing beside whoever brings the bytes."""

from __future__ import annotations

import contextlib
import hashlib
import threading

import pytest

from dorkyd.hashing import AHEAD, Hashing

CHUNKS = [bytes([number]) * 5000 for number in range(AHEAD * 3)]


def test_the_digest_is_of_all_chunks_in_order() -> None:
    """However many there are, and of whatever kind."""
    with Hashing() as hashing:
        for chunk in CHUNKS:
            hashing.update(memoryview(chunk))
    assert hashing.hexdigest() == hashlib.sha256(b"".join(CHUNKS)).hexdigest()


def test_the_thread_ends_with_the_block() -> None:
    """Also when the block breaks off."""
    before = threading.active_count()
    with contextlib.suppress(ValueError), Hashing() as hashing:
        hashing.update(CHUNKS[0])
        raise ValueError("broke off")
    assert threading.active_count() == before


def test_without_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system has no more threads the bytes are hashed by whoever brings them."""

    def none_left(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", none_left)
    with Hashing() as hashing:
        for chunk in CHUNKS:
            hashing.update(chunk)
    assert hashing.hexdigest() == hashlib.sha256(b"".join(CHUNKS)).hexdigest()
