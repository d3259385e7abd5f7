"""One request to S3: counted, sent once, and its error converted. Everything else of the adapter stands on this."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from dorkyd.buckets.counting import Counter, Verb
from dorkyd.buckets.s3_advice import convert
from dorkyd.buckets.s3_errors import Asked, code_of, status_of
from dorkyd.buckets.s3_identity import Identity, Sources, identity_of, sources_of
from dorkyd.buckets.sense import NONSENSE
from dorkyd.errors import AuthExpired, Configuration, DorkyError, Transient
from dorkyd.ports import Requests


@dataclass(frozen=True, slots=True)
class Connection:
    """Clients, and what another client of the same store needs."""

    client: Any
    """boto3's."""
    reader: Any
    """The same for questions, which waits for their answers less long."""
    credentials: Any = field(repr=False)
    """botocore's, which renew themselves; None: the chain has none."""
    trusted: bytes | None = field(repr=False)
    """The certificates to trust, PEM; None: the system's."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the bucket is and as whom to ask, as boto3 would."""

    url: str = field(repr=False)
    """Signed, for the object `key` in it."""
    key: str
    credentials: Any = field(repr=False)
    trusted: bytes | None = field(repr=False)
    session: Any = field(repr=False)
    """botocore's HTTP session for questions; None: it has none that is known here."""


_KEY = "k"
_QUESTIONS = frozenset({"GET", "HEAD", "LIST"})


class Calls:
    """Requests to one bucket, from any thread. The client is made at the first of them."""

    def __init__(
        self,
        connect: Callable[[], Connection],
        *,
        bucket: str,
        prefix: str,
        endpoint_url: str | None,
        profile: str | None,
    ) -> None:
        self._connect = connect
        self._bucket = bucket
        self._prefix = prefix
        self._endpoint_url = endpoint_url
        self._profile = profile
        self._lock = Lock()
        self._connection: Connection | None = None
        self._sources: Sources | None = None
        """Where credentials come from; None: nobody asked yet."""
        self._counter = Counter()

    @property
    def requests(self) -> Requests:
        """A snapshot of the counters."""
        return self._counter.snapshot()

    @property
    def bucket(self) -> str:
        """The bucket's name."""
        return self._bucket

    def full(self, key: str) -> str:
        """The key as the store knows it."""
        return f"{self._prefix}/{key}" if self._prefix else key

    def asked(self, operation: str, key: str = "") -> Asked:
        """What an error message says of a request."""
        return Asked(operation, key, self._bucket, self._prefix, self._endpoint_url, self._profile)

    def send(self, verb: Verb, method: str, key: str, *, up: int = 0, **params: Any) -> dict[str, Any]:
        """Send one request about one key. `method` is boto3's; `up` the bytes of its body."""
        return self.send_raw(verb, method, key, up=up, Key=self.full(key), **params)

    def send_raw(self, verb: Verb, method: str, key: str = "", *, up: int = 0, **params: Any) -> dict[str, Any]:
        """As `send`, for a request that names no key or names it in its own way."""
        asked = self.asked(_operation(method), key)
        try:
            client = self._connected(verb)
            self._counter.add(verb)
            self._counter.moved(key, up=up)
            reply: dict[str, Any] = getattr(client, method)(Bucket=self._bucket, **params)
        except Exception as error:  # everything the SDK raises passes here; what the tables lack is raised on
            self.fail(error, asked)
            raise
        return reply

    def find(self, verb: Verb, method: str, key: str, **params: Any) -> dict[str, Any] | None:
        """As `send`; None when the store proves that there is no such key."""
        asked = self.asked(_operation(method), key)
        try:
            return self._found(verb, method, key, **params)
        except Exception as error:  # as in `send_raw`
            if code_of(error) == "NoSuchKey":
                return None
            self.fail(error, asked)
            raise

    def count(self, verb: Verb, key: str = "", *, up: int = 0) -> None:
        """Count a request that another client sends, and the bytes of its body."""
        self._counter.add(verb)
        self._counter.moved(key, up=up)

    def received(self, key: str, count: int) -> None:
        """Count bytes of a body that came down."""
        self._counter.moved(key, down=count)

    def fail(self, error: Exception, asked: Asked) -> None:
        """Raise our error for the SDK's; return when the tables do not know it."""
        ours = self.ours(error, asked)
        if ours is error:
            raise error
        if ours is not None:
            raise ours from error

    def ours(self, error: Exception, asked: Asked) -> DorkyError | None:
        """Our error for the SDK's; None: the tables do not know it."""
        ours = convert(error, asked, self.who)
        if isinstance(ours, AuthExpired | Configuration):
            # A person renews them meanwhile: the next request reads the credentials afresh.
            self.close()
        if ours is None and isinstance(error, NONSENSE) and not isinstance(error, UnicodeEncodeError):
            # The SDK could not read the reply. A key that it cannot send is refused before.
            return Transient(f"{asked}: the store answered something that makes no sense", code="malformed-reply")
        return ours

    def signed_place(self) -> Place | None:
        """Where boto3 would ask now, and as whom. None: it cannot sign, which its next request says. Sends nothing to
        the bucket.
        """
        try:
            connection = self._connection_now()
            if connection.credentials is None:
                return None
            url = connection.client.generate_presigned_url("get_object", Params={"Bucket": self._bucket, "Key": _KEY})
        except Exception:  # whatever it is, the request that follows meets it too, and converts it
            return None
        session = getattr(getattr(connection.reader, "_endpoint", None), "http_session", None)
        return Place(url, _KEY, connection.credentials, connection.trusted, session)

    def who(self) -> Identity:
        """As whom is asked, as far as a person may see it. Asks nobody."""
        with self._lock:
            connection = self._connection
            if self._sources is None:
                self._sources = sources_of(self._profile)
            sources = self._sources
        return identity_of(None if connection is None else connection.credentials, sources)

    def close(self) -> None:
        """Free connections. May be repeated; a later request makes a new client."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.client.close()
            connection.reader.close()

    def _connected(self, verb: Verb) -> Any:
        connection = self._connection_now()
        return connection.reader if verb in _QUESTIONS else connection.client

    def _connection_now(self) -> Connection:
        with self._lock:
            if self._connection is None:
                self._connection = self._connect()
            return self._connection

    def _found(self, verb: Verb, method: str, key: str, **params: Any) -> dict[str, Any]:
        """Raises the SDK's own errors.

        The reply to a HEAD has no body, so that its 404 may as well mean that the bucket is gone, its 400 and 403
        that credentials expired. A GET of the first byte tells.
        """
        for _ in range(3):
            try:
                client = self._connected(verb)
                self._counter.add(verb)
                reply: dict[str, Any] = getattr(client, method)(Bucket=self._bucket, Key=self.full(key), **params)
                return reply
            except Exception as error:  # as in `send_raw`
                if verb != "HEAD" or code_of(error) not in {"", str(status_of(error))} or status_of(error) >= 500:
                    raise
                if not status_of(error):
                    raise  # no reply at all
            try:
                self._counter.add("GET")
                reply = client.get_object(Bucket=self._bucket, Key=self.full(key), Range="bytes=0-0")
                reply["Body"].close()
            except Exception as error:  # as in `send_raw`
                if status_of(error) != 416:  # that is an object of no bytes
                    raise
            # It is there: it came between the two, or what failed has passed. Look again.
        raise Transient(f"{key!r} came and went with every look")


def _operation(method: str) -> str:
    """S3's name for boto3's: `put_object` is PutObject."""
    return "".join(word.capitalize() for word in method.split("_"))
