"""Commits: immutable snapshots of a project, as the bytes that stand in the bucket.

What holds of every commit:

1. *Its bytes are its canonical form, and its id is their SHA-256*: UTF-8 JSON without spaces, keys in one order, files
   sorted by path. Bytes that would be written otherwise are no commit, so one state has one id and `sha256sum` tells it.
2. *It names its parent by id*, so that whoever changes an earlier commit changes the id of none that follows it, and is
   found out by the next.
3. *The header comes first*: a listing reads the beginning of each document, however many files it has.
4. Its number, the parent's and one more, decides races: the document is created only where nothing stands.
5. *Of an encrypted file it tells neither digest nor size*: its keyed digest, and the epoch whose key made that
   (`dorkyd.core.sealing`). Its content is kept as the ciphertext it was, under the keyed digest.
6. *What it does not say is not said to be gone*: what its author's device ignores is named behind the files, where there is any.

Reading trusts nothing: a bucket may hold anything under `.dorky/commits/`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NewType, cast

from dorkyd.core.metadata import hex_of, is_batch, is_epoch
from dorkyd.core.model import PERMISSION_BITS, Digest, Path, Version
from dorkyd.core.paths import ancestors, parse
from dorkyd.core.sealing import KEYED
from dorkyd.errors import Integrity, PathProblem, Refused

CommitId = NewType("CommitId", str)
"""64 hexadecimal digits: the SHA-256 of a commit's bytes."""

COMMITS = ".dorky/commits/"
OBJECTS = ".dorky/objects/"
FORMAT = 1
LAST_NUMBER = 999_999_999_999
"""Numbers have 12 digits."""
MESSAGE_BYTES = 16 * 1024
"""A message may have so many."""
PREFIX_DIGITS = 4
"""The beginning of an id counts from so many digits on."""
HEADER_BYTES = 128 * 1024
"""A header, with the longest message that JSON can spell, has fewer."""
DOCUMENT_BYTES = 1024 * 1024 * 1024
"""A larger document is nobody's commit."""

_KEY = re.compile(r"\.dorky/commits/([0-9]{12})\.json")
_OBJECT = re.compile(r"\.dorky/objects/([0-9a-f]{2})/(\1[0-9a-f]{62})(?:-([1-9][0-9]{0,5}))?")
_ID = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_KEYED = re.compile(rf"{KEYED}[0-9a-f]{{64}}")
_MODE = re.compile(r"[0-7]{3}")
_SIZE_LIMIT = 2**63
_NAME_BYTES = 255
_UNSEEN = "unseen"
_FILES = b',"files":['
"""What ends a header. No string can hold it: JSON escapes the quotation mark."""


@dataclass(frozen=True, slots=True)
class CommitFile:
    """One file of a commit."""

    path: Path
    digest: Digest
    """Of an encrypted file its keyed digest (`core.sealing.keyed_of`)."""
    size: int | None
    """Bytes; None: it is encrypted, and nobody is told."""
    mode: int | None
    """Permission bits; None: the object did not say."""
    version: Version | None
    """The state of the plain object when the commit was made; None: it was not there yet (a push)."""
    epoch: str | None = None
    """Of an encrypted file: whose key opens what is kept of it, and made its digest. None: it is plain."""

    @property
    def sealed(self) -> str | None:
        """As `Remote.sealed`."""
        return None if self.epoch is None else f"{self.epoch}:{hex_of(self.digest)}"

    def same_as(self, other: CommitFile) -> bool:
        """The same content under the same permission bits; bits that one of the two does not know match any."""
        return self.digest == other.digest and (None in (self.mode, other.mode) or self.mode == other.mode)


@dataclass(frozen=True, slots=True)
class Header:
    """All of a commit but its files."""

    seq: int
    """Its number, from 1."""
    parent: CommitId | None
    """The commit before it; None: it is the first."""
    author: str
    """The person, as they call themselves."""
    device: str
    time: str
    """RFC 3339, UTC, by the author's clock: for people."""
    message: str
    project: str
    """The project's id."""
    batch: str | None
    """The atomic batch whose copies to the plain paths a push makes after it; None: the plain paths held it already."""
    count: int
    """Files."""
    bytes: int
    """Theirs, together, without those that are encrypted."""


