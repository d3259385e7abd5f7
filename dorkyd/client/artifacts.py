"""Operations on single artifacts, as plans. What each sends and what becomes of the answers; see `dorkyd.client.plans`."""

from __future__ import annotations

import contextlib
import json
import os
import stat as modes
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from urllib.parse import quote

from dorkyd.api import calls
from dorkyd.api import messages as m
from dorkyd.api.failures import ApiError, BadBytes, BadRequest, Failed
from dorkyd.beside import Chunk
from dorkyd.client import bodies, places
from dorkyd.client.places import Target
from dorkyd.client.plans import Ask, Patience, Pause, Plan, call, once, persistently
from dorkyd.client.waiting import Until, until
from dorkyd.core.model import Path as ArtifactPath
from dorkyd.core.secrets import installed_mode

BODY_S = 120.0
"""How long a body may stand still."""
METADATA = "Dorky-Metadata"
BATCH = "Dorky-Batch"


@dataclass(frozen=True, slots=True)
class Fetched:
    """What a download brought."""

    path: Path | None
    """Where it is; None: it was written to an open file."""
    size: int
    """Bytes."""
    digest: str | None
    """Verified; None: the daemon does not know one, because another tool wrote the object."""
    version: str | None


def url(target: Target, *more: str) -> str:
    """Where an artifact is: slashes of its path spelled out, so that no name is taken for a route."""
    return "/".join([f"/v1/projects/{quote(target.project, safe='')}/artifacts/{quote(target.path, safe='')}", *more])


def find(text: str, cwd: str | None) -> Plan[Target]:
    """What a text means (`dorkyd.client.places`). Asks for the projects only where it must."""
    told = places.named(text)
    if told is not None:
        return told
    projects = (yield from call(calls.projects())).items
    return places.inside(projects, text, cwd) or places.only(projects, text)


def below(prefix: str | None) -> Plan[Target]:
    """`PROJECT:PREFIX`; without a project's name, the only one."""
    told = places.named(prefix or "")
    return told or places.only((yield from call(calls.projects())).items, prefix or "")


# --- up ---------------------------------------------------------------------------------------------------------------


def upload(
    source: bodies.Source,
    to: str | None,
    *,
    metadata: Mapping[str, str] | None,
    idempotency_key: str | None,
    if_match: str | None,
    if_none_match: str | None,
    for_s: float,
    progress: bodies.Watching | None,
    cwd: str | None,
    batch: str | None = None,
    claim: Callable[[Target], None] = lambda _: None,
) -> Plan[m.ArtifactItem]:
    """Store bytes. Without `to`, a file in a project's folder is only awaited. `claim` may refuse the place."""
    body = bodies.upload_of(source)
    body.watching = progress
    patience = Patience(for_s)
    named = places.named(to) if to is not None else None
    if named is None:
        projects = (yield from call(calls.projects())).items
        if to is None and isinstance(source, str | os.PathLike):
            here = places.inside(projects, os.fspath(source), cwd)
            if here is not None:
                return (
                    yield from _awaited(here, Path(cwd or os.sep) / source, metadata, if_match, if_none_match, patience)
                )
        named = places.only(projects, body.name if to is None else to)
    target = places.in_folder(named, body.name)
    claim(target)
    headers = {**_changing(idempotency_key), **_conditions(if_match, if_none_match)}
    if metadata is not None:
        headers[METADATA] = json.dumps(dict(metadata), separators=(",", ":"))
    if batch is not None:
        headers[BATCH] = batch
    kind = bodies.media_type_of(target.path)
    if kind is not None:
        headers["Content-Type"] = kind
    # However long the bucket takes: the daemon answers once it holds the bytes.
    ask = Ask("PUT", url(target), headers=headers, body=body, patience_s=None)
    item = _item((yield from persistently(ask, patience)).body)
    if item.digest is not None and body.digest is not None and item.digest != body.digest:
        raise BadBytes(
            f"{target}: the bucket does not hold what was sent.", code="digest-mismatch", hint="Send it again."
        )
    return item


