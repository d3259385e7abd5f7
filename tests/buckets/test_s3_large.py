"""What is large, on S3: sessions that outlive a process, copies in parts, downloads in ranges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest

from dorkyd.buckets.s3 import S3Bucket
from tests.buckets.session_contract import SessionContract
from tests.buckets.test_s3 import open_s3
from tests.servers import Server

pytestmark = pytest.mark.s3

MIB = 1024 * 1024
SMALL = {"parts_over_bytes": 8 * MIB, "part_bytes": 5 * MIB}


class _Sessions(SessionContract):
    session_bytes: ClassVar[int] = 22 * MIB

    @pytest.fixture
    def bucket(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Bucket]:
        server.enter(monkeypatch)
        bucket = open_s3(server, **SMALL)
        yield bucket
        bucket.close()

    @pytest.fixture
    def other(self, server: Server, bucket: S3Bucket) -> Iterator[S3Bucket]:
        other = open_s3(server, bucket.url.split("/")[2], **SMALL)
        yield other
        other.close()


class TestSeaweedSessions(_Sessions):
    @pytest.fixture
    def server(self, seaweed: Server) -> Server:
        return seaweed


class TestSeaweedTlsSessions(_Sessions):
    @pytest.fixture
    def server(self, seaweed_tls: Server) -> Server:
        return seaweed_tls


class TestMotoSessions(_Sessions):
    """moto ignores If-Match of CompleteMultipartUpload, which the probe reports."""

    test_session_stale_update = None  # type: ignore[assignment]

    @pytest.fixture
    def server(self, moto: Server) -> Server:
        return moto