@dataclass(frozen=True, slots=True)
class Named:
    """A commit by its id, without its files, as its document stood in the bucket."""

    id: CommitId
    version: Version
    """Of the document."""
    header: Header


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit, whole."""

    header: Header
    files: tuple[CommitFile, ...]
    """Sorted by path, each path once."""
    unseen: tuple[str, ...] = ()
    """What the bucket held and its author's device ignores, sorted: paths, and folders with a closing `/`. Of these, and of what is in
    such folders, it says nothing.
    """

    @property
    def by_path(self) -> dict[Path, CommitFile]:
        """The files by their paths."""
        return {file.path: file for file in self.files}


@dataclass(frozen=True, slots=True)
class Difference:
    """One path that two states do not agree on."""

    path: Path
    old: CommitFile | None
    """None: it was not there."""
    new: CommitFile | None
    """None: it is not there any more."""
    waits: str = ""
    """Why nobody here can say whether its content differs: both are encrypted, to different keys. Empty: it is known."""

    @property
    def kind(self) -> str:
        """`added`, `removed`, `changed`, `mode` where the permission bits alone differ, or `unknown`: see `waits`."""
        if self.old is None:
            return "added"
        if self.new is None:
            return "removed"
        if self.waits:
            return "unknown"
        return "mode" if self.old.digest == self.new.digest else "changed"


# --- keys ------------------------------------------------------------------------------------------------------------


def commit_key(seq: int) -> str:
    """Where the commit of a number stands."""
    return f"{COMMITS}{seq:012d}.json"


def commit_seq(key: str) -> int | None:
    """The number of a commit's key; None: no commit's key."""
    found = _KEY.fullmatch(key)
    return int(found[1]) if found else None


def object_key(digest: Digest, name: int = 1) -> str:
    """Where the bucket keeps a content that commits need. One whose first name was condemned (`dorkyd.core.garbage`) is kept
    under its second, and so on: readers take any.
    """
    digits = hex_of(digest)
    return f"{OBJECTS}{digits[:2]}/{digits}" + (f"-{name}" if name > 1 else "")


def object_content(key: str) -> tuple[str, int] | None:
    """Whose key it is: the hexadecimal digits of the content's digest, and the number of the name. None: nobody's."""
    found = _OBJECT.fullmatch(key)
    return None if found is None or found[3] == "1" else (found[2], int(found[3] or 1))


# --- writing ---------------------------------------------------------------------------------------------------------


def new_commit(
    files: Iterable[CommitFile],
    *,
    parent: tuple[int, CommitId] | None,
    author: str,
    device: str,
    time: str,
    message: str,
    project: str,
    batch: str | None = None,
    unseen: Iterable[str] = (),
) -> Commit:
    """A commit that follows `parent` (its number and id). `Refused` (`bad-message`) for a message that cannot be one."""
    ordered = tuple(sorted(files, key=lambda file: file.path))
    header = Header(
        seq=parent[0] + 1 if parent is not None else 1,
        parent=parent[1] if parent is not None else None,
        author=_name(author) or "unknown",
        device=_name(device) or "unknown",
        time=time,
        message=checked_message(message),
        project=project,
        batch=batch,
        count=len(ordered),
        bytes=_bytes(ordered),
    )
    return Commit(header, ordered, tuple(sorted(unseen)))


def checked_message(text: str) -> str:
    """A message without blank lines around it."""
    message = text.strip()
    if not message:
        raise Refused("a commit needs a message", code="bad-message", hint='dorkyctl commit -m "what changed, and why"')
    if "\0" in message or not _is_text(message) or len(message.encode()) > MESSAGE_BYTES:
        raise Refused(
            f"a message is text of at most {MESSAGE_BYTES} bytes", code="bad-message", hint="say it in fewer words"
        )
    return message


def encode(commit: Commit) -> bytes:
    """The bytes of a commit, which are its canonical form."""
    files = [
        {
            "path": file.path,
            "digest": file.digest,
            **({"size": file.size} if file.epoch is None else {"epoch": file.epoch}),
            "mode": None if file.mode is None else f"{file.mode:03o}",
            "version": file.version,
        }
        for file in commit.files
    ]
    unseen = {_UNSEEN: commit.unseen} if commit.unseen else {}
    return _dump({**_header_words(commit.header), "files": files, **unseen})


def encode_header(header: Header) -> bytes:
    """The beginning of the bytes of a commit, up to and with what `decode_header` looks for."""
    return _dump(_header_words(header))[:-1] + _FILES


def id_of(document: bytes) -> CommitId:
    """The id of the commit that these bytes are."""
    return CommitId(hashlib.sha256(document).hexdigest())


# --- reading without trust -------------------------------------------------------------------------------------------


def decode(document: bytes, seq: int) -> Commit:
    """The commit that stands under a number. `Integrity` (`bad-commit`) when these bytes are none."""
    what = f"commit {seq}"
    read = _document(document, what)
    raw, unseen = read.pop("files", None), read.pop(_UNSEEN, ())
    header = _header(read, what)
    if not isinstance(raw, list) or header.seq != seq:
        raise _bad(what, "says another number" if isinstance(raw, list) else "has no files")
    files = tuple(_file(one, what) for one in raw)
    if any(a.path >= b.path for a, b in pairwise(files)):
        raise _bad(what, "has its files out of order")
    commit = Commit(header, files, _unseen(unseen, what))
    if (len(files), _bytes(files)) != (header.count, header.bytes):
        raise _bad(what, "has other files than its header counts")
    if encode(commit) != document:
        raise _bad(what, "is not in canonical form")
    return commit


def decode_header(beginning: bytes, seq: int) -> Header | None:
    """The header, from the first `HEADER_BYTES` of a document or more. None: it is not whole yet, or there is none.
    `Integrity` when it makes no sense.
    """
    end = beginning.find(_FILES)
    if end < 0:
        return None
    what = f"commit {seq}"
    text = beginning[:end] + b"}"
    header = _header(_document(text, what), what)
    if header.seq != seq:
        raise _bad(what, "says another number")
    if _dump(_header_words(header)) != text:
        raise _bad(what, "is not in canonical form")
    return header


def is_id(text: str) -> bool:
    """It can be a commit's id, whole."""
    return _ID.fullmatch(text) is not None


