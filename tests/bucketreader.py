"""What somebody who can read all of a bucket sees, searched for what they must not learn: every object's key, bytes and metadata,
each former version that the store keeps, and what stands in documents of ours as JSON.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import zstandard

from dorkyd.buckets.probe import layers
from dorkyd.ports import Bucket, Versioned


@dataclass(slots=True)
class View:
    """All of a bucket."""

    texts: dict[str, bytes] = field(default_factory=dict)
    """Where it was seen, and what."""
    values: dict[str, list[object]] = field(default_factory=dict)
    """Numbers and texts that stand alone: values of metadata, and in JSON."""

    def places(self, beginning: str) -> list[str]:
        """Keys that were seen with this beginning."""
        return [place for place in self.texts if place.startswith(f"bytes of {beginning}")]


def view(bucket: Bucket) -> View:
    """Read everything, past all that decrypts: `bucket` is the store."""
    seen = View()
    for page in bucket.list():
        for listed in page:
            with bucket.get(listed.key) as reading:
                _take(seen, listed.key, b"".join(map(bytes, reading)), reading.info.meta)
    store = next((layer for layer in layers(bucket) if isinstance(layer, Versioned)), None)
    if store is not None and bucket.versioned:
        for versions in store.versions(""):
            for state in versions:
                if not state.deleted and not state.current:
                    with store.open_version(state.key, state.id) as reading:
                        _take(seen, f"{state.key}@{state.id}", b"".join(map(bytes, reading)), reading.info.meta)
    return seen


def untold(seen: View, secrets: Iterable[bytes]) -> None:
    """Of no secret anything is told: bytes, SHA-256 and MD5 (hexadecimal, base64, whole or the first digits in a name), length."""
    for secret in secrets:
        for place, text in seen.texts.items():
            for what, sign in _signs(secret):
                assert sign not in text, f"{what} of a secret of {len(secret)} bytes in {place}"
        for place, values in seen.values.items():
            assert len(secret) not in values, f"the length {len(secret)} in {place}"
            assert str(len(secret)) not in values, f"the length {len(secret)} in {place}"


def _take(seen: View, key: str, data: bytes, meta: dict[str, str] | object) -> None:
    told = dict(meta)  # type: ignore[call-overload]
    seen.texts[f"key {key}"] = key.encode()
    seen.texts[f"bytes of {key}"] = data
    if data.startswith(zstandard.FRAME_HEADER):
        seen.texts[f"unpacked bytes of {key}"] = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    seen.texts[f"metadata of {key}"] = json.dumps(told).encode()
    seen.values[f"metadata of {key}"] = list(told.values())
    if key.startswith(".dorky/") and data[:1] in b"{[":
        seen.values[f"words of {key}"] = list(_leaves(json.loads(data)))


def _leaves(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for one in value.values():
            yield from _leaves(one)
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(one)
    elif isinstance(value, str | int) and not isinstance(value, bool):
        yield value


def _signs(secret: bytes) -> Iterator[tuple[str, bytes]]:
    yield "the bytes", secret
    for name, digest in (
        ("SHA-256", hashlib.sha256(secret).digest()),
        ("MD5", hashlib.md5(secret, usedforsecurity=False).digest()),
    ):
        yield f"the {name}", digest
        yield f"the {name} in hexadecimal", digest.hex().encode()
        yield f"the {name} in base64", base64.b64encode(digest)
        yield f"the {name} in base64 for URLs", base64.urlsafe_b64encode(digest).rstrip(b"=")
