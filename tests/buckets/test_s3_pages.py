"""Pages of a listing, parsed here: as the SDK would, or not at all."""

from __future__ import annotations

import datetime as dt

import pytest

from dorkyd.buckets.s3_pages import Row, split

AT = int(dt.datetime(2026, 11, 22, 22, 46, 15, tzinfo=dt.UTC).timestamp())
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
    assert entries == [Row("api/a%20b", "00ff", 5, AT), Row("api/x&y", "ab-2", 0, AT)]
    assert b"Contents" not in rest
    assert b"<KeyCount>2</KeyCount>" in rest


@pytest.mark.parametrize("last", [b"", b"<Owner><ID>1</ID></Owner>", b"<StorageClass>GLACIER</StorageClass>"])
def test_many_entries_like_the_first_and_one_that_is_not(last: bytes) -> None:
    """However the tags of one entry differ from those of the others, all of the page is read, in its order."""
    one = b"<Contents><Size>%d</Size><ETag>a</ETag><Key>k%d</Key><LastModified>2026-11-22T22:46:15Z</LastModified>"
    page = b"".join(one % (n, n) + (last if n == 7 else b"") + b"</Contents>" for n in range(9))
    parsed = split(b"<ListBucketResult>" + page + b"</ListBucketResult>")
    assert parsed == (b"<ListBucketResult></ListBucketResult>", [Row(f"k{n}", "a", n, AT) for n in range(9)])


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
