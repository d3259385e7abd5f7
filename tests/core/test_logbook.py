"""The bucket's log as text: what is written is read, and nothing that is read is an error."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dorkyd.core.logbook import (
    LAST_NUMBER,
    UNREADABLE,
    Change,
    Entry,
    ProjectDocument,
    approvals,
    decode_entry,
    decode_project,
    encode_entry,
    encode_project,
    entry_key,
    entry_number,
)
from dorkyd.core.model import Op, Path, ReplicaId, Version
from dorkyd.core.settings import TrashLimits

PUT = Change(
    Path("d/é 🦊\n.txt"), "put", Op("a" * 32), Version("2"), "sha256:" + "a" * 64, 3, 0o644, Version("1"), False
)
GONE = Change(Path("g"), "delete", Op("b" * 32), None, None, None, None, Version("7"), True)
ENTRY = Entry(ReplicaId("r1"), "pc", "2026-11-03T14:15:30Z", (PUT, GONE))
DOCUMENT = json.loads(encode_entry(ENTRY))


def with_(**said: object) -> bytes:
    """The entry with some of its first change replaced."""
    return json.dumps({**DOCUMENT, "changes": [{**DOCUMENT["changes"][0], **said}, DOCUMENT["changes"][1]]}).encode()


def test_an_entry_is_read_as_written() -> None:
    """Every field comes back, and the whole made sense."""
    assert decode_entry(encode_entry(ENTRY)) == ENTRY
    assert ENTRY.whole


def test_an_entry_of_no_changes_is_whole() -> None:
    """Nothing announced is nothing to look at."""
    empty = Entry(ReplicaId("r"), "pc", "t", ())
    assert decode_entry(encode_entry(empty)) == empty


def test_who_it_was() -> None:
    """An entry may name the person; one that names nobody, as older ones do, is whole."""
    assert decode_entry(encode_entry(replace(ENTRY, author="Ann Lee"))).author == "Ann Lee"
    assert "author" not in DOCUMENT
    odd = decode_entry(json.dumps({**DOCUMENT, "author": 3}).encode())
    assert (odd.author, odd.whole) == ("", True)


def test_approval_is_said_only_where_there_is_one() -> None:
    """An entry carries no word about what nobody had to approve."""
    assert b'"approved":true' in encode_entry(ENTRY)
    assert "approved" not in DOCUMENT["changes"][0]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\0\xff\xfe",
        b"<xml/>",
        b"[]",
        b"null",
        b"3",
        b'"text"',
        b"{}",
        b"[" * 10**6,
        b'{"a":' * 10**5,
        b"9" * 10**5,
        b'{"format":' + b"9" * 10**5 + b"}",
        encode_entry(ENTRY)[:-5],
        encode_entry(ENTRY).decode().encode("utf-16")[:-1],
        json.dumps({**DOCUMENT, "format": 2}).encode(),
        json.dumps({**DOCUMENT, "format": "1"}).encode(),
        json.dumps({**DOCUMENT, "changes": {"path": "f"}}).encode(),
        json.dumps({**DOCUMENT, "changes": None}).encode(),
        json.dumps({key: value for key, value in DOCUMENT.items() if key != "changes"}).encode(),
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_what_is_no_entry_reads_as_something_happened(text: bytes) -> None:
    """An entry that makes no sense, or is of another format, says only that a listing must settle it."""
    assert decode_entry(text) == UNREADABLE
    assert not UNREADABLE.whole


@pytest.mark.parametrize(
    "path",
    [
        None,
        7,
        ["f"],
        "",
        "/etc/passwd",
        "../f",
        "a/../../f",
        "a//f",
        "./f",
        "f/",
        ".git/hooks/pre-commit",
        "a/.GIT/x",
        ".dorky/folder.json",
        "a\0b",
        "\ud800",
        "x" * 256,
        "x/" * 600 + "x",
    ],
    ids=lambda path: ascii(path)[:20],
)
def test_a_path_that_can_be_none_here_is_left_out(path: object) -> None:
    """A key that would leave the folder, is reserved or is no text is not looked at; the rest of the entry is."""
    found = decode_entry(with_(path=path))
    assert (found.changes, found.whole) == ((GONE,), False)


@pytest.mark.parametrize("change", [None, 3, "f", [], {}, {"path": "f"}, {"path": "f", "verb": "put"}])
def test_what_is_no_change_is_left_out(change: object) -> None:
    """The rest of the entry counts, and a listing is asked for."""
    found = decode_entry(json.dumps({**DOCUMENT, "changes": [change, DOCUMENT["changes"][1]]}).encode())
    assert (found.changes, found.whole) == ((GONE,), False)


@pytest.mark.parametrize("key", ["op", "verb"])
@pytest.mark.parametrize("value", [None, 3, {}, "\ud800"])
def test_a_change_without_op_or_verb_is_left_out(key: str, value: object) -> None:
    """Who did what is not guessed."""
    assert decode_entry(with_(**{key: value})).changes == (GONE,)


@pytest.mark.parametrize("value", [3, [], {}, True, "\udcff"])
@pytest.mark.parametrize("key", ["version", "digest", "replaces"])
def test_a_field_that_is_no_text_reads_as_not_said(key: str, value: object) -> None:
    """Neither wrong types nor broken text (a lone surrogate, which no database takes) get any further."""
    found = decode_entry(with_(**{key: value}))
    assert getattr(found.changes[0], key) is None
    assert found.changes[0].path == PUT.path


@pytest.mark.parametrize("size", ["3", 3.0, None, True, -1, 2**63, [], {}])
def test_a_size_that_is_no_count_of_bytes_reads_as_not_said(size: object) -> None:
    """A size is a number of bytes that a database can hold."""
    assert decode_entry(with_(size=size)).changes[0].size is None


@pytest.mark.parametrize("mode", [420, "rwx", "9", "", "-1", "7" * 99, None, []])
def test_a_malformed_mode_reads_as_not_said(mode: object) -> None:
    """Octal digits, as in an object's metadata, or nothing."""
    assert decode_entry(with_(mode=mode)).changes[0].mode is None


