"""A bucket's events, turned into hints: S3 tells an SQS queue of this device what changed, and it asks the bucket sooner.

Rules:

- *Only hints.* What an event says is never believed: it marks a path, or says that the log has news. Polls and listings go
  on as without it, so a queue that is wrong, late, slow or gone costs latency and nothing else.
- *The thread never ends by itself.* Trouble is told (`trouble`) and tried again, ever more slowly.
- *Anything may lie in a queue.* What is no event of this bucket and prefix is dropped like what was understood.
- A message is deleted once it was handed over. A crash before that brings it again; one after it loses a hint.

Events: https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
"""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from dorkyd.core import paths
from dorkyd.core.logbook import entry_number
from dorkyd.core.model import Path, Version
from dorkyd.ports import Pushed

_log = logging.getLogger("dorkyd.push")

LONG_POLL_S = 20
"""Seconds that a question waits for a message: the most that SQS allows."""
MOST = 1000
"""Distinct paths kept until the engine asks; past it they become a listing, which costs less than so many looks."""
BACK_OFF_S = (1.0, 5.0, 15.0, 60.0)
HINT = "the device needs sqs:ReceiveMessage and sqs:DeleteMessage on its queue; see docs/operations.md#push"
_OURS = ".dorky/"
_HOST = re.compile(r"(?:sqs[.-]([a-z0-9-]+)|([a-z0-9-]+)\.queue)\.amazonaws\.com(?:\.cn)?")


def events_of(body: str, bucket: str, prefix: str) -> Iterator[tuple[str, Version | None]]:
    """Keys below the prefix that a message tells of, relative to it, with the version made; None: it was deleted, or the
    event does not say. Total: a message that makes no sense tells of none.

    A topic between bucket and queue may wrap the message (SNS without raw delivery).
    """
    document = _parsed(body)
    if document.get("Type") == "Notification":
        document = _parsed(document.get("Message"))
    records = document.get("Records")
    for record in records if isinstance(records, list) else ():
        if not isinstance(record, dict) or record.get("eventSource") not in {"aws:s3", None}:
            continue
        s3 = _table(record.get("s3"))
        item, name = _table(s3.get("object")), record.get("eventName")
        key = item.get("key")
        if _table(s3.get("bucket")).get("name") != bucket or not isinstance(key, str) or not isinstance(name, str):
            continue
        try:
            whole = unquote_plus(key, errors="strict")
        except UnicodeDecodeError:
            continue
        etag = item.get("eTag")
        made = Version(etag.strip('"')) if isinstance(etag, str) and "ObjectCreated" in name else None
        if whole.startswith(prefix) and whole != prefix:
            yield whole[len(prefix) :], made


def _parsed(text: object) -> Mapping[str, Any]:
    try:
        return _table(json.loads(text)) if isinstance(text, str) else {}
    except (ValueError, RecursionError):
        return {}


def _table(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


class QueuePush:
    """See the module. Starts when made; `wake` is called from its own thread."""

    def __init__(self, queue_url: str, bucket_url: str, *, profile: str | None, region: str | None) -> None:
        """`bucket_url`: `s3://bucket/prefix`. Asks nobody anything before `start`."""
        self._queue_url = queue_url
        self._bucket, _, prefix = bucket_url.removeprefix("s3://").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._profile, self._region = profile, region
        self._lock = threading.Lock()
        self._paths: dict[Path, Version | None] = {}
        self._number = 0
        self._everything = False
        self._trouble: str | None = None
        self._stopping = threading.Event()
        self._wake: Callable[[], None] = lambda: None

    def start(self, wake: Callable[[], None]) -> None:
        """Begin to listen, once."""
        self._wake = wake
        threading.Thread(target=self._run, name="push", daemon=True).start()

    def drain(self) -> Pushed:
        """Take what came in."""
        with self._lock:
            pushed = Pushed(self._paths, self._number, self._everything)
            self._paths, self._number, self._everything = {}, 0, False
        return pushed

    @property
    def trouble(self) -> tuple[str, str] | None:
        """Why nothing comes in, and what to do about it; None: all is well."""
        return (self._trouble, HINT) if self._trouble is not None else None

    def stop(self) -> None:
        """End the thread, which may take as long as its question. It hands over and deletes nothing from here on."""
        self._stopping.set()

    def take(self, bodies: Sequence[str]) -> None:
        """Take messages in."""
        found = [event for body in bodies for event in events_of(body, self._bucket, self._prefix)]
        with self._lock:
            for key, version in found:
                number = entry_number(key)
                if number is not None:
                    self._number = max(self._number, number)
                elif key.startswith(_OURS) or paths.is_folder_marker(key) or paths.key_problem(key) is not None:
                    continue
                elif len(self._paths) < MOST:
                    # Two events may come in the wrong order: then neither version is known to be the last.
                    path = Path(key)
                    self._paths[path] = version if self._paths.get(path, version) == version else None
                else:
                    self._paths, self._everything = {}, True
        if found:
            self._wake()

    # --- the thread ---------------------------------------------------------------------------------------------

    def _run(self) -> None:
        failures = 0
        client: Any = None
        while not self._stopping.is_set():
            try:
                client = client or self._connect()
                self._listen(client)
                failures = 0
            except Exception as exc:  # whatever it is: hints are missing, and sync goes on without them
                client = None
                self._tell(f"no events from {self._queue_url}: {_words(exc)}")
                self._stopping.wait(BACK_OFF_S[min(failures, len(BACK_OFF_S) - 1)])
                failures += 1
                continue
            self._tell(None)

    def _listen(self, client: Any) -> None:
        reply = client.receive_message(
            QueueUrl=self._queue_url, MaxNumberOfMessages=10, WaitTimeSeconds=LONG_POLL_S, VisibilityTimeout=30
        )
        messages = reply.get("Messages", [])
        if not messages or self._stopping.is_set():
            return
        self.take([message.get("Body", "") for message in messages])
        entries = [{"Id": str(at), "ReceiptHandle": m["ReceiptHandle"]} for at, m in enumerate(messages)]
        failed = client.delete_message_batch(QueueUrl=self._queue_url, Entries=entries).get("Failed", [])
        if failed:
            # They come again, and again: harmless, but somebody pays for it.
            raise RuntimeError(f"{len(failed)} messages could not be deleted: {failed[0].get('Code')}")

    def _tell(self, trouble: str | None) -> None:
        if trouble == self._trouble:
            return
        self._trouble = trouble
        if trouble is not None:
            _log.warning("verb=push outcome=failed detail=%r", trouble)
        self._wake()

    def _connect(self) -> Any:
        import boto3  # noqa: PLC0415  40 MB, and only who wants events pays for it
        from botocore.config import Config  # noqa: PLC0415

        place = urlsplit(self._queue_url)
        named = _HOST.fullmatch(place.hostname or "")
        region = (named[1] or named[2]) if named else self._region
        session = boto3.Session(profile_name=self._profile, region_name=region or "us-east-1")
        return session.client(
            "sqs",
            endpoint_url=f"{place.scheme}://{place.netloc}",
            config=Config(
                connect_timeout=5,
                read_timeout=LONG_POLL_S + 10,
                retries={"total_max_attempts": 1, "mode": "standard"},
                user_agent_extra="dorkyd",
            ),
        )


def _words(exc: Exception) -> str:
    """What happened, without what may be secret: a service's own code and message, else the kind of error alone."""
    told = getattr(exc, "response", {}).get("Error", {})
    if told:
        return f"{told.get('Code')}: {told.get('Message')}"
    return str(exc) if isinstance(exc, RuntimeError) else type(exc).__name__
