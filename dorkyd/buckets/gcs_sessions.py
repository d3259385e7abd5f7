"""Large bodies: resumable upload sessions (https://cloud.google.com/storage/docs/performing-resumable-uploads).

1. The condition and the metadata are fixed when a session is begun; the store judges the condition at its end.
2. A session's URI is a capability. It is in the `Session.id`, is kept in the journal, and reaches no log and no message. It
   names its object wherever it is sent, so that the id says of which one it is: a project that was moved to another bucket
   must not go on writing into the former.
3. How far a session came is asked, never remembered. What the store holds is read and summed here all the same, so that the
   last byte leaves only when all of them are what was observed; the CRC32C of the whole goes with it, so that the store
   refuses an upload whose earlier bytes came from another state of the file. Such a session is given up: it can never end well.
4. The question is `bytes */*`: with the size in it, some servers end a half-sent upload.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NoReturn

from dorkyd.buckets.gcs_body import Summed
from dorkyd.buckets.gcs_calls import Calls, Request, json_of
from dorkyd.buckets.gcs_errors import says_other_bytes
from dorkyd.buckets.limits import held_already
from dorkyd.errors import DorkyError, Integrity, SessionGone, Stale, Transient
from dorkyd.ports import Body, Session

PIECE = 256 * 1024
"""Every request of a session but the last carries a multiple of it."""
INCOMPLETE = 308
CANCELLED = 499


class Sessions:
    """Begins, goes on with and gives up upload sessions, from any thread. Each put holds one part in memory."""

    def __init__(self, calls: Calls, *, part_bytes: int) -> None:
        if part_bytes % PIECE or part_bytes <= 0:
            raise ValueError(f"part_bytes must be a multiple of {PIECE}")
        self._calls = calls
        self._part_bytes = part_bytes

    def begin(self, key: str, size: int, resource: Mapping[str, Any], condition: Mapping[str, str]) -> Session:
        """A new session for an object of so many bytes."""
        reply = self._calls.send(
            Request(
                "PUT",
                "objects.insert",
                "POST",
                key,
                "/upload" + self._calls.bucket_path,
                {"uploadType": "resumable", **condition},
                {
                    "Content-Type": "application/json; charset=UTF-8",
                    "X-Upload-Content-Type": str(resource["contentType"]),
                    "X-Upload-Content-Length": str(size),
                },
                json.dumps(resource).encode(),
            )
        )
        where = reply.headers.get("Location")
        if not where:
            raise Transient(f"the store began an upload of {key!r} without saying where")
        return Session(f"{self._place(key)} {where}", self._part_bytes)

    def put(self, key: str, body: Body, session: Session, *, held: int | None = None) -> dict[str, Any]:
        """Send what the store does not hold yet; the object's resource. The session stays open whatever fails here.

        `held`: bytes that the store is known to hold; None asks it.
        """
        url = self._url(key, session)
        if held is None:
            held = self._held(key, url)
        if held > body.size:
            self._give_up(key, session, Stale("the store holds more bytes than the body has"))
        held_already(body, held)
        with contextlib.closing(Summed(body)) as stream:
            stream.skip(held)
            while True:
                data = stream.fill(session.part_bytes)
                try:
                    resource = self._send_part(key, url, stream, data)
                except Stale as error:
                    if stream.ended and says_other_bytes(error.__cause__):
                        self._give_up(key, session, error)
                    raise
                if resource is not None:
                    break
        told = resource.get("crc32c")
        if told is not None and told != stream.crc32c:
            raise Integrity(
                f"the store holds other bytes of {key!r} than were sent",
                hint="another tool may have written to the upload; save the file again to send it anew",
            )
        return resource

    def abandon(self, key: str, session: Session) -> None:
        """Give up a session. One that ended or is unknown is fine."""
        with contextlib.suppress(SessionGone):
            self._send("DELETE", "DELETE", key, self._url(key, session), {}, b"", fine=frozenset({CANCELLED}))

    def _give_up(self, key: str, session: Session, error: Stale) -> NoReturn:
        """What it holds is not what was observed, and stays so."""
        abandon_after(self, key, session, error)
        raise SessionGone(f"the upload of {key!r} holds bytes of another state of the file") from error

    def _place(self, key: str) -> str:
        return hashlib.sha256(self._calls.place(key).encode("utf-8", "surrogateescape")).hexdigest()[:16]

    def _url(self, key: str, session: Session) -> str:
        """Where to send it. `SessionGone` when it is of another object, or in another bucket."""
        place, _, url = session.id.partition(" ")
        if place != self._place(key) or not url:
            raise SessionGone(f"{key!r}: this is no upload to it")
        return url

    def _held(self, key: str, url: str) -> int:
        """Bytes that the store holds."""
        reply = self._send("HEAD", "PUT", key, url, {"Content-Range": "bytes */*"}, b"")
        if reply.status_code != INCOMPLETE:
            raise SessionGone(f"the upload of {key!r} has ended")
        return _held(reply)

    def _send_part(self, key: str, url: str, stream: Summed, data: bytes) -> dict[str, Any] | None:
        """Send one part, again from where the store says when it kept less. None: more is wanted."""
        headers = {"x-goog-hash": f"crc32c={stream.crc32c}"} if stream.ended else {}
        while True:
            begin = stream.tell() - len(data)
            span = f"{begin}-{stream.tell() - 1}" if data else "*"
            reply = self._send(
                "PUT",
                "PUT",
                key,
                url,
                {**headers, "Content-Range": f"bytes {span}/{len(stream)}"},
                data,
            )
            if reply.status_code != INCOMPLETE:
                if not stream.ended:
                    raise Transient(f"the store ended the upload of {key!r} early")
                return json_of(reply)
            held = _held(reply)
            if held == stream.tell() and data:
                if not stream.ended:
                    return None
            elif held <= begin or held > stream.tell():
                raise Transient(f"the store holds {held} bytes of {key!r} after {stream.tell()} were sent")
            data = data[held - begin :]

    def _send(
        self,
        verb: Any,
        method: str,
        key: str,
        url: str,
        headers: Mapping[str, str],
        data: bytes,
        *,
        fine: frozenset[int] = frozenset({INCOMPLETE}),
    ) -> Any:
        request = Request(
            verb,
            "objects.insert",
            method,
            key,
            headers={"Content-Length": str(len(data)), **headers},
            body=data,
            up=len(data),
            session_url=url,
            fine=fine,
        )
        return self._calls.send(request)


def abandon_after(sessions: Sessions, key: str, session: Session, error: BaseException) -> None:
    """Give up a session that nobody will go on with, because of `error`, which is the one to act on."""
    try:
        sessions.abandon(key, session)
    except DorkyError as abandon_error:
        # What stays of it is gone after a week.
        error.add_note(f"its upload could not be given up either: {abandon_error}")


def _held(reply: Any) -> int:
    """Bytes held, of a 308. Without a range it holds none."""
    text = reply.headers.get("Range")
    if text is None:
        return 0
    found = re.fullmatch(r"(?:bytes=)?0-(\d+)", text.strip())
    if found is None:
        raise Transient("the store tells a range of an upload that is none")
    return int(found[1]) + 1
