"""Objects, generations and preconditions. One lock guards each step, so every condition is judged in the step of its write."""

from __future__ import annotations

import base64
import hashlib
import itertools
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from threading import RLock
from typing import Any

import google_crc32c

NAME_BYTES = 1024
"""The longest object name (https://cloud.google.com/storage/docs/objects#naming)."""
WRITABLE = ("contentType", "contentEncoding", "contentLanguage", "contentDisposition", "cacheControl", "storageClass")
"""Fields of an object that a request may set, beside `metadata`."""


class Refusal(Exception):
    """An answer that is no success: status, Google's reason and text."""

    def __init__(self, status: int, reason: str, message: str, *, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after = retry_after


class Sums:
    """Of bytes as they come."""

    def __init__(self) -> None:
        self._crc32c = google_crc32c.Checksum()
        self._md5 = hashlib.md5(usedforsecurity=False)

    def add(self, data: bytes) -> None:
        """The next of them."""
        self._crc32c.update(data)
        self._md5.update(data)

    def told(self) -> dict[str, str]:
        """As the API writes them: base64, the CRC32C big-endian."""
        found = {"crc32c": self._crc32c.digest(), "md5Hash": self._md5.digest()}
        return {name: base64.b64encode(digest).decode() for name, digest in found.items()}


def sums_of(data: bytes | bytearray) -> dict[str, str]:
    """Of all of them."""
    sums = Sums()
    sums.add(bytes(data))
    return sums.told()


@dataclass(frozen=True, slots=True)
class Blob:
    """One state of an object."""

    bucket: str
    name: str
    data: bytes | bytearray = field(repr=False)
    """Never changed."""
    generation: int
    metageneration: int
    fields: Mapping[str, Any]
    """`metadata` and those of `WRITABLE` that were given."""
    created_ns: int
    updated_ns: int
    crc32c: str
    md5: str | None
    """None for what was composed."""
    deleted_ns: int | None = None
    """When it was replaced or deleted; None: it is live."""

    def resource(self) -> dict[str, Any]:
        """As the API tells it."""
        told = {
            "kind": "storage#object",
            "id": f"{self.bucket}/{self.name}/{self.generation}",
            "bucket": self.bucket,
            "name": self.name,
            "generation": str(self.generation),
            "metageneration": str(self.metageneration),
            "size": str(len(self.data)),
            "crc32c": self.crc32c,
            "etag": base64.b64encode(f"{self.generation}/{self.metageneration}".encode()).decode(),
            "timeCreated": _rfc3339(self.created_ns),
            "updated": _rfc3339(self.updated_ns),
            **self.fields,
        }
        if self.md5 is not None:
            told["md5Hash"] = self.md5
        if self.deleted_ns is not None:
            told["timeDeleted"] = _rfc3339(self.deleted_ns)
        return told


@dataclass(frozen=True, slots=True)
class Conditions:
    """The preconditions of one request; None: not asked for."""

    generation: int | None = None
    generation_not: int | None = None
    metageneration: int | None = None
    metageneration_not: int | None = None

    @classmethod
    def of(cls, query: Mapping[str, str], side: str = "") -> Conditions:
        """From `if{side}GenerationMatch` and its like."""

        def number(name: str) -> int | None:
            text = query.get(name)
            if text is None:
                return None
            if not text.isascii() or not text.isdigit():
                raise Refusal(400, "invalid", f"Invalid value for {name}")
            return int(text)

        return cls(
            number(f"if{side}GenerationMatch"),
            number(f"if{side}GenerationNotMatch"),
            number(f"if{side}MetagenerationMatch"),
            number(f"if{side}MetagenerationNotMatch"),
        )

    def judge(self, found: Blob | None, *, reading: bool = False) -> None:
        """Refuse what does not hold. A generation of 0 stands for no object."""
        generation = 0 if found is None else found.generation
        metageneration = None if found is None else found.metageneration
        if self.generation is not None and self.generation != generation:
            raise _failed("ifGenerationMatch")
        if self.metageneration is not None and self.metageneration != metageneration:
            raise _failed("ifMetagenerationMatch")
        for unwanted, there in ((self.generation_not, generation), (self.metageneration_not, metageneration)):
            if unwanted is not None and unwanted == there:
                raise Refusal(304, "notModified", "Not Modified") if reading else _failed("ifGenerationNotMatch")


def _failed(name: str) -> Refusal:
    return Refusal(412, "conditionNotMet", f"At least one of the pre-conditions you specified did not hold. ({name})")


@dataclass(slots=True)
class _Bucket:
    name: str
    versioning: bool
    live: dict[str, Blob] = field(default_factory=dict)
    old: list[Blob] = field(default_factory=list)


@dataclass(slots=True)
class _Rewrite:
    source: Blob
    goal: tuple[str, str]
    body: Mapping[str, Any] | None
    done_bytes: int = 0


class Store:
    """All buckets. `rewrite_bytes` is how much one rewrite call copies before it asks to be called again."""

    def __init__(self, *, rewrite_bytes: int = 4 * 1024 * 1024) -> None:
        self.lock = RLock()
        self.rewrite_bytes = rewrite_bytes
        self._buckets: dict[str, _Bucket] = {}
        self._rewrites: dict[str, _Rewrite] = {}
        self._generations = itertools.count(time.time_ns() // 1000)

    # buckets

    def make_bucket(self, name: str, *, versioning: bool = False) -> dict[str, Any]:
        """Create one."""
        with self.lock:
            if name in self._buckets:
                raise Refusal(409, "conflict", "You already own this bucket.")
            self._buckets[name] = _Bucket(name, versioning)
            return self.bucket(name)

    def bucket(self, name: str) -> dict[str, Any]:
        """As the API tells it."""
        found = self._bucket(name)
        return {"kind": "storage#bucket", "id": name, "name": name, "versioning": {"enabled": found.versioning}}

    def drop_bucket(self, name: str) -> None:
        """Remove an empty one."""
        with self.lock:
            if self._bucket(name).live:
                raise Refusal(409, "conflict", "The bucket you tried to delete is not empty.")
            del self._buckets[name]

    def live(self, bucket: str) -> dict[str, Blob]:
        """A copy of what is there now, for tests."""
        with self.lock:
            return dict(self._bucket(bucket).live)

    # objects

    def look(self, bucket: str, name: str, conditions: Conditions, generation: int | None = None) -> Blob:
        """One state: the live one, or that of a generation."""
        with self.lock:
            found = self._bucket(bucket).live.get(name)
            if generation is not None and (found is None or found.generation != generation):
                old = self._bucket(bucket).old
                found = next((b for b in old if (b.name, b.generation) == (name, generation)), None)
            if found is None:
                raise Refusal(404, "notFound", f"No such object: {bucket}/{name}")
            conditions.judge(found, reading=True)
            return found

    def write(
        self,
        bucket: str,
        name: str,
        data: bytes | bytearray,
        given: Mapping[str, Any],
        conditions: Conditions,
        *,
        composed: bool = False,
        sums: Mapping[str, str] | None = None,
    ) -> Blob:
        """Replace an object, or create it. Sums that the request gave must be those of the bytes.

        `sums`: theirs, where they are known: to sum up gigabytes takes longer than a client waits for an answer.
        """
        check_name(name)
        if sums is None:
            sums = sums_of(data)
        for key, label in (("crc32c", "CRC32C"), ("md5Hash", "MD5 hash")):
            if given.get(key) not in {None, sums[key]}:
                raise Refusal(
                    400, "invalid", f'Provided {label} "{given[key]}" doesn\'t match calculated {label} "{sums[key]}".'
                )
        with self.lock:
            place = self._bucket(bucket)
            before = place.live.get(name)
            conditions.judge(before)
            now = time.time_ns()
            made = Blob(
                bucket,
                name,
                data,
                next(self._generations),
                1,
                _fields(given),
                now,
                now,
                sums["crc32c"],
                None if composed else sums["md5Hash"],
            )
            if before is not None and place.versioning:
                place.old.append(replace(before, deleted_ns=now))
            place.live[name] = made
            return made

    def patch(self, bucket: str, name: str, given: Mapping[str, Any], conditions: Conditions) -> Blob:
        """Change metadata in place: the generation stays, the metageneration rises."""
        with self.lock:
            found = self._bucket(bucket).live.get(name)
            if found is None:
                raise Refusal(404, "notFound", f"No such object: {bucket}/{name}")
            conditions.judge(found)
            fields = {**found.fields, **{key: value for key, value in given.items() if key in WRITABLE}}
            if "metadata" in given:
                merged = {**found.fields.get("metadata", {}), **(given["metadata"] or {})}
                fields["metadata"] = {key: value for key, value in merged.items() if value is not None}
            made = replace(found, fields=fields, metageneration=found.metageneration + 1, updated_ns=time.time_ns())
            self._bucket(bucket).live[name] = made
            return made

    def delete(self, bucket: str, name: str, conditions: Conditions, generation: int | None = None) -> None:
        """Delete the live state (kept as an old one under versioning), or exactly one generation for good."""
        with self.lock:
            place = self._bucket(bucket)
            found = place.live.get(name)
            if generation is not None and (found is None or found.generation != generation):
                kept = [blob for blob in place.old if (blob.name, blob.generation) != (name, generation)]
                if len(kept) == len(place.old):
                    raise Refusal(404, "notFound", f"No such object: {bucket}/{name}")
                place.old = kept
                return
            if found is None:
                raise Refusal(404, "notFound", f"No such object: {bucket}/{name}")
            conditions.judge(found)
            del place.live[name]
            if place.versioning and generation is None:
                place.old.append(replace(found, deleted_ns=time.time_ns()))

    def copy(
        self,
        source: tuple[str, str],
        goal: tuple[str, str],
        body: Mapping[str, Any] | None,
        conditions: Conditions,
        source_conditions: Conditions,
        *,
        source_generation: int | None = None,
    ) -> Blob:
        """Copy in one step. A body replaces all that describes the object; none keeps the source's."""
        with self.lock:
            found = self._source(source, source_conditions, source_generation)
            return self._copied(found, goal, body, conditions)

    def rewrite(
        self,
        source: tuple[str, str],
        goal: tuple[str, str],
        body: Mapping[str, Any] | None,
        conditions: Conditions,
        source_conditions: Conditions,
        *,
        token: str | None = None,
        source_generation: int | None = None,
    ) -> dict[str, Any]:
        """As `copy`, in as many calls as the size wants. Conditions are judged in each of them."""
        with self.lock:
            found = self._source(source, source_conditions, source_generation)
            self._bucket(goal[0])
            conditions.judge(self._bucket(goal[0]).live.get(goal[1]))
            if token is None:
                token = secrets.token_hex(16)
                self._rewrites[token] = _Rewrite(found, goal, body)
            work = self._rewrites.get(token)
            if work is None or work.goal != goal or work.body != body or work.source.generation != found.generation:
                raise Refusal(400, "invalid", "The rewrite token does not belong to this request.")
            work.done_bytes = min(len(found.data), work.done_bytes + self.rewrite_bytes)
            told: dict[str, Any] = {
                "kind": "storage#rewriteResponse",
                "totalBytesRewritten": str(work.done_bytes),
                "objectSize": str(len(found.data)),
                "done": work.done_bytes == len(found.data),
            }
            if not told["done"]:
                return {**told, "rewriteToken": token}
            del self._rewrites[token]
            return {**told, "resource": self._copied(found, goal, body, conditions).resource()}

    def _copied(
        self, found: Blob, goal: tuple[str, str], body: Mapping[str, Any] | None, conditions: Conditions
    ) -> Blob:
        sums = None if found.md5 is None else {"crc32c": found.crc32c, "md5Hash": found.md5}
        return self.write(*goal, found.data, body or found.fields, conditions, sums=sums)

    def compose(self, bucket: str, name: str, body: Mapping[str, Any], conditions: Conditions) -> Blob:
        """Join up to 32 objects."""
        with self.lock:
            data = b""
            for part in body.get("sourceObjects", ()):
                found = self._bucket(bucket).live.get(part["name"])
                if found is None:
                    raise Refusal(404, "notFound", f"No such object: {bucket}/{part['name']}")
                wanted = part.get("objectPreconditions", {}).get("ifGenerationMatch")
                Conditions(generation=None if wanted is None else int(wanted)).judge(found)
                data += found.data
            return self.write(bucket, name, data, body.get("destination", {}), conditions, composed=True)

    def list(self, bucket: str, query: Mapping[str, str]) -> dict[str, Any]:
        """One page, in the order of the names' UTF-8 bytes."""
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        first, end = query.get("startOffset", "").encode(), query.get("endOffset", "").encode()
        count = min(int(query.get("maxResults", 1000)), 1000)
        after = base64.urlsafe_b64decode(query["pageToken"]) if query.get("pageToken") else None
        with self.lock:
            place = self._bucket(bucket)
            blobs = [*place.live.values(), *(place.old if query.get("versions", "").lower() == "true" else ())]
        names: dict[bytes, list[Blob]] = {}
        for blob in blobs:
            key = blob.name.encode()
            if not blob.name.startswith(prefix) or key < first or (end and key >= end):
                continue
            cut = blob.name.find(delimiter, len(prefix)) if delimiter else -1
            shown = key if cut < 0 else blob.name[: cut + len(delimiter)].encode()
            if after is None or shown > after:
                names.setdefault(shown, []).append(blob)
        page = sorted(names)[:count]
        told: dict[str, Any] = {"kind": "storage#objects"}
        items = [
            blob.resource()
            for shown in page
            for blob in sorted(names[shown], key=lambda blob: blob.generation)
            if blob.name.encode() == shown
        ]
        prefixes = [shown.decode() for shown in page if names[shown][0].name.encode() != shown]
        if items:
            told["items"] = items
        if prefixes:
            told["prefixes"] = prefixes
        if len(names) > count:
            told["nextPageToken"] = base64.urlsafe_b64encode(page[-1]).decode()
        return told

    def _bucket(self, name: str) -> _Bucket:
        found = self._buckets.get(name)
        if found is None:
            raise Refusal(404, "notFound", "The specified bucket does not exist.")
        return found

    def _source(self, source: tuple[str, str], conditions: Conditions, generation: int | None) -> Blob:
        try:
            return self.look(*source, conditions, generation)
        except Refusal as refusal:
            if refusal.status == 304:
                raise _failed("ifSourceGenerationNotMatch") from None
            raise


def check_name(name: str) -> None:
    """Refuse what no object may be called."""
    if not name or name in {".", ".."} or set(name) & {"\r", "\n"} or len(name.encode()) > NAME_BYTES:
        raise Refusal(400, "invalid", "Invalid object name.")


def _fields(given: Mapping[str, Any]) -> dict[str, Any]:
    fields = {key: given[key] for key in WRITABLE if given.get(key) is not None}
    meta = given.get("metadata")
    if meta:
        if not all(isinstance(key, str) and isinstance(value, str) for key, value in meta.items()):
            raise Refusal(400, "invalid", "Metadata must be text.")
        fields["metadata"] = dict(meta)
    return fields


def _rfc3339(at_ns: int) -> str:
    return (
        datetime.fromtimestamp(at_ns // 1_000_000 / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    )