def match(ids: Iterable[CommitId], text: str) -> CommitId:
    """The one id that begins with `text`. `Refused`: `no-such-commit`, `ambiguous-commit`, `bad-commit-id`."""
    wanted = text.lower()
    if not re.fullmatch(r"[0-9a-f]{1,64}", wanted):
        raise Refused(f"{text!r} is no commit's id", code="bad-commit-id", hint="`dorkyctl commits` lists them")
    if len(wanted) < PREFIX_DIGITS:
        raise Refused(
            f"{text!r} is too short: give at least {PREFIX_DIGITS} digits of the id",
            code="bad-commit-id",
            hint="`dorkyctl commits` lists them",
        )
    found = [one for one in ids if one.startswith(wanted)]
    if not found:
        raise Refused(f"there is no commit {text!r}", code="no-such-commit", hint="`dorkyctl commits` lists them")
    if len(found) > 1:
        some = ", ".join(one[: len(wanted) + 4] for one in sorted(found)[:5])
        raise Refused(f"{text!r} may be {some}", code="ambiguous-commit", hint="give more digits")
    return found[0]


def differences(old: Mapping[Path, CommitFile], new: Mapping[Path, CommitFile]) -> tuple[Difference, ...]:
    """What differs between two states, by path."""
    found = []
    for path in sorted({*old, *new}):
        before, after = old.get(path), new.get(path)
        if before is None or after is None or not before.same_as(after):
            found.append(Difference(path, before, after))
    return tuple(found)


def covers(unseen: Iterable[str]) -> Callable[[Path], bool]:
    """Whether a path is one of these, as `Commit.unseen` has them, or in such a folder."""
    names = frozenset(unseen)
    return lambda path: path in names or any(f"{above}/" in names for above in ancestors(path))


def contents(files: Iterable[CommitFile]) -> dict[Digest, CommitFile]:
    """Each distinct content once, with a file that has it."""
    return {file.digest: file for file in files}


def follows(parent: Commit, files: Sequence[CommitFile], unseen: Iterable[str] = ()) -> bool:
    """These files are another state than the parent's. `unseen`: as `Commit.unseen`."""
    hidden = covers(unseen)
    found = differences(parent.by_path, {file.path: file for file in files})
    return any(one.new is not None or not hidden(one.path) for one in found)


def without_versions(files: Iterable[CommitFile]) -> tuple[CommitFile, ...]:
    """The same states, of objects that are not there yet."""
    return tuple(replace(file, version=None) for file in files)


# --- inside ----------------------------------------------------------------------------------------------------------


def _dump(words: Mapping[str, object]) -> bytes:
    return json.dumps(words, ensure_ascii=False, separators=(",", ":")).encode()


def _header_words(header: Header) -> dict[str, object]:
    return {
        "format": FORMAT,
        "seq": header.seq,
        "parent": header.parent,
        "author": header.author,
        "device": header.device,
        "time": header.time,
        "message": header.message,
        "project": header.project,
        "batch": header.batch,
        "count": header.count,
        "bytes": header.bytes,
    }


