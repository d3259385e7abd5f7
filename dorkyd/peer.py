"""Who is at the other end of a Unix socket. Both ends ask: the daemon before it reads, a client before it sends."""

from __future__ import annotations

import socket
import struct
import sys

_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_BYTES = 0, 1, 76
"""macOS and BSD, <sys/un.h>: struct xucred begins with a u_int version and the uid."""


def peer_uid(peer: socket.socket, *, platform: str = sys.platform) -> int:
    """The uid of the process at the other end, as the kernel recorded it when that connected or listened (unix(7),
    getpeereid(3)).
    """
    if platform == "linux":
        ucred = struct.Struct("3i")
        return int(ucred.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, ucred.size))[1])
    return int(struct.unpack_from("=II", peer.getsockopt(_SOL_LOCAL, _LOCAL_PEERCRED, _XUCRED_BYTES))[1])
