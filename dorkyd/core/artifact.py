"""What a client stores through the API, and a client's own metadata on it. Pure.

A client's keys are object metadata beside ours, readable with any tool of the store. Stores carry them as header lines:
names are lower case, values are ASCII. A value with other characters is written as RFC 8187 writes one
(`UTF-8''na%C3%AFve`), which every reader of this module turns back.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from urllib.parse import quote, unquote_to_bytes

from dorkyd.core import metadata
from dorkyd.core.model import ANCESTRY_OPS, Digest, Op, Path, Remote, Version
from dorkyd.core.paths import DEVICE_BYTES
from dorkyd.errors import Refused

MEDIA_TYPE = "dorky-type"
"""The object's media type as its writer gave it. Not one of sync's own keys: an edit in a folder carries it along."""
USUAL_TYPE = "application/octet-stream"
MOST_BYTES = 2048
"""Names and values of an object's user metadata together, ours too: the least that any store takes is S3's 2 KB
(https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingMetadata.html).
"""
ANY = "*"
"""In a condition: whatever there is."""

_EXTENDED = "UTF-8''"
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_PLAIN = re.compile(r"[!-~](?:[ -~]*[!-~])?")
_TYPE = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?")
_OURS = "dorky-"


# --- conditions -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Condition:
    """What a client says an object is before it is written (RFC 9110, section 13.1). Tags are versions or digests."""

    match: tuple[str, ...] | None = None
    """One of these must be there; `*`: any. None: not said."""
    none_match: tuple[str, ...] | None = None
    """None of these may be there; `*`: nothing may."""

    def holds(self, version: str | None, digest: str | None) -> bool:
        """Of an object in this state; `version` None: there is none."""
        if self.match is not None and not _among(self.match, version, digest):
            return False
        return self.none_match is None or not _among(self.none_match, version, digest)


def _among(tags: tuple[str, ...], version: str | None, digest: str | None) -> bool:
    if version is None:
        return False
    return ANY in tags or version in tags or (digest is not None and digest in tags)


# --- what is asked for ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Store:
    """Write an object with a body that came in."""

    path: Path
    staged: str
    """The staged file that holds it, or shall hold it for the folder."""
    digest: Digest
    size: int
    """Bytes."""
    replaces: Version | None
    """The state it replaces; None: there must be none."""
    mtime_ns: int
    mode: int | None
    """Permission bits; None: nobody says."""
    own: Mapping[str, str] | None
    """The client's keys, encoded; None: those of the replaced state stay."""
    media_type: str | None
    """None: that of the replaced state stays."""
    data: bytes | None = field(default=None, repr=False)
    """A small body, whole; None: it is staged already."""
    batch: str | None = None
    """The atomic batch that it is to be a member of."""


@dataclass(frozen=True, slots=True)
class Remove:
    """Delete an object."""

    path: Path
    replaces: Version


@dataclass(frozen=True, slots=True)
class Annotate:
    """Give an object other metadata; its bytes stay."""

    path: Path
    replaces: Version
    op: Op | None
    """Of the state that was looked at: a store's version may not tell two metadata of the same bytes apart."""
    own: Mapping[str, str]
    """All of the client's keys, encoded."""
    media_type: str | None


Asked = Store | Remove | Annotate
"""What a client may ask of one object."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """One object, for a client."""

    path: Path
    digest: Digest | None
    """None: another tool wrote it, and nobody has read it yet."""
    size: int
    version: Version | None
    """None: others have written since, and nobody knows any more."""
    media_type: str
    updated_at: int | None
    """The store's LastModified, whole seconds; None: it tells none."""
    device: str | None
    """Who wrote it; None: another tool."""
    own: Mapping[str, str]
    """The client's metadata, decoded."""
    op: Op | None = None


def artifact_of_remote(path: Path, remote: Remote) -> Artifact:
    """An object as it is remembered."""
    meta = json.loads(remote.own) if remote.own else {}
    return Artifact(
        path=path,
        digest=remote.digest,
        size=remote.size,
        version=remote.version,
        media_type=media_type_of(meta) or USUAL_TYPE,
        updated_at=remote.modified,
        device=remote.device,
        own=own_of(meta),
        op=remote.op,
    )


