"""S3 and what speaks S3: `dorkyd.ports.Bucket` over boto3.

Rules:

1. Every write carries `If-Match` or `If-None-Match`; there is no other path to the store, not even after an error.
2. No write is retried here, nor by botocore: a retry of a write whose reply was lost turns our own success into a 412.
   (`dorkyd.buckets.retry` repeats reads.) The exception is a part of an unfinished upload, which replaces itself.
   botocore still follows a reply that names the bucket's right region, since the store did nothing then.
3. Absence is believed only when the store says `NoSuchKey`, or when a listing of exactly that key lacks it. The 404 of
   a HEAD may as well mean that the bucket is gone.
4. Only object requests and ListObjectsV2: no CreateBucket, HeadBucket, ListBuckets, ACLs. A role limited to one prefix is
   enough.

Conditions: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-requests.html
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from dorkyd.buckets import s3_pages, s3_versions
from dorkyd.buckets.counting import Verb
from dorkyd.buckets.ranges import Ranges, Shape
from dorkyd.buckets.s3_body import Checked
from dorkyd.buckets.s3_calls import Calls, Connection
from dorkyd.buckets.s3_client import connect
from dorkyd.buckets.s3_copies import Copies
from dorkyd.buckets.s3_errors import code_of, status_of
from dorkyd.buckets.s3_names import decoded, encoding_of, metadata_of, parse_url
from dorkyd.buckets.s3_parts import Parts
from dorkyd.buckets.s3_reading import S3Reading, info_of, md5_of, opened, quoted, seconds_of, version_of
from dorkyd.buckets.s3_uploads import Uploads
from dorkyd.buckets.sense import sense
from dorkyd.core.metadata import hex_of
from dorkyd.core.model import Version
from dorkyd.errors import Blocked, Denied, Stale, Transient, Unsupported
from dorkyd.ports import Body, Listed, ObjectInfo, Reading, Requests, Session, Setting, StoredVersion, Written

MIB = 1024 * 1024
KEY_BYTES = 1024
"""The longest key S3 holds (https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html)."""
SINGLE_PUT_BYTES = 5 * 1024 * MIB
"""The largest body of one PutObject."""
FOLDER = '"", ""'
"""The ETag of SeaweedFS's folders, twice: once alone it takes for no condition that could hold."""
Sends = Callable[[dict[str, Any]], dict[str, Any]]
"""Sends one write with the condition given (`IfMatch` or `IfNoneMatch`); its reply."""


