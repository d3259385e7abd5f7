"""The fast lane: small objects on S3 through obstore, all else through boto3. One request costs a tenth of the CPU.

Rules, beside those of `dorkyd.buckets.s3`:

1. The same store under the same identity: address, style and region are those of a URL that boto3 signs, credentials
   those of its session, asked for again and again; after a refusal both are made anew.
2. Bytes are read whole and compared with their digest before the request begins, so none is ever sent in vain. The
   signature covers them, so that the store refuses what changed on the way.
3. obstore repeats nothing. What it tells of an error is a text: the status and S3's code are read from it, and where
   they say too little a *read* through boto3 tells the reason. A write that failed is never sent again.
4. A key that obstore would change (`a//b`, `/a`, `a/`, `a/../b`, control characters) or refuse takes the other lane. So
   does a listing: obstore strips the last slash of a key.
5. obstore follows redirects, even from a PUT to a GET (303), and does not tell. So a success counts only when it cannot be
   another page's, such as a network's login: a write's when its ETag is the MD5 of what was sent, a read's when it is of
   the version asked for, has the MD5 of what came, or metadata of ours. All else is asked again through boto3, which
   follows none; a store whose ETags are no MD5 (KMS) gets its puts from there.

What obstore does with a path: https://docs.rs/object_store/latest/object_store/path/struct.Path.html
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import re
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dorkyd.buckets.counting import Verb
from dorkyd.buckets.ranges import Piece, Ranges
from dorkyd.buckets.s3 import S3Bucket
from dorkyd.buckets.s3_body import Checked
from dorkyd.buckets.s3_client import CONNECT_S, SILENT_S, SILENT_WRITE_S
from dorkyd.buckets.s3_errors import Asked, Meaning, meaning_of
from dorkyd.buckets.s3_pieces import Pieces
from dorkyd.buckets.s3_reading import md5_of, opened, version_of
from dorkyd.core.metadata import content_encoding
from dorkyd.core.model import Version
from dorkyd.errors import AuthExpired, Blocked, Denied, Stale, Transient
from dorkyd.ports import Body, Listed, ObjectInfo, Reading

Result = Any
"""obstore's GetResult, an open download."""
Store = Any
"""obstore's S3Store."""

KIB = 1024
SMALL_BYTES = 256 * KIB
"""Larger bodies take boto3's lane, whose timeout counts each packet: obstore's counts the whole request, so that
sixteen of these must fit through a slow line in `SILENT_WRITE_S`."""
QUICK_BYTES = 16 * KIB
"""As `SMALL_BYTES`, in `SILENT_S`: entries of the log are hardly larger, which the engine's own thread writes."""
WHOLE_S = "7days"
"""obstore ends a request after half a minute otherwise, a long download too."""
CHUNK_BYTES = 1024 * KIB
PAGES_AHEAD = 32
"""Of a listing, read while its reader does something else: some 15 MB."""
CREDENTIALS_TTL = dt.timedelta(minutes=6)
"""obstore asks for credentials again when they have less than five minutes left: so once a minute."""

_PART = r"(?!\.{1,2}(?:/|\Z))[^\x00-\x1f\x7f/\ud800-\udfff]+"
_EXACT = re.compile(rf"{_PART}(?:/{_PART})*")
"""Keys that obstore keeps as they are."""
_ATTRIBUTES = frozenset(
    {"Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type", "Cache-Control", "Storage-Class"}
)
"""What obstore tells, and takes, beside user metadata under the same roof."""
_RESERVED = frozenset(name.lower() for name in _ATTRIBUTES)
_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>\s*([A-Za-z0-9.]{1,80})\s*</Code>")
_REGION = re.compile(r"<Region>\s*([a-z0-9-]{1,40})\s*</Region>")

_UNCLEAR = frozenset(
    {None, Meaning.CREDENTIALS, Meaning.CLOCK, Meaning.REGION, Meaning.NO_BUCKET, Meaning.BUSY, Meaning.PASSING}
)
"""Where boto3 can tell more: how long to wait, how far the clock is off, which region, which login."""


class Refused(Exception):
    """The store's reply as obstore tells it, in the form in which `s3_errors` reads botocore's. Its text says nothing of
    the reply's own, which may hold access keys.
    """

    def __init__(self, error: Exception) -> None:
        text = str(error)
        status, code, region = _STATUS.search(text), _CODE.search(text), _REGION.search(text)
        self.status = int(status[1]) if status else 0
        self.untrusted = not status and "InvalidCertificate" in text
        """There was no connection: the store's certificate is none that obstore takes."""
        self.silent = not status and "kind: Timeout" in text
        """Connected or not, nothing came: to ask through boto3 would take as long again."""
        named = code[1] if code else str(self.status or "")
        super().__init__(f"{type(error).__name__} {self.status or 'without a reply'} {named}".rstrip())
        self.response: Mapping[str, Any] | None = None
        if status:
            self.response = {
                "Error": {"Code": named} | ({"Region": region[1]} if region else {}),
                "ResponseMetadata": {"HTTPStatusCode": self.status, "HTTPHeaders": {}},
            }


