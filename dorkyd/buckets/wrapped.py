"""A bucket around another: every call goes on to the one below, as it is. What wraps says only what it changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager

from dorkyd.core.model import Version
from dorkyd.ports import Body, Bucket, Listed, ObjectInfo, Reading, Requests, Session, Written


class Wrapped:
    """See the module. As thread-safe as the bucket below."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._bucket!r})"

    @property
    def bucket(self) -> Bucket:
        """The one below."""
        return self._bucket

    @property
    def url(self) -> str:
        """As configured."""
        return self._bucket.url

    @property
    def versioned(self) -> bool:
        """As `Bucket.versioned`."""
        return self._bucket.versioned

    @property
    def requests(self) -> Requests:
        """Those of the bucket below, repeated ones too."""
        return self._bucket.requests

    @property
    def sessions_over(self) -> int | None:
        """As `Bucket.sessions_over`."""
        return self._bucket.sessions_over

    def head(self, key: str) -> ObjectInfo | None:
        """As `Bucket.head`."""
        return self._bucket.head(key)

    def get(
        self, key: str, *, if_match: Version | None = None, start: int = 0, stop: int | None = None
    ) -> AbstractContextManager[Reading]:
        """As `Bucket.get`."""
        return self._bucket.get(key, if_match=if_match, start=start, stop=stop)

    def read(self, key: str, *, limit: int = 16 * 1024 * 1024) -> tuple[ObjectInfo, bytes] | None:
        """As `Bucket.read`."""
        return self._bucket.read(key, limit=limit)

    def begin(self, key: str, size: int, *, replaces: Version | None, meta: Mapping[str, str]) -> Session:
        """As `Bucket.begin`."""
        return self._bucket.begin(key, size, replaces=replaces, meta=meta)

    def abandon(self, key: str, session: Session) -> None:
        """As `Bucket.abandon`."""
        self._bucket.abandon(key, session)

    def put(
        self,
        key: str,
        body: Body,
        *,
        replaces: Version | None,
        meta: Mapping[str, str],
        session: Session | None = None,
    ) -> Written:
        """As `Bucket.put`."""
        return self._bucket.put(key, body, replaces=replaces, meta=meta, session=session)

    def delete(self, key: str, *, replaces: Version) -> None:
        """As `Bucket.delete`."""
        self._bucket.delete(key, replaces=replaces)

    def copy(
        self,
        source: str,
        key: str,
        *,
        source_version: Version,
        replaces: Version | None,
        meta: Mapping[str, str] | None,
    ) -> Written:
        """As `Bucket.copy`."""
        return self._bucket.copy(source, key, source_version=source_version, replaces=replaces, meta=meta)

    def list(self, prefix: str = "", *, start_after: str = "") -> Iterator[Sequence[Listed]]:
        """As `Bucket.list`."""
        return self._bucket.list(prefix, start_after=start_after)

    def close(self) -> None:
        """As `Bucket.close`."""
        self._bucket.close()
