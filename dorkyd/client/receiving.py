"""A large body straight from its socket: httpx and h11 take 64 KiB at a time and copy each of them four times.

The answer is httpx's, headers and all. What h11 has read of the body comes from there; the rest is read here, into memory that
is used again and can go to a disk past the page cache. h11 does not hear of it, so that the connection is closed after it.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Generator, Iterator
from typing import cast

import httpx2

from dorkyd.beside import Chunk
from dorkyd.slabs import SLAB_BYTES, Slabs

LARGE_BYTES = 8 * SLAB_BYTES
"""A body of fewer bytes is httpx's to read: its connection serves the next request too."""


def chunks(got: httpx2.Response, patience_s: float | None) -> Iterator[Chunk]:
    """The body of an answer whose headers are read. `patience_s`: how long it may stand still. Raises what httpx raises, and
    `OSError`.
    """
    count, stream = _plain_length(got), got.extensions.get("network_stream")
    sock = stream.get_extra_info("socket") if stream is not None else None
    if count < LARGE_BYTES or not isinstance(sock, socket.socket):
        yield from got.iter_bytes(SLAB_BYTES)
        return
    slabs = Slabs()
    # Closing it, which is done last, closes the connection: h11 knows that there is more to come.
    with contextlib.closing(cast("Generator[bytes]", got.iter_raw())) as raw, slabs.while_in_use():
        # All that h11 has, since it gives that out at once, and asks the socket only when it has nothing.
        begun = next(raw, b"")
        sock.settimeout(patience_s)
        while count > 0:
            chunk = slabs.take()[: min(SLAB_BYTES, count)]
            at = min(len(begun), len(chunk))
            chunk[:at], begun = begun[:at], begun[at:]
            try:
                while at < len(chunk):
                    read = sock.recv_into(chunk[at:])
                    if not read:
                        raise httpx2.RemoteProtocolError(f"the connection ended {count - at} bytes early")
                    at += read
            except (OSError, httpx2.HTTPError):
                if at:
                    yield chunk[:at]  # so that none of it need be asked for again
                raise
            count -= at
            yield chunk


def _plain_length(got: httpx2.Response) -> int:
    """How many bytes follow, as they are; 0: they come in another form, or nobody knows."""
    coded = {"Transfer-Encoding", "Content-Encoding"} & {name.title() for name in got.headers}
    length = got.headers.get("Content-Length", "")
    return int(length) if length.isdigit() and not coded else 0