class S3Bucket:
    """A bucket of S3 or of a store that speaks it, below one prefix. Versions are ETags without their quotes.

    Credentials come from the SDK's own chain (environment, `profile`, SSO, instance role), read at the first request
    and again after they were refused. `endpoint_url` None is AWS itself. `region` None is the SDK's.
    """

    def __init__(
        self,
        url: str,
        *,
        endpoint_url: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        parts_over_bytes: int = 16 * MIB,
        part_bytes: int = 8 * MIB,
        copy_part_bytes: int = 512 * MIB,
        shape: Shape | None = None,
    ) -> None:
        """`parts_over_bytes`: larger bodies go in parts, of at least `part_bytes` (5 MiB or more, S3's own limit).
        `copy_part_bytes`: as much of a source too large for one request is copied by each. `shape`: how downloads come.
        """
        name, prefix = parse_url(url)
        self._url = url
        self._region = region
        self._profile = profile
        self._endpoint_url = endpoint_url
        self._calls = Calls(self._connect, bucket=name, prefix=prefix, endpoint_url=endpoint_url, profile=profile)
        uploads = Uploads(self._calls)
        self._parts = Parts(self._calls, uploads, part_bytes=part_bytes)
        self._copies = Copies(self._calls, uploads, part_bytes=copy_part_bytes)
        self._ranges = Ranges(partial(opened, self._calls), shape)
        self._single_bytes = parts_over_bytes
        self._versioned = False
        self.missing_denied = False
        """A look at a missing key was answered 403: absence is proven by a listing of exactly that key."""

    def __repr__(self) -> str:
        return f"S3Bucket({self._url!r})"

    @property
    def url(self) -> str:
        """As configured."""
        return self._url

    @property
    def region(self) -> str | None:
        """The bucket's own, once a reply named it; before that as configured; None: the SDK's."""
        return self._region

    @property
    def versioned(self) -> bool:
        """The last body sent in one request was given a version id by the store: versioning is on."""
        return self._versioned

    @property
    def requests(self) -> Requests:
        """Requests sent. Beginning and completing a multipart upload count as PUT, aborting it as DELETE, and the GET or
        LIST that makes sure of an absence as what it is.
        """
        return self._calls.requests

    def head(self, key: str) -> ObjectInfo | None:
        """Look at one object."""
        reply = self._find("HEAD", "head_object", key)
        return None if reply is None else info_of(reply)

    @contextlib.contextmanager
    def get(
        self, key: str, *, if_match: Version | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[Reading]:
        """Open the object's bytes from offset `start` on. What is large comes in ranges, fetched ahead."""
        with contextlib.ExitStack() as closing:
            reading: Reading | None = None
            try:
                # The first reply tells the object's metadata, whatever way the other ranges come.
                first = partial(opened, self._calls)
                reading = closing.enter_context(self._ranges.open(key, if_match, start, stop, opened=first))
            except Exception as error:
                if isinstance(error, Denied):
                    self._exists(key, error)
                if not _unsatisfiable(error):
                    raise
            yield reading or self._at_end(key, if_match, start)

    def read(self, key: str, *, limit: int = 16 * MIB) -> tuple[ObjectInfo, bytes] | None:
        """One small object, whole."""
        reply = self._find("GET", "get_object", key)
        if reply is None:
            return None
        with contextlib.closing(reply["Body"]):
            reading = S3Reading.of(reply, self._calls, key, 0)
            if reading.info.size > limit:
                raise Blocked(f"{key!r} has {reading.info.size} bytes, over the limit of {limit}", code="too-large")
            return reading.info, b"".join(reading)

    @property
    def sessions_over(self) -> int:
        """`parts_over_bytes`."""
        return self._single_bytes

    def begin(self, key: str, size: int, *, replaces: Version | None, meta: Mapping[str, str]) -> Session:
        """Begin an upload in parts. The condition is for the end alone."""
        del replaces
        self._check_key(key)
        return self._parts.begin(key, size, meta=metadata_of(key, meta))

    def abandon(self, key: str, session: Session) -> None:
        """Abort an upload in parts."""
        self._parts.abandon(key, session)

    def put(
        self,
        key: str,
        body: Body,
        *,
        replaces: Version | None,
        meta: Mapping[str, str],
        session: Session | None = None,
    ) -> Written:
        """Write an object. A body over `parts_over_bytes` goes in parts."""
        if session is not None:
            return self._put_in_session(key, body, replaces, metadata_of(key, meta), session)
        if body.size > self._single_bytes:
            return self.put_in_parts(key, body, replaces=replaces, meta=meta)
        self._check_key(key)
        metadata = metadata_of(key, meta)

        def send(condition: dict[str, Any]) -> dict[str, Any]:
            return self._put_whole(key, body, metadata, condition)

        return self._written(self._conditional(key, replaces, send, over_folder=send))

    def put_in_parts(self, key: str, body: Body, *, replaces: Version | None, meta: Mapping[str, str]) -> Written:
        """As `put`, in parts whatever the size, which must not be 0. The probe proves the condition at the end with it."""
        self._check_key(key)
        metadata = metadata_of(key, meta)
        # SeaweedFS answers 500 when parts are to be completed over a folder: that rare body goes again, in one request.
        reply = self._conditional(
            key,
            replaces,
            lambda condition: self._parts.put(key, body, meta=metadata, condition=condition),
            over_folder=lambda condition: self._put_whole(key, body, metadata, condition),
        )
        return Written(version_of(reply["ETag"]))

    def delete(self, key: str, *, replaces: Version) -> None:
        """Delete exactly this state."""
        try:
            self._calls.send("DELETE", "delete_object", key, IfMatch=quoted(replaces))
        except Denied as error:
            self._exists(key, error)
            raise

    def copy(
        self,
        source: str,
        key: str,
        *,
        source_version: Version,
        replaces: Version | None,
        meta: Mapping[str, str] | None,
    ) -> Written:
        """Copy inside the store, in parts where the store refuses the object as too large for one request."""
        self._check_key(key)
        metadata = None if meta is None else metadata_of(key, meta)
        directive: dict[str, Any] = {"MetadataDirective": "COPY"}
        if metadata is not None:
            directive = {"MetadataDirective": "REPLACE", "Metadata": metadata, **encoding_of(metadata)}

        def send(condition: dict[str, Any]) -> dict[str, Any]:
            try:
                return self._calls.send(
                    "COPY",
                    "copy_object",
                    key,
                    CopySource={"Bucket": self._calls.bucket, "Key": self._calls.full(source)},
                    CopySourceIfMatch=quoted(source_version),
                    **directive,
                    **condition,
                )
            except Denied as error:
                self._exists(source, error)
                raise

        try:
            reply = self._conditional(key, replaces, send, over_folder=send)
        except Unsupported as error:
            if error.code != "too-large":
                raise
            return self.copy_in_parts(source, key, source_version=source_version, replaces=replaces, meta=meta)
        result = reply["CopyObjectResult"]
        return Written(version_of(result["ETag"]), seconds_of(result.get("LastModified")))

    def copy_in_parts(
        self,
        source: str,
        key: str,
        *,
        source_version: Version,
        replaces: Version | None,
        meta: Mapping[str, str] | None,
    ) -> Written:
        """As `copy`, in parts whatever the size, which must not be 0. The probe proves the source's condition with it."""
        self._check_key(key)
        try:
            reply = self._copies.copy(
                source,
                key,
                if_match=quoted(source_version),
                meta=None if meta is None else metadata_of(key, meta),
                condition=_condition(replaces),
            )
        except Denied as error:
            self._exists(source, error)
            raise
        return Written(version_of(reply["ETag"]))

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[Sequence[Listed]]:
        """Pages of at most 1,000 keys."""
        params: dict[str, Any] = {"Prefix": self._calls.full(prefix), "EncodingType": "url"}
        if start_after:
            params["StartAfter"] = self._calls.full(start_after)
        while True:
            reply = self._calls.send_raw("LIST", "list_objects_v2", prefix, **params)
            if _LISTING.isdisjoint(reply):
                # A page of HTML is no empty bucket: what is not listed counts as gone.
                raise Transient(
                    f"the store answered something that is no listing of {self._url}", code="malformed-reply"
                )
            with sense():
                page = self._page(reply)
            if page:
                yield page
            if not reply.get("IsTruncated"):
                return
            token = reply.get("NextContinuationToken")
            if not token or token == params.get("ContinuationToken"):
                raise Transient(f"the listing of {self._url} broke off without saying how to go on")
            params["ContinuationToken"] = token

    def versions(self, prefix: str) -> Iterator[Sequence[StoredVersion]]:
        """As `dorkyd.ports.Versioned`."""
        return s3_versions.pages(self._calls, prefix)

    def open_version(self, key: str, id: str) -> contextlib.AbstractContextManager[Reading]:  # noqa: A002 - as the port says
        """As `dorkyd.ports.Versioned`."""
        return s3_versions.opened(self._calls, key, id)

    def inspect(self) -> Sequence[Setting]:
        """How the bucket is set up, for `doctor` alone: the one place that asks more than docs/permissions.md lists."""
        from dorkyd.buckets.s3_inspect import Inspection  # noqa: PLC0415  of no use to sync

        where = Inspection(self._calls, endpoint_url=self._endpoint_url, profile=self._profile, region=self._region)
        return list(where.run())

    def asked_as(self) -> tuple[str, str | None]:
        """See `ports.TellsIdentity`."""
        who = self._calls.who()
        return str(who), who.until

    def close(self) -> None:
        """Free connections and threads. May be repeated."""
        self._parts.close()
        self._ranges.close()
        self._calls.close()

    def _connect(self) -> Connection:
        return connect(
            endpoint_url=self._endpoint_url, region=self._region, profile=self._profile, learn=self._learn_region
        )

    def _learn_region(self, region: str) -> None:
        self._region = region

    def _put_in_session(
        self, key: str, body: Body, replaces: Version | None, metadata: Mapping[str, str], session: Session
    ) -> Written:
        def whole(condition: dict[str, Any]) -> dict[str, Any]:  # as in `put_in_parts`
            reply = self._put_whole(key, body, metadata, condition)
            self.abandon(key, session)
            return reply

        reply = self._conditional(
            key,
            replaces,
            lambda condition: self._parts.go_on(key, body, session, condition),
            over_folder=whole,
        )
        return Written(version_of(reply["ETag"]))

    def _put_whole(
        self, key: str, body: Body, metadata: Mapping[str, str], condition: Mapping[str, Any]
    ) -> dict[str, Any]:
        with contextlib.closing(Checked(body)) as stream:
            try:
                return self._calls.send(
                    "PUT",
                    "put_object",
                    key,
                    up=body.size,
                    Body=stream,
                    ContentLength=body.size,
                    ChecksumSHA256=base64.b64encode(bytes.fromhex(hex_of(body.digest))).decode(),
                    Metadata=metadata,
                    **encoding_of(metadata),
                    **condition,
                )
            except Exception as error:
                if stream.failure is not None and stream.failure is not error:
                    raise stream.failure from error
                raise

    def _conditional(self, key: str, replaces: Version | None, send: Sends, *, over_folder: Sends) -> dict[str, Any]:
        """Send a write with its condition.

        SeaweedFS keeps a folder as an entry, even an emptied one, and refuses to create an object of its name: there is
        something. Yet no object is there, and none has an empty ETag, so that `FOLDER` is the condition which holds for
        the folder and for no object, there and anywhere else.
        """
        try:
            return send(_condition(replaces))
        except Denied as error:
            if replaces is not None:
                self._exists(key, error)
            raise
        except Stale as error:
            refused = isinstance(error.__cause__, Exception) and status_of(error.__cause__) == 412
            if not refused or replaces is not None or self._there(key):
                raise
            try:
                return over_folder({"IfMatch": FOLDER})
            except Exception as again:
                if status_of(again) in {400, 501} or isinstance(again, Blocked):
                    raise error from again  # this store knows no such condition: something came and went
                raise

    def _there(self, key: str) -> bool:
        """Something is under the key, or may be. A GET: SeaweedFS answers conditions for folders, so none is sent."""
        try:
            reply = self._find("GET", "get_object", key, Range="bytes=0-0")
        except Exception as error:
            if _unsatisfiable(error):
                return True
            raise
        if reply is not None:
            reply["Body"].close()
        return reply is not None

    def _check_key(self, key: str) -> None:
        try:
            length = len(self._calls.full(key).encode())
        except UnicodeEncodeError:
            # The error would repeat the name's raw bytes.
            raise Unsupported(
                key, "the name is not valid Unicode, which S3 keys must be", code="name", hint="rename the file"
            ) from None
        if length > KEY_BYTES:
            raise Unsupported(
                key,
                f"the key has {length} bytes, S3 holds {KEY_BYTES}",
                code="name-too-long",
                hint="shorten the file's path",
            )

    def _find(self, verb: Verb, method: str, key: str, **params: Any) -> dict[str, Any] | None:
        """The reply about one object; None: it is proven absent."""
        if self.missing_denied and not self._may_exist(key):
            return None
        try:
            return self._calls.find(verb, method, key, **params)
        except Denied:
            if self._may_exist(key):
                raise
            # Without s3:ListBucket on the bare bucket a missing key answers 403. From here on the listing goes first: what
            # is looked for, the log's next number above all, is mostly missing.
            self.missing_denied = True
            return None

    def _exists(self, key: str, error: Denied) -> None:
        """Raise `Stale` where the refusal of a request that named a state may be that of a missing key (see `_find`)."""
        if self.missing_denied and not self._may_exist(key):
            raise Stale(f"{key!r} is gone") from error

    def _may_exist(self, key: str) -> bool:
        """False is proof of absence: a listing of exactly that key, complete as far as that key, lacks it."""
        full = self._calls.full(key)
        try:
            reply = self._calls.send_raw("LIST", "list_objects_v2", key, Prefix=full, MaxKeys=1, EncodingType="url")
        except Denied:
            return True
        # The key itself sorts before all that begin with it.
        return any(decoded(row.key, reply) == full for row in s3_pages.rows(reply))

    def _at_end(self, key: str, if_match: Version | None, start: int) -> S3Reading:
        """What a 416 stands for: no bytes when `start` is exactly the end, another state otherwise."""
        info = self.head(key)
        if info is None or info.size != start or if_match not in {None, info.version}:
            raise Stale(f"{key!r} has no byte {start} any more")
        return S3Reading(self._calls, key, info)

    def _written(self, reply: Mapping[str, Any]) -> Written:
        # "null" is the id of every state while versioning is off or suspended.
        self._versioned = reply.get("VersionId") not in {None, "", "null"}
        return Written(version_of(reply["ETag"]))

    def _page(self, reply: Mapping[str, Any]) -> Sequence[Listed]:
        root = self._calls.full("")
        begin, page = len(root), []
        for row in s3_pages.rows(reply):
            key = decoded(row.key, reply)
            if not key.startswith(root) or key == root:  # the marker that consoles make for a folder
                continue
            version = Version(row.etag)
            page.append(Listed._make((key[begin:], version, row.size, row.modified, md5_of(version))))
        return page


_LISTING = frozenset({"Name", "IsTruncated", "Contents", s3_pages.ROWS, "KeyCount", "MaxKeys"})
"""What of a listing every store tells some (https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html)."""


def _condition(replaces: Version | None) -> dict[str, Any]:
    return {"IfNoneMatch": "*"} if replaces is None else {"IfMatch": quoted(replaces)}


def _unsatisfiable(error: Exception) -> bool:
    """The store says that the object has no byte of the range asked for."""
    return status_of(error) == 416 or code_of(error) == "InvalidRange"
