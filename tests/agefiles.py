"""Encrypted objects as whoever holds an identity reads them: two steps of age, and nothing of dorkyd's."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import pyrage

from dorkyd.core.members import KEYS
from dorkyd.keys import OwnKey

HEADER = b"age-encryption.org/v1"
"""How an encrypted object begins."""


def identities(bucket: Mapping[str, bytes], own: OwnKey) -> dict[str, Any]:
    """By epoch: every identity that this key opens, of all that lies in a bucket."""
    found: dict[str, Any] = {}
    for key, data in bucket.items():
        if key.startswith(KEYS) and key.endswith(".age"):
            try:
                text = pyrage.decrypt(data, [own.identity]).decode()
            except pyrage.DecryptError:
                continue
            found[key.split("/")[-2]] = pyrage.x25519.Identity.from_str(text.split()[-1])
    return found


def opened(data: bytes, keys: Mapping[str, Any]) -> bytes | None:
    """What an object holds; None: none of these opens it."""
    out = io.BytesIO()
    try:
        pyrage.decrypt_io(io.BytesIO(data), out, list(keys.values()))
    except (pyrage.DecryptError, OSError):
        return None
    return out.getvalue()
