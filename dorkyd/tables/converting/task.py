"""A conversion in the worker (`dorkyd.tables.worker`): the file to read and the file to write are handed over open."""

from __future__ import annotations

import dataclasses
import errno
from collections.abc import Mapping, Sequence
from typing import IO, Any, cast

from dorkyd.allocator import return_large_buffers
from dorkyd.core.conversion import Conversion
from dorkyd.errors import DorkyError
from dorkyd.tables.converting.run import convert
from dorkyd.tables.worker import Input, Unreadable

TASK = "dorkyd.tables.converting.task:task"


def task(request: Mapping[str, Any], files: Sequence[Input]) -> dict[str, Any]:
    """`asked`: a `Conversion`. Files: what is read, and an empty one that is written."""
    # Blocks are large and short-lived: kept in heaps they would add up to the limit.
    return_large_buffers()
    source, target = files
    try:
        with open(target.fd, "r+b", closefd=False) as out:
            told = convert(Conversion(**request["asked"]), cast("IO[bytes]", source), out, None)
            out.flush()
    except DorkyError as exc:
        raise Unreadable(str(exc), exc.code) from exc
    except OSError as exc:
        if exc.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise Unreadable("there is no space left to make the table", "disk-full") from exc
        raise
    return dataclasses.asdict(told)
