"""Which methods of the ports and which system calls change something, told by the protocols themselves.

What reads is named here; whatever else a protocol has changes something and is a kill point. So a method that is added to
a port is one at once, and fails the tests until a story passes it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from dorkyd import ports


@dataclass(frozen=True, slots=True)
class Port:
    """A protocol and what of it changes nothing."""

    protocol: type[Any]
    reading: frozenset[str]

    @property
    def methods(self) -> frozenset[str]:
        """All that it has."""
        return frozenset(name for name in vars(self.protocol) if not name.startswith("_"))

    @property
    def changing(self) -> frozenset[str]:
        """What is a step."""
        return self.methods - self.reading


BUCKET = Port(
    ports.Bucket,
    frozenset({"url", "versioned", "requests", "sessions_over", "head", "get", "read", "list", "close"}),
)
FOLDER = Port(
    ports.Folder,
    frozenset({
        "folds", "identity", "marker_inode", "root_exists", "root_names", "unlock", "scan", "entries", "observe", "now_ns", "open",
        "stands", "taken_by", "tree_of", "staged", "staged_size", "staged_digest", "open_staged", "trash", "trash_digest",
        "kept", "all_kept", "peek",
    }),
)  # fmt: skip
"""`lock` counts as a step: it makes a file."""

OS_STEPS = frozenset(
    name
    for name in (
        "rename", "replace", "link", "symlink", "unlink", "remove", "mkdir", "rmdir", "chmod", "fchmod", "chown", "utime",
        "write", "pwrite", "writev", "ftruncate", "truncate", "copy_file_range", "fsync", "fdatasync", "open", "mknod", "mkfifo",
        "setxattr", "sendfile",
    )
    if hasattr(os, name)
)  # fmt: skip
"""What changes a file system. `open` when it may create."""