def _awaited(
    target: Target,
    file: Path,
    metadata: Mapping[str, str] | None,
    if_match: str | None,
    if_none_match: str | None,
    patience: Patience,
) -> Plan[m.ArtifactItem]:
    if if_match is not None or if_none_match is not None:
        raise BadRequest(
            f"{file} is in the folder of {target.project}: sync sends it, and no condition can be set.",
            code="condition_in_folder",
            hint=f"Say where it goes: to='{target}'.",
        )
    yield from until(target, "uploaded", file, None)
    if metadata:
        return (yield from update_metadata(target, metadata, None, None, patience))
    return (yield from stat(target, patience))


def _changing(key: str | None) -> dict[str, str]:
    """What makes a request known again: it may be sent twice, and is carried out once."""
    return {"Idempotency-Key": f'"{key or uuid.uuid4()}"'}


def _conditions(if_match: str | None, if_none_match: str | None) -> dict[str, str]:
    told = {"If-Match": if_match, "If-None-Match": if_none_match}
    return {name: tag if tag == "*" else f'"{tag}"' for name, tag in told.items() if tag is not None}


# --- down -------------------------------------------------------------------------------------------------------------


def download(
    target: Target, dest: str | os.PathLike[str] | bodies.Writable, patience: Patience, progress: bodies.Watching | None
) -> Plan[Fetched]:
    """Fetch into a file: beside it at first, verified, then in its place. Or into one that is open."""
    counter = bodies.Counter(str(target), None, progress)
    if not isinstance(dest, str | os.PathLike):
        with contextlib.closing(bodies.Download(dest, counter)) as into:
            yield from _fetch(target, into, patience)
        return _fetched(None, into)
    place = Path(dest)
    place = place / target.path.rpartition("/")[2] if place.is_dir() else place
    bits = _bits_for(place, target.path)
    staged, out = bodies.beside(place, bits)
    with _staged(staged, out), contextlib.closing(bodies.FileDownload(out, counter)) as into:
        yield from _fetch(target, into, patience)
        try:
            if bits is not None:
                with contextlib.suppress(PermissionError):  # a file system that holds no such bits
                    os.fchmod(out.fileno(), bits)
            os.fsync(out.fileno())
            staged.replace(place)
        except OSError as exc:
            raise Failed(f"{place} cannot be written: {exc.strerror}", code="unwritable-file") from exc
    return _fetched(place, into)


def _bits_for(dest: Path, name: str) -> int | None:
    """The permission bits of what takes the place of `dest`: those of the file that is there, else for its owner alone where the
    artifact's name says that it holds secrets. None: as any new file.
    """
    try:
        there = dest.stat()
    except OSError:
        return installed_mode(ArtifactPath(name), None)
    return modes.S_IMODE(there.st_mode) & 0o777 if modes.S_ISREG(there.st_mode) else None


@contextlib.contextmanager
def _staged(staged: Path, out: FileIO) -> Iterator[None]:
    """Whatever happens, nothing is left under the staged name."""
    try:
        with out:
            yield
    finally:
        staged.unlink(missing_ok=True)


def _fetch(target: Target, into: bodies.Download, patience: Patience) -> Plan[None]:
    """All of it, going on where a lost connection left off."""
    while True:
        headers = {}
        if into.moved and into.tag is not None:
            headers = {"Range": f"bytes={into.moved}-", "If-Range": into.tag}
        try:
            yield from once(Ask("GET", url(target), headers=headers, sink=into, patience_s=BODY_S))
            break
        except ApiError as exc:
            wait = patience.next_pause(exc)
        if into.moved and into.moved == into.size:
            break  # only the end of the answer was lost
        yield Pause(wait)
    into.check()


