"""What may be said of encrypted content where others can read it. Pure.

Identity of content is SHA-256 inside this machine. Whoever can list a bucket could test guesses of a secret against that, so
that outside an encrypted file's identity is HMAC-SHA256 of its SHA-256 under a key of the epoch that it was encrypted in. A
device compares by computing: the keyed digest of its own content is the object's, or it is not. So a person who left the
team cannot test guesses either against what was written later: each epoch has a key of its own.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dorkyd.core.metadata import EPOCH, HMAC, SHA256, hex_of
from dorkyd.core.model import Digest, Remote

KEYED = "hmac-sha256:"
"""How a keyed digest begins, as a digest does with its algorithm."""


@dataclass(frozen=True, slots=True)
class ContentKey:
    """What makes the keyed digests of one epoch."""

    epoch: str
    secret: bytes = field(repr=False)

    def keyed(self, digest: Digest) -> str:
        """The keyed digest, hexadecimal."""
        return hmac.new(self.secret, bytes.fromhex(hex_of(digest)), hashlib.sha256).hexdigest()

    def word(self, digest: Digest) -> str:
        """As `Remote.sealed`."""
        return f"{self.epoch}:{self.keyed(digest)}"


def recognised(remote: Remote, keys: Mapping[str, ContentKey], candidates: Iterable[Digest]) -> Digest | None:
    """Which of these an encrypted object holds. None: none of them, or its key is not here."""
    key = keys.get(remote.epoch or "")
    return None if key is None else next((d for d in candidates if key.word(d) == remote.sealed), None)


def claims_content(remote: Remote) -> bool:
    """It is encrypted, and says what it holds in a way that may be believed."""
    return remote.sealed is not None and not remote.sealed.endswith(":")


def keyed_of(sealed: str) -> str:
    """The keyed digest of `Remote.sealed`, with its algorithm."""
    return KEYED + sealed.partition(":")[2]


def outward(meta: Mapping[str, str], key: ContentKey) -> dict[str, str]:
    """An encrypted object's metadata, from that of its plain bytes: no digest of those stays in it."""
    said = meta.get(SHA256)
    found = {name: value for name, value in meta.items() if name not in {SHA256, HMAC}}
    if said is not None:
        found[HMAC] = key.keyed(Digest(f"sha256:{said}"))
    found[EPOCH] = key.epoch
    return found
