"""A commit's bytes are its canonical form, its id is theirs, and reading trusts nothing."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from dorkyd.core.commits import (
    HEADER_BYTES,
    MESSAGE_BYTES,
    Commit,
    CommitFile,
    CommitId,
    commit_key,
    commit_seq,
    covers,
    decode,
    decode_header,
    differences,
    encode,
    follows,
    id_of,
    match,
    new_commit,
    object_content,
    object_key,
)
from dorkyd.core.metadata import hex_of
from dorkyd.core.model import Digest, Path, Version
from dorkyd.errors import Integrity, Refused


def digest(text: str) -> Digest:
    """Of a content."""
    return Digest("sha256:" + hashlib.sha256(text.encode()).hexdigest())


def file(path: str, text: str, mode: int | None = 0o644, version: str | None = "v1") -> CommitFile:
    """One file of a commit."""
    return CommitFile(Path(path), digest(text), len(text), mode, Version(version) if version is not None else None)


def commit(*files: CommitFile, message: str = "first", parent: tuple[int, CommitId] | None = None) -> Commit:
    """A commit of these."""
    return new_commit(
        files, parent=parent, author="Ann", device="A", time="2026-11-29T04:00:00Z", message=message, project="p1"
    )


SOME = commit(file("b/c", "2"), file("a", "1"), file("b-c", "3", None, None), file("ü \n", "4", 0o7))


def test_the_bytes_are_canonical_and_tell_the_id() -> None:
    """What is read is what was written, the files in order of their paths, and `sha256sum` of the object is the id."""
    text = encode(SOME)
    assert decode(text, 1) == SOME
    assert [one.path for one in SOME.files] == ["a", "b-c", "b/c", "ü \n"]
    assert id_of(text) == hashlib.sha256(text).hexdigest()
    assert b": " not in text
    assert b"\n" not in text


def test_a_b_a_are_three_commits() -> None:
    """The same state again has another parent, so it is another commit."""
    one = commit(file("f", "A"))
    two = commit(file("f", "B"), parent=(1, id_of(encode(one))))
    three = commit(file("f", "A"), parent=(2, id_of(encode(two))))
    assert len({id_of(encode(c)) for c in (one, two, three)}) == 3
    assert [c.header.seq for c in (one, two, three)] == [1, 2, 3]


def test_the_header_is_the_beginning() -> None:
    """However many files: the first bytes tell it, whatever the message says, and half of it is none."""
    message = ',"files":[' + "\\" + '"ü' * 2000
    made = commit(*(file(f"d/{n:04d}", str(n)) for n in range(2000)), message=message)
    text = encode(made)
    assert decode_header(text[:HEADER_BYTES], 1) == made.header
    assert decode_header(text[:100], 1) is None
    longest = commit(message="\x01" * MESSAGE_BYTES)
    assert decode_header(encode(longest)[:HEADER_BYTES], 1) == longest.header


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"seq": 2}, "number"),
        ({"seq": True}, "number"),
        ({"count": 7}, "counts"),
        ({"bytes": 0}, "counts"),
        ({"parent": "12"}, "parent"),
        ({"batch": "no batch"}, "batch"),
        ({"author": None}, "word"),
        ({"device": "x" * 256}, "too long"),
        ({"message": "x" * (MESSAGE_BYTES + 1)}, "too long"),
        ({"format": 2}, "format"),
        ({"files": None}, "files"),
        ({"files": [3]}, "file"),
        ({"extra": 1}, "canonical"),
    ],
)
def test_what_is_no_commit(words: dict[str, object], why: str) -> None:
    """Bytes that nobody would have written are refused, and the reason is said."""
    document = {**json.loads(encode(SOME)), **words}
    with pytest.raises(Integrity, match=why):
        decode(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(), 1)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"path": "../x"}, "path"),
        ({"path": ".dorky/x"}, "path"),
        ({"path": "z"}, "order"),
        ({"digest": "md5:1"}, "does not say"),
        ({"size": -1}, "does not say"),
        ({"mode": "9"}, "permission"),
        ({"mode": "0644"}, "permission"),
        ({"version": 5}, "version"),
    ],
)
def test_what_is_no_file_of_one(words: dict[str, object], why: str) -> None:
    """A path that leaves the folder, a digest that is none: the whole commit is refused."""
    document = json.loads(encode(SOME))
    document["files"][0] |= words
    with pytest.raises(Integrity, match=why):
        decode(json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode(), 1)


@pytest.mark.parametrize("text", [b"", b"{}", b"[]", b"\xff", b"[" * 100_000, b"null", b'{"format":1,"files":[]}'])
def test_garbage(text: bytes) -> None:
    """Whatever lies there."""
    with pytest.raises(Integrity):
        decode(text, 1)


@pytest.mark.parametrize("unseen", [[], ["b", "a"], ["a", "a"], ["/"], ["../a"], [1], "ab", None, {}])
def test_what_cannot_be_left_out(unseen: object) -> None:
    """Paths in order, where there are any."""
    words = {**json.loads(encode(SOME)), "unseen": unseen}
    with pytest.raises(Integrity):
        decode(json.dumps(words, ensure_ascii=False, separators=(",", ":")).encode(), 1)


def test_what_is_left_out() -> None:
    """It is in the bytes, covers folders whole, and makes no difference to the parent; what is added does."""
    partial = new_commit(
        SOME.files, parent=None, author="a", device="d", time="t", message="m", project="p", unseen=["x", "d/", "d-"]
    )
    assert decode(encode(partial), 1) == partial
    assert partial.unseen == ("d-", "d/", "x")
    hidden = covers(partial.unseen)
    assert [path for path in ("d", "d/e", "d/e/f", "d-", "d-/e", "x", "x/y", "e/d/f") if hidden(Path(path))] == [
        *("d/e", "d/e/f", "d-", "x")
    ]
    more = commit(*SOME.files, file("d/e", "5"))
    assert not follows(more, SOME.files, partial.unseen)
    assert follows(more, SOME.files, ["d"])
    assert follows(SOME, more.files, partial.unseen)


def test_spaces_are_another_document() -> None:
    """The same words, written otherwise, are refused: one state has one id."""
    with pytest.raises(Integrity, match="canonical"):
        decode(json.dumps(json.loads(encode(SOME))).encode(), 1)


def test_prefixes() -> None:
    """Four digits or more, and only one commit that they can mean."""
    ids = [CommitId("abcd1" + "0" * 59), CommitId("abcd2" + "0" * 59), CommitId("1" * 64)]
    assert match(ids, "ABCD1") == ids[0]
    assert match(ids, "1111") == ids[2]
    for text, code in [
        ("abcd", "ambiguous-commit"),
        ("111", "bad-commit-id"),
        ("xyz1", "bad-commit-id"),
        ("2222", "no-such-commit"),
    ]:
        with pytest.raises(Refused) as refused:
            match(ids, text)
        assert refused.value.code == code


def test_differences() -> None:
    """Added, removed, changed, and the bits alone; bits that nobody knows are no difference, nor is another version."""
    old = {f.path: f for f in (file("a", "1"), file("b", "1"), file("c", "1"), file("d", "1"), file("e", "1", None))}
    new = {
        f.path: f
        for f in (file("b", "2"), file("c", "1", 0o600), file("d", "1", version="v2"), file("e", "1"), file("f", "1"))
    }
    assert [(d.path, d.kind) for d in differences(old, new)] == [
        ("a", "removed"),
        ("b", "changed"),
        ("c", "mode"),
        ("f", "added"),
    ]


def test_keys() -> None:
    """Of commits and of contents; what is nobody's is left alone."""
    assert commit_seq(commit_key(7)) == 7
    assert commit_seq(".dorky/commits/7.json") is None
    d = digest("x")
    assert object_content(object_key(d)) == (hex_of(d), 1)
    assert object_content(object_key(d, 3)) == (hex_of(d), 3)
    for key in (object_key(d) + "-1", object_key(d) + "-0", object_key(d) + "x", ".dorky/objects/00/" + d[7:]):
        assert object_content(key) is None


def test_messages() -> None:
    """Text, not too long, and not empty."""
    assert commit(message="  a\n\nb \n").header.message == "a\n\nb"
    for text in ("", " \n", "a\0b", "\ud800", "x" * (MESSAGE_BYTES + 1)):
        with pytest.raises(Refused):
            commit(message=text)
    assert replace(SOME.header, batch="0" * 32).batch is not None
