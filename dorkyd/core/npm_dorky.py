"""The files of the npm tool `dorky`, read without trust: what it tracks, what it pushed, and where to.

    metadata.json     {"stage-1-files": {PATH: {"mime-type", "hash": MD5}}, "uploaded-files": {the same}}
    history.json      [{"id": 8 hexadecimal digits, "timestamp", "files": {PATH: {"mime-type", "hash"}}}], oldest first
    credentials.json  {"storage": "aws", "accessKey", "secretKey", "awsRegion", "bucket"}, or a Google Drive token

It joins PATH to the folder's name with `path.posix.join`, so that `./f` is the object `<folder>/f` and `../f` is one
outside its own prefix. On Windows it wrote backslashes. An MD5 is of the bytes at the time of `--add`; what was sent are the
bytes at the time of `--push`, so a hash is what it claims, not what is there.

No secret leaves this module: of the credentials it gives the bucket and the last characters of the key's id.
"""

from __future__ import annotations

import json
import posixpath
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from dorkyd.core import paths
from dorkyd.core.model import Path
from dorkyd.errors import PathProblem, Refused

METADATA, HISTORY, CREDENTIALS = "metadata.json", "history.json", "credentials.json"
FILES = (METADATA, HISTORY, CREDENTIALS)
"""What it keeps in `.dorky/`. None of these names is one of ours."""
HISTORY_FOLDER = ".dorky-history"
"""Below its prefix in the bucket: a whole copy of every file for each push, `<id>/<PATH>`."""
AWS, DRIVE = "aws", "google-drive"

_MD5 = re.compile(r"[0-9a-f]{32}")
_KEY_END = 4


@dataclass(frozen=True, slots=True)
class Claim:
    """One file that it was given."""

    path: Path
    staged: str | None
    """MD5 at the last `--add`, 32 lower-case hexadecimal digits; None: not staged, or no MD5 was written."""
    pushed: str | None
    """MD5 that the last `--push` from this folder recorded; None: it never did."""


@dataclass(frozen=True, slots=True)
class Unusable:
    """A name that it tracks and that can be no path of a project."""

    name: str
    detail: str
    """Why, for people."""


@dataclass(frozen=True, slots=True)
class Push:
    """One entry of its history."""

    id: str
    """The beginning of an MD5 over the list of files: the same list again has the same id."""
    at: str
    """As it was written; mostly RFC 3339. Empty: it does not say."""
    files: Mapping[Path, str | None]
    """MD5 by path; None: none was written."""


@dataclass(frozen=True, slots=True)
class Account:
    """Where it stores, as far as that may be told."""

    storage: str
    """`aws`, `google-drive`, or a word that nobody knows."""
    bucket: str | None = None
    region: str | None = None
    key_end: str = ""
    """The last four characters of the access key's id; empty: there is none, or it is too short to be one."""
    secret: bool = False
    """The file holds a secret or a token in plain text."""


@dataclass(frozen=True, slots=True)
class NpmProject:
    """All that its files say."""

    claims: Mapping[Path, Claim]
    unusable: tuple[Unusable, ...]
    pushes: tuple[Push, ...]
    """Oldest first."""
    account: Account | None
    """None: it has no credentials, as in a fresh clone of a repository."""
    encrypted: bool = False
    """Its metadata speak of encryption, so that objects are not the files' bytes."""


def parse_project(metadata: str | None, history: str | None, credentials: str | None) -> NpmProject:
    """Read the texts of its files; None: there is no such file. Raises `Refused` (code `npm-malformed`) for a file that is
    not in its form: guessing here could leave a file out of what is adopted.
    """
    document = _mapping(_document(metadata, METADATA), METADATA)
    claims: dict[Path, Claim] = {}
    unusable: dict[str, Unusable] = {}
    sides = [dict(_hashes(document.get(key), METADATA, unusable)) for key in ("stage-1-files", "uploaded-files")]
    for path in sorted({*sides[0], *sides[1]}):
        claims[path] = Claim(path, sides[0].get(path), sides[1].get(path))
    pushes = tuple(_pushes(_document(history, HISTORY), unusable))
    account = None if credentials is None else _account(_mapping(_document(credentials, CREDENTIALS), CREDENTIALS))
    return NpmProject(claims, tuple(unusable.values()), pushes, account, encrypted="encryption" in document)


