"""What is handed out of a file's bytes: text where it is text, else base64; of a secret its keys at most. Pure."""

from __future__ import annotations

import base64
import binascii

from dorkyd.api.failures import BadRequest
from dorkyd.core.dotenv import MASK, decode, is_env, masked
from dorkyd.core.model import Path
from dorkyd.errors import Refused

MOST_BYTES = 1024 * 1024
"""Handed out in one answer at most."""
USUAL_BYTES = 64 * 1024
"""Handed out unless more is asked for: what is read costs whoever reads it."""
MOST_STORED = 8 * 1024 * 1024
"""Stored by one call at most; larger files are put by `dorkyctl`."""
_LONGEST = 4
"""Bytes of one character."""


def shown(data: bytes, start: int, end: int) -> tuple[str, str, int, int]:
    """Encoding, content, and where in the file it begins and ends, of `data`, which stands at `start` in a file of `end`
    bytes. Text begins and ends with whole characters.
    """
    first, last = 0, len(data)
    if start > 0:
        while first < min(_LONGEST - 1, last) and data[first] & 0xC0 == 0x80:
            first += 1
    if start + last < end:
        for back in range(1, min(_LONGEST, last - first) + 1):
            lead = data[last - back]
            if lead & 0xC0 != 0x80:
                width = 1 if lead < 0x80 else 2 if lead < 0xE0 else 3 if lead < 0xF0 else 4
                last -= back if width > back else 0
                break
    try:
        text = data[first:last].decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return "base64", base64.b64encode(data).decode("ascii"), start, start + len(data)
    return "utf-8", text, start + first, start + last


def keys_of(path: Path, data: bytes) -> str:
    """What may be seen of a secret: the keys of a `.env` file. Of any other nothing."""
    if not is_env(path):
        return ""
    try:
        return masked(decode(data))
    except Refused:
        return ""


def stored(path: Path, content: str, encoding: str, *, hidden: bool) -> bytes:
    """The bytes that a caller means. `hidden`: it cannot have seen the file's values, so a mask in them was copied."""
    if encoding == "utf-8":
        data = content.encode("utf-8", "surrogatepass")
    else:
        try:
            data = base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError) as exc:
            raise BadRequest("content is not base64.", code="bad-content", hint="Or give encoding `utf-8`.") from exc
    if len(data) > MOST_STORED:
        raise BadRequest(
            f"content has {len(data):,} bytes; at most {MOST_STORED:,} are stored this way.",
            code="too-large",
            hint=f"A person can do it: dorkyctl put FILE NAME:{path}",
        )
    if hidden and MASK.encode() in data:
        raise BadRequest(
            f"content has masked values ({MASK}), which would replace the real ones of {path}.",
            code="masked-content",
            hint=f"A person changes one value with: dorkyctl env set KEY --file {path}",
        )
    return data
