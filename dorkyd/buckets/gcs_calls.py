"""One request to Google Cloud Storage: counted, sent once, and its error converted. Everything else of the adapter stands on this.

The JSON API is spoken over the SDK's authorised session. Its own helpers repeat requests out of sight, hide which byte of a
session was reached and cannot be counted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any, Protocol
from urllib.parse import urlencode

from dorkyd.buckets.counting import Counter, Verb
from dorkyd.buckets.gcs_errors import Answered, Asked, convert, no_bucket, says_no_object
from dorkyd.buckets.gcs_names import quoted
from dorkyd.errors import AuthExpired, Denied, DorkyError, SessionGone, Stale, Transient
from dorkyd.ports import Requests

CONNECT_S = 5.0
SILENT_S = 20.0
"""How long a store may say nothing to a question: the engine's own thread asks, and who looks at the status waits."""
SILENT_WRITE_S = 60.0
"""As `SILENT_S`, to a write: what was handed to the system may still be on a slow line."""

PERMISSIONS: Mapping[str, tuple[str, ...]] = {
    "objects.get": ("storage.objects.get",),
    "objects.list": ("storage.objects.list",),
    "objects.insert": ("storage.objects.create", "storage.objects.delete"),
    "objects.delete": ("storage.objects.delete",),
    "objects.rewrite": ("storage.objects.get", "storage.objects.create", "storage.objects.delete"),
}
"""Operation: what IAM wants for it. Replacing an object takes the permission to delete it as well."""


_QUESTIONS = frozenset({"GET", "HEAD", "LIST"})


class Payload(Protocol):
    """A body that is read once."""

    def __len__(self) -> int:
        """Bytes."""

    def read(self, count: int = -1, /) -> bytes:
        """The next bytes."""

    def close(self) -> None:
        """Free what is below."""

    @property
    def failure(self) -> Exception | None:
        """What went wrong in reading."""


@dataclass(frozen=True, slots=True)
class Connection:
    """What the SDK knows of where and as whom."""

    session: Any
    """An `AuthorizedSession` that repeats nothing."""
    base_url: str
    """Without a slash at its end."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `url` None: `path` below the API's base."""

    verb: Verb
    operation: str
    method: str
    key: str
    path: str = ""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Callable[[], Payload] = field(default=b"", repr=False)
    up: int = 0
    """Bytes of an object's body in it."""
    stream: bool = False
    """The reply's body is read by the caller, who closes it."""
    session_url: str | None = field(default=None, repr=False)
    """Of an upload session: a capability."""
    fine: frozenset[int] = frozenset()
    """Statuses that are no error, beside 2xx."""

    def asking(self, **more: str) -> Request:
        """The same with more in its query."""
        return replace(self, query={**self.query, **more})


