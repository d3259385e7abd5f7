"""Object metadata: what `dorky-*` keys say, and what they may be trusted for.

The reader is total: a bucket may hold anything. A value that is malformed reads as *not said*, never as an error, since
another tool's object must sync all the same.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from urllib.parse import quote, unquote

from dorkyd.core.model import ANCESTRY_OPS, PERMISSION_BITS, Digest, Local, Op, Remote, Version

SHA256 = "dorky-sha256"
MTIME = "dorky-mtime-ns"
MODE = "dorky-mode"
DEVICE = "dorky-device"
OP = "dorky-op"
ANCESTRY = "dorky-ancestry"
BATCH = "dorky-batch"
"""The atomic batch that the object belongs to until a log entry names it complete (`dorkyd.core.batches`)."""

HMAC = "dorky-hmac"
"""Of an encrypted object, in the place of a digest: HMAC-SHA256 of the content's SHA-256 under its epoch's key."""
EPOCH = "dorky-key"
"""Of an encrypted object: the epoch whose identity opens it (`dorkyd.core.members`)."""
CODEC = "dorky-codec"
"""What was done to the bytes before they were encrypted: `zstd`."""
ENCODING = "dorky-encoding"
"""What was done to bytes that are not encrypted: `zstd`. Said in `Content-Encoding` too where the store has that."""
SIZE = "dorky-size"
"""Of bytes that are packed and not encrypted: how many they are, unpacked. Never of what is encrypted."""
HOW_STORED = frozenset({HMAC, EPOCH, CODEC, ENCODING, SIZE})
"""Keys that say how an object's bytes are stored. They go with the bytes: a copy of the bytes carries them along, and who
sends bytes anew writes them anew (`dorkyd.sealing`). They are no person's own.
"""

OURS = frozenset({SHA256, MTIME, MODE, DEVICE, OP, ANCESTRY, BATCH})
"""Keys that sync writes itself; all others are a person's and are carried along. So a write that replaces a member of a
batch belongs to none.
"""

UNKNOWN_OP = Op("unknown")
"""Stands in the journal for the op of a state that was never looked at (`Remote.proved`). No object can carry it."""

_HEX64 = re.compile(r"[0-9a-f]{64}")
_OP = re.compile(r"[0-9a-f]{16,64}")
_EPOCH = re.compile(r"[0-9a-z][0-9a-z-]{0,63}")
_INT = re.compile(r"-?[0-9]{1,19}")
_SIZE = re.compile(r"[0-9]{1,18}")
_OCTAL = re.compile(r"[0-7]{1,6}")
_MTIME_LIMIT = 2**63


def sha256(hex_digits: str) -> Digest:
    """A digest from the hexadecimal form of a SHA-256."""
    return Digest(f"sha256:{hex_digits}")


def hex_of(digest: Digest) -> str:
    """The hexadecimal digits of a digest, without its algorithm."""
    return digest.partition(":")[2]


def encode(
    *,
    digest: Digest,
    mtime_ns: int | None,
    mode: int | None,
    device: str,
    op: Op,
    ancestry: tuple[Op, ...],
    user: Mapping[str, str],
) -> dict[str, str]:
    """The whole user metadata of an object we write: ours, and a person's own keys unchanged."""
    meta = {key: value for key, value in user.items() if key not in OURS}
    meta[SHA256] = hex_of(digest)
    if mtime_ns is not None:
        meta[MTIME] = str(mtime_ns)
    if mode is not None:
        meta[MODE] = f"{mode & PERMISSION_BITS:03o}"
    meta[DEVICE] = quote(device, safe=" !#$&'()*+,-./:;<=>?@[]^_`{|}~")
    meta[OP] = op
    if ancestry:
        meta[ANCESTRY] = " ".join(ancestry[:ANCESTRY_OPS])
    return meta


def descend(replaced: Remote | None) -> tuple[Op, ...]:
    """The ancestry of a write that replaces an object state."""
    if replaced is None or replaced.op is None:
        return ()
    return (replaced.op, *replaced.ancestry)[:ANCESTRY_OPS]


def user_keys(meta: Mapping[str, str]) -> dict[str, str]:
    """A person's own keys, and those that go with the bytes."""
    return {key: value for key, value in meta.items() if key not in OURS}


def how_stored(meta: Mapping[str, str]) -> dict[str, str]:
    """The keys that go with the bytes."""
    return {key: value for key, value in meta.items() if key in HOW_STORED}


