"""Stores that can hold a team's files, one module each."""

from __future__ import annotations

import contextlib
from urllib.parse import urlsplit

from dorkyd.buckets.directory import DirectoryBucket
from dorkyd.core.settings import Project
from dorkyd.errors import Configuration
from dorkyd.ports import Bucket

_FORMS = "write s3://bucket/prefix, gs://bucket/prefix or file:///directory"


def prepare(project: Project) -> None:
    """Load what the project's store will need, on a thread that nobody waits for. What fails here fails again where it is
    needed, and is told there.
    """
    if project.bucket.startswith("s3://"):
        with contextlib.suppress(ImportError):
            from dorkyd.buckets import fastlane, s3_client  # noqa: F401, PLC0415

            s3_client.load()


def open_bucket(project: Project, *, create: bool = False) -> Bucket:
    """The project's bucket, chosen by the scheme of its URL. Asks the store nothing.

    A file URL is a plain absolute path: nothing in it is percent-decoded. `create` makes the directory with all its
    parents, which only the embedded bucket wants; see `DirectoryBucket`.

    Raises `Configuration` for a URL that names no bucket.
    """
    url = project.bucket
    scheme, separator, rest = url.partition("://")
    where = f"project {project.name}: bucket {url!r}"
    if not separator:
        raise Configuration(f"{where} is no URL", hint=_FORMS)
    match scheme:
        case "file":
            if not rest.startswith("/"):
                raise Configuration(f"{where} names no absolute directory", hint="write file:///directory")
            return DirectoryBucket(rest, create=create)
        case "s3":
            if not urlsplit(url).netloc:
                raise Configuration(f"{where} names no bucket", hint="write s3://bucket/prefix")
            # Only here, so that nobody else pays for importing boto3.
            from dorkyd.buckets.fastlane import FastLane  # noqa: PLC0415

            return FastLane(url, endpoint_url=project.endpoint_url, region=project.region, profile=project.profile)
        case "gs":
            if not urlsplit(url).netloc:
                raise Configuration(f"{where} names no bucket", hint="write gs://bucket/prefix")
            # Only here, so that nobody else pays for importing the SDK.
            from dorkyd.buckets.gcs import GcsBucket  # noqa: PLC0415

            return GcsBucket(url, endpoint_url=project.endpoint_url)
        case _:
            raise Configuration(f"{where}: {scheme}:// is no store that dorkyd knows", hint=_FORMS)