class Calls:
    """Requests to one bucket, from any thread. The connection is made at the first of them."""

    def __init__(
        self, connect: Callable[[], Connection], *, bucket: str, prefix: str, endpoint_url: str | None
    ) -> None:
        self._connect = connect
        self._bucket = bucket
        self._prefix = prefix
        self._endpoint_url = endpoint_url
        self._lock = Lock()
        self._connection: Connection | None = None
        self._counter = Counter()
        self.missing_denied = False
        """A look at a missing object was answered 403."""

    @property
    def requests(self) -> Requests:
        """A snapshot of the counters."""
        return self._counter.snapshot()

    def full(self, key: str) -> str:
        """The object's name."""
        return f"{self._prefix}/{key}" if self._prefix else key

    @property
    def bucket_path(self) -> str:
        """Of the bucket's objects, below the API's base."""
        return f"/storage/v1/b/{quoted(self._bucket)}/o"

    def object_path(self, key: str) -> str:
        """Of one object, below the API's base."""
        return f"{self.bucket_path}/{quoted(self.full(key))}"

    def place(self, key: str) -> str:
        """Which object of all stores this is."""
        return self._connected().base_url + self.object_path(key)

    def asked(self, request: Request) -> Asked:
        """What an error message says of a request."""
        return Asked(
            request.operation,
            PERMISSIONS[request.operation],
            request.key,
            self._bucket,
            self._prefix,
            self._endpoint_url,
            in_session=request.session_url is not None,
        )

    def send(self, request: Request) -> Any:
        """Send one request about one object or upload; the `requests.Response`. A 404 is `Stale`."""
        try:
            return self._send(request)
        except Answered as error:
            raise self._of_missing(error, request) or self._converted(error, request) from error
        except Exception as error:  # everything the SDK raises passes here; what the tables lack is raised on
            self.fail(error, request)
            raise

    def find(self, request: Request) -> Any | None:
        """As `send`, for a look; None when the store proves that there is no such object."""
        for _ in range(3):
            try:
                return self._send(request)
            except Answered as error:
                if says_no_object(error):
                    return None
                if error.status not in {403, 404}:
                    raise self._converted(error, request) from error
                ours = self._converted(error, request)
                if not isinstance(ours, Stale | Denied):
                    raise ours from error
                # Some stores tell a missing bucket and a missing object alike. Without storage.objects.list Google answers
                # 403 for a missing object.
                if not (self._may_exist(request.key) if isinstance(ours, Denied) else self.exists(request.key)):
                    self.missing_denied = self.missing_denied or isinstance(ours, Denied)
                    return None
                if isinstance(ours, Denied):
                    raise ours from error
            except Exception as error:  # as in `send`
                self.fail(error, request)
                raise
        raise Transient(f"{request.key!r} came and went with every look")

    def exists(self, key: str) -> bool:
        """Whether a listing of exactly that name has it. `Blocked` when there is no such bucket."""
        full = self.full(key)
        query = {"prefix": full, "maxResults": "1", "fields": "items(name)"}
        request = Request("LIST", "objects.list", "GET", key, self.bucket_path, query)
        listing = json_of(self.send_listing(request))
        # The name itself sorts before all that begin with it.
        return any(item["name"] == full for item in listing.get("items", ()))

    def send_listing(self, request: Request) -> Any:
        """As `send`, for a listing, of which a 404 can only mean that the bucket is missing."""
        try:
            return self._send(request)
        except Answered as error:
            if error.status == 404:
                raise no_bucket(self.asked(request)) from error
            raise self._converted(error, request) from error
        except Exception as error:  # as in `send`
            self.fail(error, request)
            raise

    def received(self, key: str, count: int) -> None:
        """Count bytes of a body that came down."""
        self._counter.moved(key, down=count)

    def fail(self, error: Exception, request: Request) -> None:
        """Raise our error for the SDK's; return when the tables do not know it."""
        ours = convert(error, self.asked(request))
        if isinstance(ours, AuthExpired):
            # A person renews them meanwhile: the next request reads the credentials afresh.
            self.close()
        if ours is error:
            raise error
        if ours is not None and request.session_url is not None:
            raise ours from None  # the SDK's text holds the session's URI
        if ours is not None:
            raise ours from error

    def close(self) -> None:
        """Free connections. May be repeated; a later request makes a new one."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.session.close()

    def _connected(self) -> Connection:
        with self._lock:
            if self._connection is None:
                self._connection = self._connect()
            return self._connection

    def _converted(self, error: Answered, request: Request) -> DorkyError:
        ours = convert(error, self.asked(request))
        assert ours is not None, "a reply always means something"
        if isinstance(ours, AuthExpired):
            self.close()  # as in `fail`
        return ours

    def _of_missing(self, error: Answered, request: Request) -> DorkyError | None:
        """What a 404 stands for that may mean the bucket as well as the object. None: it is clear already."""
        if error.status != 404 or says_no_object(error) or request.session_url is not None:
            return None
        ours = self._converted(error, request)
        if isinstance(ours, Stale) and not isinstance(ours, SessionGone):
            self._may_exist(request.key)  # raises when there is no such bucket
        return ours

    def _may_exist(self, key: str) -> bool:
        """False is proof of absence."""
        try:
            return self.exists(key)
        except Denied:
            return True

    def _send(self, request: Request) -> Any:
        """Raises `Answered` for a reply that is no success, and the SDK's own errors."""
        # A 401 did nothing, and a token that was good a moment ago is renewed by reading the credentials afresh: once.
        for last in (False, True):
            connection = self._connected()
            reply = self._try(connection, request)
            if reply.status_code < 300 or reply.status_code in request.fine:
                return reply
            answered = _answered(reply)
            if last or answered.status != 401:
                raise answered
            self.close()
        raise AssertionError

    def _try(self, connection: Connection, request: Request) -> Any:
        self._counter.add(request.verb)
        self._counter.moved(request.key, up=request.up)
        url = request.session_url
        if url is None:
            url = connection.base_url + request.path + (f"?{urlencode(request.query)}" if request.query else "")
        payload = request.body if isinstance(request.body, bytes) else request.body()
        try:
            return connection.session.request(
                request.method,
                url,
                data=payload,
                headers=dict(request.headers),
                timeout=(CONNECT_S, SILENT_S if request.verb in _QUESTIONS else SILENT_WRITE_S),
                stream=request.stream,
                allow_redirects=False,
            )
        except Exception as error:
            if not isinstance(payload, bytes) and payload.failure not in {None, error}:
                raise payload.failure from error
            raise
        finally:
            if not isinstance(payload, bytes):
                payload.close()


def json_of(reply: Any) -> dict[str, Any]:
    """The document in a reply."""
    try:
        found = reply.json()
    except (ValueError, RecursionError) as error:
        raise Transient("the store answered something that is no JSON") from error
    if not isinstance(found, dict):
        raise Transient("the store answered something else than a document")
    return found


def _answered(reply: Any) -> Answered:
    """Of a reply's body only what Google's format names is taken; media requests answer in plain text."""
    reason, message = "", ""
    try:
        text = reply.text
    finally:
        reply.close()
    try:
        error = reply.json()["error"]
        message = str(error.get("message", ""))
        reason = "".join(str(detail.get("reason", "")) for detail in error.get("errors", ())[:1])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        message = text[:500]
    return Answered(reply.status_code, reason, message, reply.headers.get("Retry-After", ""))