class FastLane(S3Bucket):
    """An S3 bucket that sends small puts, looks and downloads through obstore where that can be imported."""

    def __init__(self, url: str, **options: Any) -> None:
        super().__init__(url, **options)
        self._ranges = Ranges(self._piece, self._ranges.shape)
        self._pieces = Pieces(self._calls)
        self._lane_lock = Lock()
        self._lane_stores: dict[int, Store | None] = {}
        """By how long the store may say nothing, seconds."""
        self._closed_lane = False
        """obstore is not installed, or does not take the store's certificate."""
        self._other_lane: set[str] = set()
        """Keys that obstore was refused and boto3 was not."""
        self._etags_are_md5 = True
        """False: of a small body in one request the store tells another, so that obstore's puts cannot be proved."""

    def __repr__(self) -> str:
        return f"FastLane({self.url!r})"

    def close(self) -> None:
        """Free connections. May be repeated."""
        self._drop_lane()
        super().close()

    # --- reading ------------------------------------------------------------------------------------------------

    def head(self, key: str) -> ObjectInfo | None:
        """Look at one object."""
        if self.missing_denied and not self._may_exist(key):
            return None
        found = self._try_get(key, "HEAD", {"head": True})
        if isinstance(found, Refused):
            # The reply to a HEAD has no body, so that its 404 may as well mean that the bucket is gone.
            if found.status == 404 and self._is_missing(self._try_get(key, "GET", {"range": (0, 1)})):
                return None
            return super().head(key)
        info = None if found is None else _info_of(found)
        return info if info is not None and _is_marked(info) else super().head(key)

    def read(self, key: str, *, limit: int = 16 * KIB * KIB) -> tuple[ObjectInfo, bytes] | None:
        """One small object, whole."""
        if self.missing_denied and not self._may_exist(key):
            return None
        found = self._try_get(key, "GET", {})
        if self._is_missing(found):
            return None
        if found is None or isinstance(found, Refused):
            return super().read(key, limit=limit)
        info = _info_of(found)
        if info.size > limit:
            raise Blocked(f"{key!r} has {info.size} bytes, over the limit of {limit}", code="too-large")
        data = b"".join(_FastReading(self, key, found, info))
        return (info, data) if _is_marked(info) or _is_md5_of(data, info.version) else super().read(key, limit=limit)

    @contextlib.contextmanager
    def get(
        self, key: str, *, if_match: Version | None = None, start: int = 0, stop: int | None = None
    ) -> Iterator[Reading]:
        """Open the object's bytes from offset `start` on. What is large comes in ranges, fetched ahead,
        whose first is this lane's; the others come past the SDK (`dorkyd.buckets.s3_pieces`).
        """
        options: dict[str, Any] = {"range": (start, self._ranges.first_stop(start, stop))}
        if if_match is not None:
            options["if_match"] = f'"{if_match}"'
        found = self._try_get(key, "GET", options) if start == 0 or stop is not None else None
        if isinstance(found, Refused) and (found.status == 412 or self._is_missing(found)):
            raise Stale(f"{self._calls.asked('GetObject', key)}: {found}") from found
        info = None if found is None or isinstance(found, Refused) else _info_of(found)
        if info is not None and (info.version == if_match or (if_match is None and _is_marked(info))):
            first = _FastReading(self, key, found, info, start)
            with (
                self._pieces.while_in_use(),
                self._ranges.open(
                    key, if_match, start, stop, opened=lambda *_: contextlib.nullcontext(first)
                ) as ranged,
            ):
                yield ranged
            return
        with self._pieces.while_in_use(), super().get(key, if_match=if_match, start=start, stop=stop) as reading:
            yield reading

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[Sequence[Listed]]:
        """Pages of at most 1,000 keys. The next ones are asked for while this one is worked on."""
        pages = super().list(prefix, start_after=start_after)
        reader = ThreadPoolExecutor(1, thread_name_prefix="listing")
        try:
            coming = deque(reader.submit(next, pages, None) for _ in range(PAGES_AHEAD))
            while (page := coming.popleft().result()) is not None:
                coming.append(reader.submit(next, pages, None))
                yield page
        finally:
            # A listing that nobody reads to its end leaves one page under way, which nobody waits for.
            reader.shutdown(wait=False, cancel_futures=True)

    @contextlib.contextmanager
    def _piece(self, key: str, version: Version | None, start: int, stop: int) -> Iterator[Piece]:
        """As `dorkyd.buckets.ranges.Opened` wants it: past the SDK where the reply proves itself."""
        bare = None
        if version and _EXACT.fullmatch(self._calls.full(key)):
            bare = self._pieces.open(key, version, start, stop)
        if bare is not None:
            with contextlib.closing(bare):
                yield bare
            return
        with opened(self._calls, key, version, start, stop) as reading:
            self._pieces.granted()
            yield reading

    def received(self, key: str, count: int) -> None:
        """Count bytes of a body that came down."""
        self._calls.received(key, count)

    def _try_get(self, key: str, verb: Verb, options: Any) -> Result | Refused | None:
        """What obstore answers; None: this read takes the other lane."""
        full = self._calls.full(key)
        store = self._lane(full, SILENT_S)
        if store is None:
            return None
        import obstore  # noqa: PLC0415  14 MB that other stores need not carry

        self._calls.count(verb)
        try:
            return obstore.get(store, full, options=options)
        except Exception as error:  # obstore's own, OSError and ValueError: each is told by the other lane
            refused = self._refused(error)
        if refused.silent:
            raise _unanswered(self._calls.asked("GetObject", key), SILENT_S) from refused
        return refused

    @staticmethod
    def _is_missing(found: object) -> bool:
        """The store says that there is no such key, as opposed to no such bucket."""
        if not isinstance(found, Refused) or found.response is None:
            return False
        return bool(found.response["Error"]["Code"] == "NoSuchKey")

    # --- writing ------------------------------------------------------------------------------------------------

    def _put_whole(
        self, key: str, body: Body, metadata: Mapping[str, str], condition: Mapping[str, Any]
    ) -> dict[str, Any]:
        mode: Any = _mode_of(condition)
        full = self._calls.full(key)
        small = body.size <= SMALL_BYTES and mode is not None and _RESERVED.isdisjoint(metadata)
        silent_s = SILENT_S if body.size <= QUICK_BYTES else SILENT_WRITE_S
        store = self._lane(full, silent_s) if small and self._etags_are_md5 else None
        if store is None:
            return super()._put_whole(key, body, metadata, condition)
        import obstore  # noqa: PLC0415  as above

        data = _whole(body)
        packed = content_encoding(metadata)
        attributes = {**metadata, **({"Content-Encoding": packed} if packed is not None else {})}
        self._calls.count("PUT", key, up=len(data))
        try:
            reply = obstore.put(store, full, data, mode=mode, attributes=attributes, use_multipart=False)
        except Exception as error:  # as in `_try_get`
            refused = self._refused(error)
            if refused.untrusted:
                return super()._put_whole(key, body, metadata, condition)  # there was no connection to send it on
            if refused.silent:
                raise _unanswered(self._calls.asked("PutObject", key), silent_s) from refused
            ours = self._why(key, refused)
            raise ours from refused
        etag = reply["e_tag"]
        if not etag:
            raise Transient(f"{self._calls.asked('PutObject', key)}: the reply names no version")
        if not _is_md5_of(data, version_of(etag)):
            self._make_sure(key, version_of(etag))
        return {"ETag": etag, "VersionId": reply["version"]}

    def _make_sure(self, key: str, version: Version) -> None:
        """Raise `Transient` unless the store itself has what a reply to a put told: it may have been another page's."""
        info = super().head(key)
        if info is None or info.version != version:
            raise Transient(f"{self._calls.asked('PutObject', key)}: the reply was not the store's")
        self._etags_are_md5 = False

    def _why(self, key: str, refused: Refused) -> Exception:
        """What a write that failed means. Where its reply does not tell, a look through boto3 does."""
        asked = self._calls.asked("PutObject", key)
        meaning = meaning_of(refused)
        if meaning in _UNCLEAR:
            try:
                self._there(key)
            except Denied:
                pass  # a role that may write and not look: this tells nothing of the write
            except (Blocked, Transient) as told:
                return told
            if meaning is not Meaning.BUSY and 300 <= refused.status < 500:
                self._other_lane.add(self._calls.full(key))
        ours = None if meaning is None else self._calls.ours(refused, asked)
        if ours is None or isinstance(ours, AuthExpired):
            return Transient(f"{asked}: {refused}")
        return ours

    # --- the lane -----------------------------------------------------------------------------------------------

    def _lane(self, full: str, silent_s: int) -> Store | None:
        """The store for a key as the store knows it; None: this key takes the other lane."""
        if self._closed_lane or full in self._other_lane or not _EXACT.fullmatch(full):
            return None
        with self._lane_lock:
            if self._lane_stores.get(silent_s) is None:
                try:
                    self._lane_stores[silent_s] = self._make_lane(silent_s)
                except ImportError:
                    self._closed_lane = True
            return self._lane_stores.get(silent_s)

    def _drop_lane(self) -> None:
        with self._lane_lock:
            self._lane_stores.clear()

    def _refused(self, error: Exception) -> Refused:
        refused = Refused(error)
        if refused.untrusted:
            # It takes no certificate that is its own authority, which boto3 does when told to trust it.
            self._closed_lane = True
        unsigned = refused.status == 0 and "credential provider" in str(error)
        if unsigned or meaning_of(refused) in {Meaning.CREDENTIALS, Meaning.REGION}:
            # Credentials were renewed, or boto3 learned the region meanwhile: ask for both anew.
            self._drop_lane()
        return refused

    def _make_lane(self, silent_s: int) -> Store | None:
        """None: boto3 cannot sign now, and says why itself."""
        from obstore.store import S3Store  # noqa: PLC0415  as above

        place = self._calls.signed_place()
        if place is None:
            return None
        url = urlsplit(place.url)
        scope = parse_qs(url.query).get("X-Amz-Credential", [""])[0].split("/")
        path_style = url.path.startswith(f"/{self._calls.bucket}/")
        client_options: Any = {
            "allow_http": url.scheme == "http",
            "connect_timeout": f"{CONNECT_S}s",
            "read_timeout": f"{silent_s}s",
            "timeout": WHOLE_S,
            "user_agent": "dorkyd",
        }
        if place.trusted is not None:
            client_options["root_certificate"] = place.trusted
        return S3Store(
            self._calls.bucket,
            endpoint=f"{url.scheme}://{url.netloc}",
            region=scope[-3] if len(scope) >= 5 else "us-east-1",
            virtual_hosted_style_request=not path_style,
            checksum_algorithm="SHA256",
            credential_provider=_provider(place.credentials),
            client_options=client_options,
            retry_config={"max_retries": 0},
        )


