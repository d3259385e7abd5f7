"""The npm tool's files, read without trust."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dorkyd.core.npm_dorky import Account, parse_project, pushed_key
from dorkyd.errors import Refused
from tests.npm.tool import KEY_ID, SECRET

MD5 = "ef690809a391f839b909e303e8d1f888"


def _metadata(staged: Any, uploaded: Any = None) -> str:
    return json.dumps({"stage-1-files": staged, "uploaded-files": uploaded or {}})


def _told(hashed: object = MD5) -> dict[str, object]:
    return {"mime-type": "text/plain", "hash": hashed}


def test_what_it_tracks() -> None:
    """Staged and pushed files with their MD5s, by the path that their objects have."""
    other = "0" * 32
    project = parse_project(
        _metadata({"./a": _told(), "d\\b": _told(other)}, {"a": _told(other), "c": _told()}), None, None
    )
    assert {path: (claim.staged, claim.pushed) for path, claim in project.claims.items()} == {
        "a": (MD5, other),
        "c": (None, MD5),
        "d/b": (other, None),
    }
    assert (project.pushes, project.account, project.unusable) == ((), None, ())


@pytest.mark.parametrize(
    "name", ["../up", "a/../../up", "/etc/passwd", "C:\\x", "\\x", ".dorky/x", "a/.git/config", "", "a\0b"]
)
def test_a_name_that_is_no_path(name: str) -> None:
    """What lies outside the folder, or is reserved, is told of and never joined to anything."""
    project = parse_project(_metadata({name: _told(), "a": _told()}), None, None)
    assert list(project.claims) == ["a"]
    assert [each.name for each in project.unusable] == [name]


@pytest.mark.parametrize("hashed", [None, 3, "", MD5.upper(), MD5 + "0", "x" * 32])
def test_a_hash_that_is_no_md5(hashed: object) -> None:
    """It is not known then."""
    claim = parse_project(_metadata({"a": _told(hashed)}), None, None).claims
    assert [each.staged for each in claim.values()] == [None]


def test_history() -> None:
    """Pushes in their order; an id may come twice."""
    entries = [{"id": "34aaf3c3", "timestamp": "2026-04-22T18:30:13.819Z", "files": {".env": _told()}}] * 2
    pushes = parse_project(None, json.dumps(entries), None).pushes
    assert [(push.id, push.at, dict(push.files)) for push in pushes] == [
        ("34aaf3c3", "2026-04-22T18:30:13.819Z", {".env": MD5})
    ] * 2


def test_credentials_without_the_secret() -> None:
    """The bucket, the region and the end of the key's id; the secret is in nothing that comes out."""
    written = {"storage": "aws", "accessKey": KEY_ID, "secretKey": SECRET, "awsRegion": "eu-west-1", "bucket": "acme"}
    project = parse_project(None, None, json.dumps(written))
    assert project.account == Account("aws", "acme", "eu-west-1", "7KQX", secret=True)
    assert SECRET not in repr(project)
    assert KEY_ID not in repr(project)


def test_a_google_drive_token() -> None:
    """No bucket; the token is a secret."""
    written = {"storage": "google-drive", "access_token": SECRET, "expiry_date": 1}
    assert parse_project(None, None, json.dumps(written)).account == Account("google-drive", secret=True)


def test_a_short_key_is_not_told_by_its_end() -> None:
    """Four characters of eight would be half of it."""
    account = parse_project(None, None, json.dumps({"storage": "aws", "accessKey": "minioadm"})).account
    assert account == Account("aws")


def test_early_versions_and_empty_files() -> None:
    """A list without entries, no document, and a file without a byte are nothing tracked."""
    for metadata in ('{"stage-1-files": [], "uploaded-files": []}', "{}", "", "null", None):
        assert parse_project(metadata, "", None).claims == {}


def test_encryption_is_noticed() -> None:
    """Its objects would not be the files' bytes."""
    assert parse_project('{"encryption": {"algorithm": "aes-256-gcm"}}', None, None).encrypted


@pytest.mark.parametrize(
    ("metadata", "history", "credentials"),
    [
        ("{", None, None),
        ("[" * 100_000, None, None),
        ("[]", None, None),
        ('{"stage-1-files": ["a"]}', None, None),
        (None, "{}", None),
        (None, "[3]", None),
        (None, '[{"id": 3}]', None),
        (None, None, f'{{"secretKey": "{SECRET}"'),
        (None, None, f'["{SECRET}"]'),
    ],
)
def test_malformed(metadata: str | None, history: str | None, credentials: str | None) -> None:
    """Refused by the file's name; the text is not quoted, since it may be a secret."""
    with pytest.raises(Refused) as refused:
        parse_project(metadata, history, credentials)
    assert refused.value.code == "npm-malformed"
    assert SECRET not in str(refused.value)


def test_keys_of_its_history() -> None:
    """Only copies of a push are; a file of a like name is a file."""
    assert pushed_key(".dorky-history/34aaf3c3/d/f") == ("34aaf3c3", "d/f")
    for key in (".dorky-history", ".dorky-history/", ".dorky-history/x", ".dorky-history/x/", "d/.dorky-history/x/y"):
        assert pushed_key(key) is None
