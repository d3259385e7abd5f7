"""The lock file: the same text for the same commit, one line a file, read without trust."""

from __future__ import annotations

import pytest

from dorkyd.core.commits import CommitId
from dorkyd.core.lockfile import Lock, decode_lock, encode_lock
from dorkyd.core.model import Digest, Path
from dorkyd.errors import Refused

D = Digest("sha256:" + "d" * 64)
LOCK = Lock("p1", "s3://acme/api", CommitId("c" * 64), {Path("b\n"): D, Path("a/é"): D})
TEXT = """{
 "format": 1,
 "project": "p1",
 "bucket": "s3://acme/api",
 "commit": "CCC",
 "files": {
  "a/é": "DDD",
  "b\\n": "DDD"
 }
}
""".replace("CCC", "c" * 64).replace("DDD", D)


def test_the_text() -> None:
    """What people see in a diff, whatever order the files came in."""
    assert encode_lock(LOCK) == TEXT
    assert decode_lock(TEXT) == LOCK


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "<<<<<<< ours\n" + TEXT,
        TEXT.replace('"format": 1', '"format": 2'),
        TEXT.replace("c" * 64, "c" * 63),
        TEXT.replace('"project": "p1"', '"project": 1'),
        TEXT.replace("a/é", "../a"),
        TEXT.replace('"b\\n"', '"a/é"'),
        TEXT.replace('"' + D + '"', "1"),
        "[" * 10**5,
    ],
)
def test_what_is_no_lock(text: str) -> None:
    """Refused, with what to do; a merge that kept both of two lines as well."""
    with pytest.raises(Refused) as error:
        decode_lock(text)
    assert (error.value.code, bool(error.value.hint)) == ("bad-lock", True)
