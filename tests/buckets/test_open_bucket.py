"""Which bucket a URL means."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dorkyd.buckets import open_bucket, prepare
from dorkyd.buckets.directory import DirectoryBucket
from dorkyd.core.settings import Project
from dorkyd.errors import Configuration


def project(url: str) -> Project:
    """A project with this bucket."""
    return Project(name="p", path="/p", bucket=url)


def test_file(tmp_path: Path) -> None:
    """A file URL is a plain path, in which a percent sign means itself."""
    bucket = open_bucket(project(f"file://{tmp_path}/my%20bucket"))
    assert isinstance(bucket, DirectoryBucket)
    assert bucket.url == f"file://{tmp_path}/my%20bucket"
    assert (tmp_path / "my%20bucket").is_dir()


def test_s3() -> None:
    """An S3 URL is opened without asking the store anything."""
    from dorkyd.buckets.s3 import S3Bucket

    opened = project("s3://bucket/prefix")
    assert isinstance(open_bucket(opened), S3Bucket)


@pytest.mark.parametrize(
    "url",
    ["", "bucket", "/dir", "file://host/dir", "file://", "s3://", "s3:///prefix", "gs://", "gs:///prefix", "ftp://x/y"],
)
def test_bad_url(url: str) -> None:
    """A URL that names no bucket is an error of configuration with a hint."""
    with pytest.raises(Configuration) as caught:
        open_bucket(project(url))
    assert caught.value.hint


def test_google() -> None:
    """A Google Cloud Storage URL is opened without asking the store anything."""
    from dorkyd.buckets.gcs import GcsBucket

    assert isinstance(open_bucket(project("gs://bucket/prefix")), GcsBucket)


@pytest.mark.parametrize("url", ["s3://b/p", "gs://b/p", "file:///d"])
def test_preparing_never_fails(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Nobody waits for it, so that nobody would hear: an SDK that is missing is told of where it is needed."""
    prepare(Project("api", "/f", url))
    monkeypatch.setitem(sys.modules, "boto3.session", None)
    prepare(Project("api", "/f", url))