def _document(text: bytes, what: str) -> dict[str, object]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise _bad(what, "is no document") from exc
    if not isinstance(document, dict):
        raise _bad(what, "is no document")
    if document.get("format") != FORMAT:
        raise Integrity(
            f"{what} is of a format that this dorkyd does not know",
            code="bad-commit",
            hint="a newer dorkyd may have written it: update this one",
        )
    return document


def _header(words: Mapping[str, object], what: str) -> Header:
    seq, count, size = words.get("seq"), words.get("count"), words.get("bytes")
    parent, batch, project = words.get("parent"), words.get("batch"), words.get("project")
    texts = {name: words.get(name) for name in ("author", "device", "time", "message")}
    if not (
        _is_number(seq, LAST_NUMBER + 1) and seq and _is_number(count, _SIZE_LIMIT) and _is_number(size, _SIZE_LIMIT)
    ):
        raise _bad(what, "has a number that is none")
    if not (parent is None or (isinstance(parent, str) and _ID.fullmatch(parent))):
        raise _bad(what, "has a parent that is no id")
    if not (batch is None or (isinstance(batch, str) and is_batch(batch))):
        raise _bad(what, "names a batch that is none")
    if not isinstance(project, str) or not all(isinstance(text, str) and _is_text(text) for text in texts.values()):
        raise _bad(what, "lacks a word")
    said = cast("dict[str, str]", texts)
    if len(said["message"].encode()) > MESSAGE_BYTES or any(
        len(said[name].encode()) > _NAME_BYTES for name in ("author", "device", "time")
    ):
        raise _bad(what, "has a word that is too long")
    return Header(
        seq=cast("int", seq),
        parent=CommitId(parent) if isinstance(parent, str) else None,
        author=said["author"],
        device=said["device"],
        time=said["time"],
        message=said["message"],
        project=project,
        batch=batch if isinstance(batch, str) else None,
        count=cast("int", count),
        bytes=cast("int", size),
    )


def _file(raw: object, what: str) -> CommitFile:
    if not isinstance(raw, dict):
        raise _bad(what, "has a file that is none")
    path, digest, size, epoch = raw.get("path"), raw.get("digest"), raw.get("size"), raw.get("epoch")
    mode, version = raw.get("mode"), raw.get("version")
    if not (isinstance(path, str) and _is_text(path)):
        raise _bad(what, "has a file without a path")
    try:
        parsed = parse(path)
    except PathProblem as exc:
        raise _bad(what, f"has a path that cannot be one ({exc.code})") from exc
    plain = epoch is None and _is_number(size, _SIZE_LIMIT)
    sealed = isinstance(epoch, str) and is_epoch(epoch)
    if not (
        isinstance(digest, str) and ((plain and _DIGEST.fullmatch(digest)) or (sealed and _KEYED.fullmatch(digest)))
    ):
        raise _bad(what, f"does not say what {path!r} is")
    if not (mode is None or (isinstance(mode, str) and _MODE.fullmatch(mode))):
        raise _bad(what, f"has other permission bits of {path!r} than there are")
    if not (version is None or (isinstance(version, str) and _is_text(version))):
        raise _bad(what, f"has a version of {path!r} that is none")
    return CommitFile(
        parsed,
        Digest(digest),
        cast("int", size) if plain else None,
        int(mode, 8) & PERMISSION_BITS if mode is not None else None,
        Version(version) if version is not None else None,
        epoch,
    )


def _unseen(raw: object, what: str) -> tuple[str, ...]:
    if not isinstance(raw, Sequence) or not all(isinstance(one, str) and _is_text(one) for one in raw):
        raise _bad(what, "does not say what it leaves out")
    try:
        for one in raw:
            parse(one.removesuffix("/"))
    except PathProblem as exc:
        raise _bad(what, f"leaves out a path that cannot be one ({exc.code})") from exc
    if any(a >= b for a, b in pairwise(raw)):
        raise _bad(what, "has what it leaves out in no order")
    return tuple(raw)


def _bytes(files: Iterable[CommitFile]) -> int:
    return sum(file.size or 0 for file in files)


def _is_number(value: object, limit: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < limit


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _name(text: str) -> str:
    return text.encode(errors="replace")[:_NAME_BYTES].decode(errors="ignore").strip()


def _bad(what: str, why: str) -> Integrity:
    return Integrity(
        f"{what} {why}: it was damaged, or written by another tool",
        code="bad-commit",
        hint="a copy of the document may be in the store's versions or backups; dorkyd never changes one",
    )
