"""Pages of a listing, parsed here: as the SDK would, or not at all."""

from __future__ import annotations

import datetime as dt

import pytest

from dorkyd.buckets.s3_pages import split

AT = dt.datetime(2026, 11, 22, 22, 46, 15, tzinfo=dt.UTC)
AWS = (
    b'<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    b"<Name>team</Name><Prefix>api/</Prefix><IsTruncated>false</IsTruncated>"
    b"<Contents><Key>api/a%20b</Key><LastModified>2026-11-22T22:46:15.000Z</LastModified><ETag>&quot;00ff&quot;</ETag>"
    b"<ChecksumAlgorithm>SHA256</ChecksumAlgorithm><Size>5</Size><StorageClass>STANDARD</StorageClass></Contents>"
    b"<Contents><Key>api/x&amp;y</Key><LastModified>2026-11-22T22:46:15Z</LastModified><ETag>&#34;ab-2&#34;</ETag>"
    b"<Size>0</Size><Owner><ID>1</ID></Owner></Contents><KeyCount>2</KeyCount></ListBucketResult>"
)


def test_entries() -> None:
    """Entries come with key, tag without quotes, size and time, and the rest of the page is left for the SDK."""
    parsed = split(AWS)
    assert parsed is not None
    rest, entries = parsed
    assert entries == [
        {"Key": "api/a%20b", "ETag": "00ff", "Size": 5, "LastModified": AT},
        {"Key": "api/x&y", "ETag": "ab-2", "Size": 0, "LastModified": AT},
    ]
    assert b"Contents" not in rest
    assert b"<KeyCount>2</KeyCount>" in rest


@pytest.mark.parametrize(
    ("plain", "other"),
    [
        (b"<Key>api/a%20b</Key>", b"<Key><![CDATA[api/a b]]></Key>"),
        (b"<Key>api/a%20b</Key>", b"<Key>api/a&#x9;b</Key>"),
        (b"<Key>api/a%20b</Key>", b"<Key>\xff</Key>"),
        (b"<Key>api/a%20b</Key>", b""),
        (b"<Size>5</Size>", b"<Size>5</Size><Size>6</Size>"),
        (b"<Size>5</Size>", b"<Size>many</Size>"),
        (b"2026-11-22T22:46:15.000Z", b"yesterday"),
        (b"2026-11-22T22:46:15.000Z", b"2026-11-22T22:46:15"),
        (b"</Contents><Contents>", b"</Contents>\n<Contents>"),
        (b"<Contents>", b"<s3:Contents>"),
        (b"&quot;00ff&quot;", b"&apos;00ff&apos;"),
    ],
)
def test_anything_else_is_left_to_the_sdk(plain: bytes, other: bytes) -> None:
    """A page in another form is not guessed at."""
    assert split(AWS.replace(plain, other)) is None


def test_empty_page() -> None:
    """A page without entries is the SDK's."""
    assert split(b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>") is None
