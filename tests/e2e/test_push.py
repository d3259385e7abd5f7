"""Real daemons hear of changes through a queue of SQS, on a local server that delivers S3's events."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemons import wait_until
from tests.e2e.places import s3_place
from tests.servers import REGION, Server

pytestmark = [pytest.mark.daemon, pytest.mark.s3]

SOON_S = 30.0
"""Far below the polls' 600 s, and far above what it takes."""


@contextlib.contextmanager
def _sqs(server: Server) -> Iterator[Any]:
    import boto3

    client = boto3.client(
        "sqs",
        endpoint_url=server.endpoint_url,
        region_name=REGION,
        aws_access_key_id=server.access_key,
        aws_secret_access_key=server.secret_key,
    )
    with contextlib.closing(client):
        yield client


def test_a_saved_file_arrives_without_a_poll(tmp_path: Path, moto: Server) -> None:
    """With polls ten minutes apart a change reaches the other device in seconds, past garbage in the queue; every message
    is taken from it.
    """
    with s3_place(tmp_path, moto) as place, _sqs(moto) as sqs:
        bucket = place.bucket.removeprefix("s3://").partition("/")[0]
        queue = sqs.create_queue(QueueName=f"q-{bucket}")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
        told = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"]}
        with contextlib.closing(moto.client()) as s3:
            s3.put_bucket_notification_configuration(
                Bucket=bucket, NotificationConfiguration={"QueueConfigurations": [told]}
            )
        common = {"single_writer": True, "poll_s": 600, "list_every_s": 3600, "settle_s": 0.05}
        a = place.device("a", **common)
        b = place.device("b", push={"queue_url": queue}, **common)
        a.start().sync()
        b.start().sync()
        for garbage in ("nonsense", '{"Event": "s3:TestEvent"}', '{"Records": [{"s3": 7}]}'):
            sqs.send_message(QueueUrl=queue, MessageBody=garbage)
        took: list[float] = []
        for n in range(5):
            begun = time.monotonic()
            (a.root / "f").write_text(f"text {n}")
            wait_until(f"change {n}", lambda n=n: _text(b.root / "f") == f"text {n}", SOON_S)  # type: ignore[misc]
            took.append(time.monotonic() - begun)
        # 0.3 s on two cores shared with everything else. Not a timed test, but a poll cannot have brought it.
        assert statistics.median(took) < SOON_S / 3
        (a.root / "f").unlink()
        wait_until("the deletion", lambda: not (b.root / "f").exists(), SOON_S)
        wait_until("an empty queue", lambda: _waiting(sqs, queue) == 0, SOON_S)
        assert "push" not in {warning.code for warning in b.status().warnings}


def test_a_queue_that_is_gone_is_a_warning(tmp_path: Path, moto: Server) -> None:
    """Sync does without it, and status says what is missing."""
    with s3_place(tmp_path, moto) as place:
        b = place.device("b", single_writer=True, push={"queue_url": f"{moto.endpoint_url}/123456789012/none"})
        (b.root / "f").write_text("x")
        b.start().sync()
        wait_until("the warning", lambda: "push" in {warning.code for warning in b.status().warnings}, SOON_S)
        assert place.live() == {"f": b"x"}


def _text(file: Path) -> str:
    with contextlib.suppress(FileNotFoundError):
        return file.read_text()
    return ""


def _waiting(sqs: Any, queue: str) -> int:
    names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
    told = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
    return sum(int(count) for count in told.values())