def _fetched(path: Path | None, into: bodies.Download) -> Fetched:
    return Fetched(path, into.moved, into.digest, None if into.tag is None else into.tag.strip('"'))


class Collected:
    """A sink that keeps a small body."""

    def __init__(self) -> None:
        self.data = bytearray()

    def begin(self, _status: int, _headers: Mapping[str, str]) -> None:
        """An answer: anew."""
        self.data.clear()

    def write(self, data: Chunk) -> None:
        """Some of it."""
        self.data += data


def part(target: Target, version: str, start: int, count: int, for_s: float, *, former: bool = False) -> Plan[bytes]:
    """At most `count` bytes of exactly this version; `Conflict` when it is there no longer. `former`: it need not stand there
    now, and is brought whole from wherever it is kept.
    """
    into = Collected()
    headers = {"Range": f"bytes={start}-{start + count - 1}", "If-Match": f'"{version}"'}
    query, patience_s = ({"version": version}, None) if former else ({}, BODY_S)
    ask = Ask("GET", url(target), query, headers, sink=into, patience_s=patience_s)
    yield from persistently(ask, Patience(for_s))
    return bytes(into.data)


def former_size(target: Target, version: str, patience: Patience) -> Plan[int]:
    """Bytes of a state that stood there before, by its whole version or digest. Brings it, however long that takes."""
    ask = Ask("HEAD", url(target), {"version": version}, patience_s=None)
    return int((yield from persistently(ask, patience)).headers["Content-Length"])


# --- about ------------------------------------------------------------------------------------------------------------


def stat(target: Target, patience: Patience) -> Plan[m.ArtifactItem]:
    """The object as it is now."""
    return _item((yield from persistently(Ask("GET", url(target, "metadata")), patience)).body)


def update_metadata(
    target: Target,
    changes: Mapping[str, str | None],
    if_match: str | None,
    idempotency_key: str | None,
    patience: Patience,
) -> Plan[m.ArtifactItem]:
    """Merge into the object's metadata."""
    headers = {**_changing(idempotency_key), **_conditions(if_match, None)}
    document = {"metadata": dict(changes)}
    # A large object is copied onto itself in the store.
    ask = Ask("PATCH", url(target, "metadata"), headers=headers, document=document, patience_s=None)
    return _item((yield from persistently(ask, patience)).body)


def delete(target: Target, if_match: str | None, idempotency_key: str | None, patience: Patience) -> Plan[None]:
    """Delete the object."""
    headers = {**_changing(idempotency_key), **_conditions(if_match, None)}
    yield from persistently(Ask("DELETE", url(target), headers=headers, patience_s=None), patience)


def wait(text: str, what: Until, timeout_s: float | None, cwd: str | None) -> Plan[m.Why]:
    """Wait for a path or a file (`dorkyd.client.waiting`)."""
    projects = (yield from call(calls.projects())).items
    told = places.named(text)
    here = places.inside(projects, text, cwd) if told is None else None
    if here is not None:
        file = Path(cwd or os.sep) / text if what == "uploaded" else None
        return (yield from until(here, what, file, timeout_s))
    target = told or places.only(projects, text)
    # The journal may not know yet that the file was written.
    file = places.file_of(projects, target) if what == "uploaded" else None
    return (yield from until(target, what, file, timeout_s))


def local(target: Target, timeout_s: float | None) -> Plan[Path]:
    """The file in the folder, once it holds what the bucket holds. Asks no bucket when it does already."""
    projects = (yield from call(calls.projects())).items
    project = next((each for each in projects if each.name == target.project), None)
    if project is None or places.has_no_folder(project):
        told = "has no folder" if project is not None else "is no project"
        raise BadRequest(f"{target.project} {told}.", code="no-folder", hint="Use download().")
    yield from until(target, "downloaded", None, timeout_s)
    return Path(project.path) / target.path


def _item(body: bytes) -> m.ArtifactItem:
    return m.ArtifactItem.model_validate_json(body)