def joined(name: str) -> Path:
    """The path that it stores a name under, below its prefix. Raises `PathProblem` when that is no path of a project.

    >>> joined("./config//a.env")
    'config/a.env'
    """
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[\\/]", name):
        raise PathProblem(name, "the path is absolute: the file lies outside the folder", code="bad-path")
    tidy = posixpath.normpath(name.replace("\\", "/"))
    if tidy == ".." or tidy.startswith("../"):
        raise PathProblem(name, "the path leaves the folder, and its object the prefix", code="bad-path")
    return paths.parse(tidy)


def pushed_key(key: str) -> tuple[str, str] | None:
    """The id of a push and the rest of a key below the prefix; None: the key is no copy of its history.

    >>> pushed_key(".dorky-history/34aaf3c3/config/a.env")
    ('34aaf3c3', 'config/a.env')
    """
    folder, _, rest = key.partition("/")
    id_, slash, path = rest.partition("/")
    return (id_, path) if folder == HISTORY_FOLDER and slash and path else None


def _document(text: str | None, file: str) -> object:
    if text is None or not text.strip():
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        # Not the parser's own words: they may quote the text, which may be a credential.
        raise _malformed(file, "is not JSON") from exc


def _mapping(document: object, file: str) -> Mapping[str, object]:
    if document is None:
        return {}
    if not isinstance(document, dict):
        raise _malformed(file, "is not an object")
    return document


def _malformed(file: str, what: str) -> Refused:
    return Refused(
        f".dorky/{file} {what}, as the npm tool writes it",
        hint="correct it, or bring it back from git; nothing was changed",
        code="npm-malformed",
    )


def _hashes(files: object, file: str, unusable: dict[str, Unusable]) -> Iterator[tuple[Path, str | None]]:
    if isinstance(files, list) and not files:
        return  # early versions began with an empty list
    if files is None:
        return
    if not isinstance(files, dict):
        raise _malformed(file, "has a list of files that is not an object")
    for name, told in files.items():
        try:
            path = joined(name)
        except PathProblem as exc:
            unusable[name] = Unusable(name, str(exc))
            continue
        claimed = told.get("hash") if isinstance(told, dict) else None
        yield path, claimed if isinstance(claimed, str) and _MD5.fullmatch(claimed) else None


def _pushes(document: object, unusable: dict[str, Unusable]) -> Iterator[Push]:
    if document is None:
        return
    if not isinstance(document, list):
        raise _malformed(HISTORY, "is not a list")
    for entry in document:
        if not isinstance(entry, dict):
            raise _malformed(HISTORY, "has an entry that is not an object")
        id_, at = entry.get("id"), entry.get("timestamp")
        if not isinstance(id_, str) or not id_:
            raise _malformed(HISTORY, "has an entry without an id")
        yield Push(id_, at if isinstance(at, str) else "", dict(_hashes(entry.get("files"), HISTORY, unusable)))


def _account(document: Mapping[str, object]) -> Account:
    def text(key: str) -> str | None:
        value = document.get(key)
        return value if isinstance(value, str) and value else None

    key = text("accessKey") or ""
    # What is too short to be a key's id might be known whole by its end.
    end = key[-_KEY_END:] if len(key) >= 4 * _KEY_END else ""
    secret = any(text(name) for name in ("secretKey", "access_token", "refresh_token", "id_token"))
    return Account(text("storage") or "", text("bucket"), text("awsRegion"), end, secret)
