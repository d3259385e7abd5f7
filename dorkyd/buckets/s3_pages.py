"""Pages of a listing, parsed in a twentieth of the SDK's time: it spends 60 microseconds on a key, most of it on shapes.

The SDK parses the page without its entries. A page whose entries are not written in the one plain form that every known
store writes is left to the SDK whole.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple
from xml.sax.saxutils import unescape

_OPEN, _CLOSE = "<Contents>", "</Contents>"
_QUOTE = r'(?:&quot;|&#34;|&#x22;|")?'
_VALUES = {
    "<Key>": "([^<]+)",
    "<ETag>": f'{_QUOTE}([^<&"]*){_QUOTE}',
    "<Size>": "([0-9]+)",
    "<LastModified>": "([^<&]+)",
}
"""What stands behind each of the four tags that count."""
_ANY_ENTRY = re.compile(
    f"{_OPEN}(?:"
    + "|".join(f"{tag}{value}</{tag[1:]}" for tag, value in _VALUES.items())
    + f"|<(?!/?(?:Contents|{'|'.join(tag[1:-1] for tag in _VALUES)})>)[^<>]*>[^<]*)*{_CLOSE}"
)
"""An entry in whatever order its tags are."""
_TAG = re.compile(r"(<[^<>]*>)([^<]*)")
_OTHER_REFERENCE = re.compile(r"&(?!amp;|lt;|gt;)")


ROWS = "dorkyd"
"""Where the entries of a page that was parsed here lie in the SDK's reply."""


class Row(NamedTuple):
    """An object, as a page tells it."""

    key: str
    """Encoded as the page says."""
    etag: str
    """Without its quotes."""
    size: int
    modified: int | None
    """Whole seconds since the epoch."""


def install(client: Any) -> None:
    """Have a boto3 client's listings parsed here."""
    client.meta.events.register("before-parse.*.ListObjectsV2", _before_parse)


def rows(reply: Mapping[str, Any]) -> Sequence[Row]:
    """What a reply of the SDK's lists, whoever parsed it."""
    mine: Sequence[Row] | None = reply.get(ROWS)
    return mine if mine is not None else list(_from_sdk(reply.get("Contents", ())))


def _before_parse(
    response_dict: MutableMapping[str, Any], customized_response_dict: MutableMapping[str, Any], **_: Any
) -> None:
    body = response_dict["body"]
    if response_dict["status_code"] != 200 or not isinstance(body, bytes):
        return
    parsed = split(body)
    if parsed is not None:
        response_dict["body"], customized_response_dict[ROWS] = parsed


def split(body: bytes) -> tuple[bytes, Sequence[Row]] | None:
    """A page without its entries, and the entries; None: not in the plain form."""
    first, last = body.find(_OPEN.encode()), body.rfind(_CLOSE.encode())
    if first < 0 or last < first or b"<!" in body:
        return None
    last += len(_CLOSE)
    try:
        entries = _entries(body[first:last].decode("utf-8"))
    except ValueError:  # UnicodeDecodeError too
        return None
    return None if entries is None else (body[:first] + body[last:], entries)


def _entries(text: str) -> Sequence[Row] | None:
    """One after the other, with nothing between them."""
    count = text.count(_CLOSE + _OPEN) + 1
    found = _like_the_first(text)
    if len(found) != count:
        found = _ANY_ENTRY.findall(text) if all(text.count(tag) == count for tag in _VALUES) else []
        found = [(key, etag, size, written) for key, etag, size, written in found if key and size and written]
    if len(found) != count or text.count(_OPEN) != count:
        return None
    if "&" in text and _OTHER_REFERENCE.search("".join([each[0] for each in found])) is not None:
        return None
    seconds = {written: _seconds(written) for written in {each[3] for each in found}}
    return [
        Row._make((unescape(key) if "&" in key else key, etag, int(size), seconds[written]))
        for key, etag, size, written in found
    ]


def _like_the_first(text: str) -> Sequence[tuple[str, str, str, str]]:
    """Those entries that have the same tags in the same order as the first one has, as all do where nobody set anything
    for one of them alone.
    """
    tags = _TAG.findall(text[: text.find(_CLOSE)])
    order = [tag for tag, _ in tags if tag in _VALUES]
    if sorted(order) != sorted(_VALUES):
        return []
    like = "".join(re.escape(tag) + ("" if tag[1] == "/" else _VALUES.get(tag, "[^<]*")) for tag, _ in tags)
    found = re.compile(like + _CLOSE).findall(text)
    where = [order.index(tag) for tag in _VALUES]
    return found if where == [0, 1, 2, 3] else list(map(itemgetter(*where), found))


def _seconds(written: str) -> int:
    at = dt.datetime.fromisoformat(written)
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return int(at.timestamp())


def _from_sdk(contents: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    for entry in contents:
        at = entry.get("LastModified")
        yield Row(entry["Key"], entry["ETag"].strip('"'), entry["Size"], None if at is None else int(at.timestamp()))
