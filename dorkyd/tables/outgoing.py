"""A file on its way into a bucket by fsspec: nowhere before it is closed, whole then, and not stored at all when its block is left
by an exception; also where a text or a packer lies around it.

Who closes the files of others when something breaks does not tell them why (`fsspec.open`, pandas, pyarrow). So one that is closed
while an exception is on its way that was not when it was opened is not stored either. Whether that was meant nobody can know, so it is
not done silently: `close` raises then, and one that returns has stored it.
"""

from __future__ import annotations

import errno
import io
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

from dorkyd.api.failures import ApiError
from dorkyd.client.places import Target

if TYPE_CHECKING:
    from dorkyd.tables.filesystem import DorkyFileSystem

_MISSING = frozenset({"no-such-artifact", "no-such-project", "no-such-path", "no-such-version", "content-gone"})

_ENDS = (StopIteration, StopAsyncIteration)
"""No errors: what was read has come to its end."""


class WrittenFile(io.BufferedIOBase):
    """A file on its way into a bucket: nowhere before it is closed, and whole then."""

    def __init__(
        self,
        fs: DorkyFileSystem,
        target: Target,
        mode: str,
        metadata: Mapping[str, str] | None,
        *,
        autocommit: bool,
    ) -> None:
        super().__init__()
        self.fs, self.mode = fs, mode
        self.path = f"{target.project}/{target.path}"
        self.autocommit = autocommit
        self._target = target
        self._metadata = metadata
        self._abandoned = False
        self._handled = sys.exception()
        # Readable by this user alone, and without a name.
        self._staged = tempfile.TemporaryFile()  # noqa: SIM115  closed with this

    def writable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any, /) -> int:
        """Take some."""
        return self._staged.write(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move."""
        return self._staged.seek(offset, whence)

    def tell(self) -> int:
        """Where it stands."""
        return self._staged.tell()

    def abandon(self) -> None:
        """It will never be whole: closing it stores nothing."""
        self._abandoned = True

    def commit(self) -> None:
        """Store it; returns once the bucket holds it. `FileExistsError` for `xb` where something is. Nothing is done for what was
        abandoned.
        """
        if self._abandoned:
            self._staged.close()
            return
        self._staged.seek(0)
        none = "*" if self.mode == "xb" else None
        try:
            with as_os(self.path):
                self.fs.client.upload(self._staged, str(self._target), self._metadata, if_none_match=none)
        finally:
            self._staged.close()

    def discard(self) -> None:
        """Store nothing."""
        self.abandon()
        self._staged.close()
        super().close()

    def close(self) -> None:
        """Store it, unless that waits for a transaction's end. May be repeated. `OSError` (`ECANCELED`): not stored, see the module."""
        if self.closed:
            return
        super().close()
        broken = sys.exception()
        if broken is not None and broken is not self._handled and not isinstance(broken, _ENDS) and not self._abandoned:
            self.discard()
            if not isinstance(broken, Exception):
                return  # it ends the program, and nothing that could be caught takes its place
            what = "it is not stored: it was closed while an error was on its way"
            raise OSError(errno.ECANCELED, what, self.path) from broken
        if self.autocommit and not self._staged.closed:
            self.commit()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.discard()
        self.close()

    def __del__(self) -> None:
        """Nobody closed it: it was never said to be whole."""
        if hasattr(self, "_staged"):
            self._staged.close()


class Packed(io.BufferedIOBase):
    """A packer around a file: closing it closes both."""

    def __init__(self, packer: Any, file: WrittenFile) -> None:
        super().__init__()
        self._packer = packer
        self._file = file

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any, /) -> int:
        """Take some."""
        self._packer.write(data)
        return len(memoryview(data).cast("B"))

    def abandon(self) -> None:
        """As `WrittenFile.abandon`."""
        self._file.abandon()

    def close(self) -> None:
        """Store it. May be repeated."""
        if self.closed:
            return
        super().close()
        try:
            self._packer.close()
        except BaseException:
            self.abandon()
            raise
        finally:
            self._file.close()

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self.abandon()
        self.close()


class Text(io.TextIOWrapper):
    """Text around either."""

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            cast("WrittenFile | Packed", self.buffer).abandon()
        self.close()


# --- words ------------------------------------------------------------------------------------------------------------


def missing(path: str) -> FileNotFoundError:
    """Nothing is there."""
    return FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)


@contextmanager
def as_os(path: str) -> Iterator[None]:
    """What programs that know only files expect."""
    try:
        yield
    except ApiError as exc:
        if exc.code in _MISSING:
            raise missing(path) from exc
        if exc.code == "precondition-failed":
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path) from exc
        raise