class _FastReading:
    """An open download, of an object or of its first bytes, to be iterated once."""

    def __init__(self, bucket: FastLane, key: str, result: Result, info: ObjectInfo, start: int = 0) -> None:
        self._bucket = bucket
        self._key = key
        self._result = result
        self.info = info
        first, stop = result.range
        if not start == first <= stop <= info.size:
            raise Transient(f"{key!r}: asked from byte {start}, got from {first}")
        self.left: int = stop - first

    def __iter__(self) -> Iterator[memoryview]:
        left = self.left
        stream = iter(self._result.stream(min_chunk_size=CHUNK_BYTES))
        while left > 0:
            try:
                data = memoryview(next(stream))
            except StopIteration:
                raise Transient(f"{self._key!r}: the connection ended {left} bytes early") from None
            except Exception as error:  # obstore tells a broken connection in many ways, all of them passing
                raise Transient(f"{self._key!r}: the download broke off") from Refused(error)
            self._bucket.received(self._key, len(data))
            left -= len(data)
            if left < 0:
                raise Transient(f"{self._key!r}: more bytes came than the object has")
            for at in range(0, len(data), CHUNK_BYTES):
                yield data[at : at + CHUNK_BYTES]


def _mode_of(condition: Mapping[str, Any]) -> str | dict[str, str] | None:
    """obstore's word for a condition; None: it has none."""
    if condition == {"IfNoneMatch": "*"}:
        return "create"
    etag = condition.get("IfMatch", "")
    return {"e_tag": etag} if re.fullmatch(r'"[^"]+"', etag) else None