def content_encoding(meta: Mapping[str, str]) -> str | None:
    """What HTTP shall say of the object's bytes, so that other tools unpack them."""
    return "zstd" if meta.get(ENCODING) == "zstd" else None


def plain_size(meta: Mapping[str, str], stored: int) -> int:
    """Bytes of what an object of `stored` bytes holds, as far as it says so: those stored, unless they are packed and plain."""
    said = meta.get(SIZE, "")
    packed = meta.get(ENCODING) == "zstd" and sealed_word(meta) is None
    return int(said) if packed and _SIZE.fullmatch(said) else stored


def sealed_word(meta: Mapping[str, str]) -> str | None:
    """As `Remote.sealed`: which epoch's key opens the object, and the keyed digest of what it holds. None: it is plain. An
    epoch without a digest that makes sense is encrypted all the same.
    """
    epoch = meta.get(EPOCH, "")
    if not is_epoch(epoch):
        return None
    keyed = meta.get(HMAC, "")
    return f"{epoch}:{keyed if _HEX64.fullmatch(keyed) else ''}"


def is_epoch(said: str) -> bool:
    """It can be the name of an epoch of the project's keys."""
    return _EPOCH.fullmatch(said) is not None


def remote_of(version: Version, size: int, modified: int | None, meta: Mapping[str, str]) -> Remote:
    """Read an object state. A claimed digest counts only beside an op: without one, another tool's write may have
    kept our keys by chance.
    """
    op_text = meta.get(OP, "")
    op = Op(op_text) if _OP.fullmatch(op_text) else None
    digest_text = meta.get(SHA256, "")
    mode_text = meta.get(MODE, "")
    mtime_text = meta.get(MTIME, "")
    ancestry = tuple(Op(word) for word in meta.get(ANCESTRY, "").split()[:ANCESTRY_OPS] if _OP.fullmatch(word))
    mtime_ns = int(mtime_text) if _INT.fullmatch(mtime_text) else None
    sealed = sealed_word(meta)
    # What says the digest of its plain bytes, too, was not written by us: nobody who can list the bucket shall test guesses.
    claimed = op is not None and sealed is None and _HEX64.fullmatch(digest_text) is not None
    return Remote(
        version=version,
        size=plain_size(meta, size),
        digest=sha256(digest_text) if claimed else None,
        mode=int(mode_text, 8) & PERMISSION_BITS if _OCTAL.fullmatch(mode_text) else None,
        mtime_ns=mtime_ns if mtime_ns is not None and abs(mtime_ns) < _MTIME_LIMIT else None,
        modified=modified,
        op=op,
        ancestry=ancestry,
        device=unquote(meta[DEVICE])[:255] if DEVICE in meta else None,
        own=own_text(meta),
        batch=batch_of(meta) if op else None,
        sealed=sealed,
    )


def batch_of(meta: Mapping[str, str]) -> str | None:
    """The batch that an object belongs to; None: none, or nothing that can be one's name."""
    said = meta.get(BATCH, "")
    return said if is_batch(said) else None


def is_batch(said: str) -> bool:
    """It can be the name of a batch."""
    return _OP.fullmatch(said) is not None


def own_text(meta: Mapping[str, str]) -> str:
    """A person's own keys, as `Remote.own` has them."""
    own = {key: _utf8(value) for key, value in user_keys(meta).items() if key not in HOW_STORED}
    return json.dumps(own, sort_keys=True, separators=(",", ":")) if own else ""


def _utf8(value: str) -> str:
    return value.encode(errors="replace").decode()


def disowned(remote: Remote, digest: Digest | None) -> Remote:
    """A state that claims our op and is another tool's write, which kept our metadata: nobody's op, made after ours.
    `digest` is what its bytes were found to be, None: not known.
    """
    ancestry = (*((remote.op,) if remote.op else ()), *remote.ancestry)[:ANCESTRY_OPS]
    return Remote(
        remote.version,
        remote.size,
        digest=digest,
        modified=remote.modified,
        mode=remote.mode,
        ancestry=ancestry,
        own=remote.own,
        # That it is encrypted still holds; what it says of its content is of another state.
        sealed=f"{remote.epoch}:" if remote.sealed is not None else None,
    )


def carries(remote: Remote, local: Local) -> bool:
    """The object is known to hold exactly this file's bytes."""
    return remote.digest == local.digest