def as_text(artifact: Artifact) -> str:
    """For a journal."""
    return json.dumps({**asdict(artifact), "own": dict(artifact.own)})


def from_text(text: str) -> Artifact:
    """What `as_text` wrote."""
    return Artifact(**json.loads(text))


def artifact_of(path: Path, version: Version, size: int, modified: int | None, meta: Mapping[str, str]) -> Artifact:
    """An object as a look told it."""
    return artifact_of_remote(path, metadata.remote_of(version, size, modified, meta))


@dataclass(frozen=True, slots=True)
class ArtifactVersion:
    """One state of an object, now or before."""

    path: Path
    digest: Digest | None
    """None: not known."""
    size: int | None
    """None: not known."""
    version: Version
    at: str | None
    """RFC 3339: when it was written, as far as this device knows."""
    device: str | None
    """Who wrote it."""
    current: bool
    """It is what stands there now."""
    trashed: str | None
    """The key of its copy in the bucket's trash, below the project's prefix; None: there is none."""


# --- a client's metadata ----------------------------------------------------------------------------------------------


def own_of(meta: Mapping[str, str]) -> dict[str, str]:
    """The client's keys of an object, decoded. Total: a bucket may hold anything."""
    return {key: _decoded(value) for key, value in meta.items() if not key.startswith(_OURS)}


def media_type_of(meta: Mapping[str, str]) -> str | None:
    """What its writer said; None: nothing, or nothing that can be one."""
    said = meta.get(MEDIA_TYPE)
    return said if said is not None and _TYPE.fullmatch(said) else None


def encoded(own: Mapping[str, str]) -> dict[str, str]:
    """A client's metadata as the object carries it. `Refused` (`bad-metadata`) for what no store takes."""
    return {checked_name(name): encoded_value(value) for name, value in own.items()}


def check_room(meta: Mapping[str, str]) -> None:
    """`Refused` (`metadata-too-large`) when an object's whole metadata does not fit, now or after edits of the file."""
    # Packed it says two words more, or encrypted, which take less.
    packed = {metadata.ENCODING: "zstd", metadata.SIZE: "0" * 18}
    spare = {metadata.ANCESTRY: "0" * (33 * ANCESTRY_OPS), metadata.DEVICE: "%00" * DEVICE_BYTES, **packed}
    taken = {**meta, **{name: max(meta.get(name, ""), value, key=len) for name, value in spare.items()}}
    count = sum(len(name) + len(value) for name, value in taken.items())
    if count > MOST_BYTES:
        raise Refused(
            f"the metadata is {count - MOST_BYTES} bytes too long: with what dorkyd adds it may have {MOST_BYTES}",
            code="metadata-too-large",
            hint="keep long texts in an artifact of their own; characters beyond ASCII count several times",
        )


def checked_type(said: str) -> str:
    """A media type from a client. `Refused` for what cannot be one."""
    if not _TYPE.fullmatch(said):
        raise Refused("that is no media type", code="bad-metadata", hint="write TYPE/SUBTYPE, as text/csv")
    return said


def checked_name(name: str) -> str:
    """A name of metadata from a client. `Refused` (`bad-metadata`) for what can be none."""
    if not _NAME.fullmatch(name) or name.startswith(_OURS):
        raise Refused(
            f"{name[:200]!r} cannot be the name of metadata",
            code="bad-metadata",
            hint="use lower case letters, digits, '.', '_' and '-', at most 128, and not the beginning 'dorky-'",
        )
    return name


def encoded_value(value: str) -> str:
    """A text as an object carries it."""
    plain = _PLAIN.fullmatch(value) is not None and not value.startswith(_EXTENDED)
    return value if plain else _EXTENDED + quote(value, safe="!#$&+-.^_`|~")


def _decoded(value: str) -> str:
    if not value.startswith(_EXTENDED):
        return value
    try:
        return unquote_to_bytes(value.removeprefix(_EXTENDED)).decode()
    except UnicodeDecodeError:
        return value
