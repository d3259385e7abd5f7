"""The bytes of a file that is converted, as UTF-8 text in blocks: hashed on the way, unpacked and decoded where asked for."""

from __future__ import annotations

import codecs
import hashlib
import io
from collections.abc import Iterator
from typing import IO

import pyarrow as pa

from dorkyd.core.conversion import Conversion
from dorkyd.errors import Refused

BLOCK_BYTES = 8 * 1024 * 1024
"""Of text at a time, always: enough that a column's fixed cost is small beside its values'."""
RECORD_BYTES = 64 * 1024 * 1024
"""The longest record. What is longer is a quote that nobody closed, or no text."""
_MARKS = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))


class _Hashed(io.RawIOBase):
    """A file whose bytes are hashed as they are read."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file
        self.sha256 = hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1, /) -> bytes:
        data = self._file.read(size)
        self.sha256.update(data)
        return data


class Text:
    """One reading of the input. `digest` holds once `pieces` ended."""

    def __init__(self, file: IO[bytes], asked: Conversion) -> None:
        self._raw = _Hashed(file)
        self._asked = asked
        self._packed = asked.packed
        self._stream: pa.NativeFile | None = None
        self._first = True

    @property
    def digest(self) -> str:
        """SHA-256 of the file's own bytes (packed, where it is packed), hexadecimal."""
        return self._raw.sha256.hexdigest()

    def pieces(self) -> Iterator[bytes]:
        """UTF-8 text without its byte order mark, in pieces of about `BLOCK_BYTES`. `Refused` for what is no such text."""
        decoder = None
        if codecs.lookup(self._asked.encoding).name != "utf-8":
            decoder = codecs.getincrementaldecoder(self._asked.encoding)()
        while True:
            data = self._read()
            if self._first and decoder is None:
                data = self._unmarked(data)
            self._first = False
            if decoder is None:
                piece = data
            else:
                try:
                    piece = decoder.decode(data, final=not data).removeprefix("\ufeff").encode()
                except UnicodeError as exc:
                    what = f"{self._asked.name} is not {self._asked.encoding}"
                    raise Refused(what, code="wrong-encoding", hint="name the encoding it has: --encoding") from exc
            if piece:
                yield piece
            if not data:
                return

    def _read(self) -> bytes:
        if self._packed is None:
            return self._raw.read(BLOCK_BYTES)
        try:
            return self._unpacked()
        except OSError as exc:
            what = f"{self._asked.name} is no whole {self._packed} file"
            raise Refused(what, code="not-packed", hint="fetch or pack it again") from exc

    def _unpacked(self) -> bytes:
        """A whole block, as if it had not been packed: where blocks end must not depend on a library's mood."""
        if self._stream is None:
            self._stream = pa.CompressedInputStream(pa.PythonFile(self._raw, mode="r"), self._packed)
        parts, missing = [], BLOCK_BYTES
        while missing and (part := self._stream.read(missing)):
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def _unmarked(self, data: bytes) -> bytes:
        for mark, encoding in _MARKS:
            if data.startswith(mark):
                what = f"{self._asked.name} is {encoding.upper()}, not UTF-8"
                raise Refused(what, code="not-utf8", hint=f"--encoding {encoding}")
        return data.removeprefix(codecs.BOM_UTF8)


def check_encoding(encoding: str) -> None:
    """`Refused` for a name that is no text encoding."""
    try:
        "".encode(encoding)
    except (LookupError, UnicodeError) as exc:
        what = f"{encoding!r} is no encoding"
        raise Refused(what, code="no-such-encoding", hint="such as utf-8, latin-1, cp1252, utf-16") from exc


def not_utf8(name: str, line: int) -> Refused:
    """The refusal of a text with bytes that are none. Nothing is replaced or left out in silence."""
    return Refused(
        f"{name}: line {line} is not UTF-8",
        code="not-utf8",
        hint="if it is Latin-1 or Windows text: --encoding latin-1, or --encoding cp1252",
    )