def _unanswered(asked: Asked, silent_s: int) -> Transient:
    return Transient(f"{asked}: {asked.store} said nothing for {silent_s} s")


def _whole(body: Body) -> bytes:
    """A body's bytes, proved to be those observed. Raises `Stale` otherwise."""
    with contextlib.closing(Checked(body)) as stream:
        data = stream.read()
        while stream.tell() < len(stream):
            data += stream.read()
        return data


def _info_of(result: Result) -> ObjectInfo:
    meta = result.meta
    user = {key.lower(): value for key, value in result.attributes.items() if key not in _ATTRIBUTES}
    version = version_of(meta["e_tag"] or "")
    return ObjectInfo(version, meta["size"], int(meta["last_modified"].timestamp()), user, md5_of(version))


def _is_marked(info: ObjectInfo) -> bool:
    """It has metadata that only a daemon writes, and only a bucket tells."""
    return any(name.startswith("dorky-") for name in info.meta)


def _is_md5_of(data: bytes, version: Version) -> bool:
    return hashlib.md5(data, usedforsecurity=False).hexdigest() == version.lower()


def _provider(credentials: Any) -> Any:
    """Credentials for obstore as boto3's session has them now, which renews those that expire."""

    def ask() -> dict[str, Any]:
        frozen = credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": dt.datetime.now(dt.UTC) + CREDENTIALS_TTL,
        }

    return ask