def test_only_permission_bits_are_read() -> None:
    """Set-uid and its kind get in by no door."""
    assert decode_entry(with_(mode="4755")).changes[0].mode == 0o755


@pytest.mark.parametrize("approved", [1, "true", [1], {}, None, False])
def test_only_true_is_an_approval(approved: object) -> None:
    """A deletion passes a guard on nothing less."""
    assert decode_entry(with_(approved=approved)).changes[0].approved is False


@pytest.mark.parametrize("key", ["replica", "device", "time"])
@pytest.mark.parametrize("value", [None, 3, [], "\ud800"])
def test_who_and_when_may_be_missing(key: str, value: object) -> None:
    """They are for people: the changes count without them."""
    found = decode_entry(json.dumps({**DOCUMENT, key: value}).encode())
    assert getattr(found, key) == ""
    assert (found.changes, found.whole) == (ENTRY.changes, True)


def test_endless_names_are_cut() -> None:
    """What people are shown has a bound."""
    found = decode_entry(json.dumps({**DOCUMENT, "device": "d" * 10**5, "time": "t" * 10**5}).encode())
    assert (len(found.device), len(found.time)) == (255, 40)


@pytest.mark.slow
def test_a_million_changes_are_nobodys() -> None:
    """Far more than we ever write costs more looks than a listing, which settles it."""
    change = json.dumps({"path": "f", "verb": "put", "op": "x"})
    text = f'{{"format":1,"changes":[{",".join([change] * 10**6)}]}}'.encode()
    assert decode_entry(text) == UNREADABLE


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)
FIELDS = sorted(DOCUMENT["changes"][0])


@given(st.lists(st.dictionaries(st.sampled_from([*FIELDS, "approved"]), json_values)))
def test_what_is_read_can_be_stored(changes: list[object]) -> None:
    """Whatever an entry says, each change that is read is UTF-8 text and numbers of a database's size."""
    found = decode_entry(json.dumps({**DOCUMENT, "changes": changes}).encode())
    for change in found.changes:
        for text in (change.path, change.verb, change.op, change.version, change.digest, change.replaces):
            assert text is None or isinstance(text.encode(), bytes)
        assert change.size is None or 0 <= change.size < 2**63


@given(st.binary(max_size=200))
def test_reading_is_total(text: bytes) -> None:
    """No bytes are an error."""
    decode_entry(text)
    decode_project(text)


# --- the project's document, keys, approvals --------------------------------------------------------------------------


def test_the_projects_document_is_read_as_written() -> None:
    """Id and floor come back."""
    document = ProjectDocument("p1", 17, TrashLimits(days=1.5, size=7))
    assert decode_project(encode_project(document)) == document


@pytest.mark.parametrize(
    "said",
    [
        {"format": 2},
        {"format": None},
        {"project_id": ""},
        {"project_id": 3},
        {"project_id": None},
        {"project_id": "\ud800"},
        {"floor": "1"},
        {"floor": None},
        {"floor": 1.5},
        {"floor": True},
        {"floor": -1},
        {"floor": LAST_NUMBER + 1},
    ],
    ids=str,
)
def test_a_document_that_makes_no_sense_is_none(said: dict[str, object]) -> None:
    """A later format or a broken document is not guessed at: the project stops and says so."""
    document = {"format": 1, "project_id": "p", "floor": 1} | said
    assert decode_project(json.dumps(document).encode()) is None


def test_a_document_without_a_floor_begins_at_one() -> None:
    """Nothing was ever compacted."""
    assert decode_project(b'{"format":1,"project_id":"p"}') == ProjectDocument("p", 1)


@pytest.mark.parametrize("number", [0, 1, 17, LAST_NUMBER])
def test_a_number_and_its_key_are_each_others_inverse(number: int) -> None:
    """Keys have twelve digits, so that their order is the numbers' order."""
    assert entry_number(entry_key(number)) == number
    assert entry_key(17) == ".dorky/log/000000000017.json"


@pytest.mark.parametrize(
    "key",
    [
        "",
        ".dorky/log/17.json",
        ".dorky/log/0000000000017.json",
        ".dorky/log/000000000017.json.tmp",
        ".dorky/log/000000000017.json\n",
        "x/.dorky/log/000000000017.json",
        ".dorky/log/00000000001x.json",
        ".dorky/log/00000000001\u0667.json",
    ],
)
def test_other_keys_are_no_entries(key: str) -> None:
    """What lies beside the entries has no number."""
    assert entry_number(key) is None


def test_approvals_name_the_state_deleted() -> None:
    """Peers let exactly these through: approved deletions of a known state."""
    unknown = Change(Path("h"), "delete", Op("c" * 32), None, None, None, None, None, True)
    edit = Change(Path("i"), "put", Op("d" * 32), Version("2"), None, None, None, Version("1"), True)
    plain = Change(Path("j"), "delete", Op("e" * 32), None, None, None, None, Version("1"), False)
    assert approvals([PUT, GONE, unknown, edit, plain]) == [(Path("g"), Version("7"))]
