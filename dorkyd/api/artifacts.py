"""The routes of single objects. Bodies stream both ways: no more than a few MiB of one are in memory.

What follows `/artifacts/` is the path. `/metadata` and `/versions` behind it are not part of it when they are written with
a plain slash and asked for with a method that they have; a client that writes `%2F` for every slash of a path means the
artifact, whatever its name.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, TypeVar

import anyio
from anyio.to_thread import run_sync
from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from fastapi.responses import JSONResponse, Response, StreamingResponse
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from dorkyd.api import conditions, naming, sending
from dorkyd.api import messages as m
from dorkyd.api.connections import MOST_CONNECTIONS
from dorkyd.api.depending import Project
from dorkyd.api.description import PROBLEMS
from dorkyd.control import ArtifactControl, Chunk, IncomingBody
from dorkyd.core.artifact import USUAL_TYPE, Artifact, Condition
from dorkyd.errors import Refused, Stale

T = TypeVar("T")

MOST_AT_ONCE = 64
"""Threads that look at objects and hand on pieces of bodies; others wait for their turn."""
BUFFER_BYTES = 1024 * 1024
"""So much of a body is handed on at a time: each hand-over costs a change of threads."""
MOST_ITEMS = 10_000
"""Of one page."""
STALL_S = 60.0
"""A body of which nothing came for so long is given up."""

router = APIRouter(prefix="/v1/projects/{p}/artifacts", responses=PROBLEMS, tags=["artifacts"])

batches = APIRouter(prefix="/v1/projects/{p}/batches", responses=PROBLEMS, tags=["artifacts"])

ArtifactPath = Annotated[str, InPath(description="Relative, POSIX separators; a slash in it may be written %2F.")]
Former = Annotated[
    str | None,
    Query(
        min_length=1,
        description="A state that is or was there, by its whole version or digest: brought whole, then told.",
    ),
]
_BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_BODY = {"requestBody": {"required": True, "content": {USUAL_TYPE: _BINARY}}}
_FOUND: dict[int | str, dict[str, Any]] = {
    200: {"description": "All of it.", "content": {"*/*": _BINARY}},
    206: {"description": "The bytes asked for.", "content": {"*/*": _BINARY}},
    304: {"description": "It is what If-None-Match says."},
}


async def _run(request: Request, call: Callable[[], T]) -> T:
    """A call that is over soon, in one of the threads that artifacts have."""
    return await run_sync(call, limiter=_limiter(request, "artifact_threads", MOST_AT_ONCE))


async def _wait(request: Request, call: Callable[[], T]) -> T:
    """A call that waits for a whole body to be sent, perhaps for hours: it keeps nobody else's bytes waiting."""
    return await run_sync(call, limiter=_waits(request))


def _waits(request: Request) -> anyio.CapacityLimiter:
    return _limiter(request, "artifact_waits", MOST_CONNECTIONS)


def _limiter(request: Request, name: str, most: int) -> anyio.CapacityLimiter:
    state = request.app.state
    if not hasattr(state, name):
        setattr(state, name, anyio.CapacityLimiter(most))
    limiter: anyio.CapacityLimiter = getattr(state, name)
    return limiter


def item_of(artifact: Artifact) -> m.ArtifactItem:
    """An artifact as the API tells it."""
    return m.ArtifactItem.model_validate(
        {
            "path": artifact.path,
            "digest": artifact.digest,
            "size": artifact.size,
            "version": artifact.version,
            "media_type": artifact.media_type,
            "updated_at": m.moment(artifact.updated_at),
            "updated_by": artifact.device,
            "metadata": dict(artifact.own),
        }
    )


# --- what belongs to an artifact --------------------------------------------------------------------------------------


@router.get(f"/{{path:{naming.BEFORE}}}/metadata", response_model=m.ArtifactItem)
async def metadata(request: Request, project: Project, path: ArtifactPath) -> Response:
    """The standard fields and the client's own metadata."""
    if _is_name(request, b"/metadata"):
        return await fetch(request, project, f"{path}/metadata")
    artifact = await _run(request, lambda: project.artifacts.stat(path))
    return _told(artifact)


@router.patch(f"/{{path:{naming.BEFORE}}}/metadata", response_model=m.ArtifactItem)
async def annotate(request: Request, project: Project, path: ArtifactPath, body: m.MetadataRequest) -> Response:
    """Merge metadata into the artifact's, without its bytes: null takes a name away. `If-Match` as for PUT."""
    if _is_name(request, b"/metadata"):
        raise HTTPException(405)
    condition = conditions.condition_of_write(request.headers)
    key = conditions.key_of(request.headers)
    artifact = await _wait(request, lambda: project.artifacts.annotate(path, body.metadata, condition, key))
    return _told(artifact)


def _told(artifact: Artifact, status: int = 200) -> Response:
    return JSONResponse(item_of(artifact).model_dump(), status, headers=conditions.headers_of(artifact))


def _is_name(request: Request, suffix: bytes) -> bool:
    """The target spells the slash before the last word out, so that it belongs to the artifact's path."""
    raw: bytes = request.scope.get("raw_path", b"")
    return not raw.endswith(suffix)


@router.get(f"/{{path:{naming.BEFORE}}}/versions", response_model=m.Page[m.VersionItem])
async def versions(request: Request, project: Project, path: ArtifactPath) -> Response:
    """The states that are known, newest first: what stands there, what the trash keeps, what the history tells of."""
    if _is_name(request, b"/versions"):
        return await fetch(request, project, f"{path}/versions")
    found = await _run(request, lambda: project.artifacts.versions(path))
    items = [m.VersionItem.model_validate(each) for each in found]
    return JSONResponse(m.Page[m.VersionItem](items=items).model_dump())


@router.get("")
async def artifacts(
    request: Request,
    project: Project,
    prefix: str = "",
    after: str = "",
    limit: Annotated[int, Query(ge=1, le=MOST_ITEMS)] = 1000,
    meta: Annotated[list[str] | None, Query(description="KEY=VALUE, which the metadata must have")] = None,
) -> m.Page[m.ArtifactItem]:
    """What the bucket is known to hold, in order, without asking it."""
    having = dict(_pair(text) for text in meta or ())
    # One more than asked for tells whether anything follows.
    found = await _run(request, lambda: project.artifacts.list(prefix, after, limit + 1, having))
    following = found[limit - 1].path if len(found) > limit else None
    return m.Page[m.ArtifactItem](items=[item_of(each) for each in found[:limit]], next=following)


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise Refused("meta is KEY=VALUE", code="bad-metadata", hint="write ?meta=note=example")
    return name, value


# --- an artifact ------------------------------------------------------------------------------------------------------


@router.get(f"/{{path:{naming.WHOLE}}}", response_class=Response, responses=_FOUND)
async def fetch(request: Request, project: Project, path: ArtifactPath, version: Former = None) -> Response:
    """The bytes, as the bucket holds them. `Range`, `If-Range`, `If-Match`, `If-None-Match`."""
    desk, headers = project.artifacts, request.headers
    if version is None:
        opened = await _run(request, lambda: _open(desk, path, headers))
    else:  # however long it takes to bring it
        opened = await _wait(request, lambda: _open_former(desk, path, version, headers))
    return _answered(request, opened)


def _answered(request: Request, opened: _Opened) -> Response:
    artifact, span = opened.artifact, opened.span
    headers = conditions.headers_of(artifact)
    if opened.reading is None:
        return Response(status_code=304, headers=headers)
    headers |= {"Content-Length": str(opened.count), "Content-Type": artifact.media_type}
    if span is not None:
        headers["Content-Range"] = f"bytes {span[0]}-{span[1]}/{artifact.size}"
    return _Body(request, opened, 206 if span is not None else 200, headers)


@router.head(f"/{{path:{naming.WHOLE}}}", response_class=Response, responses={304: _FOUND[304]})
async def stat(request: Request, project: Project, path: ArtifactPath, version: Former = None) -> Response:
    """What GET would tell, without the bytes."""
    desk = project.artifacts
    if version is None:
        artifact = await _run(request, lambda: desk.stat(path))
    else:
        artifact = await _wait(request, lambda: _former(desk, path, version))
    headers = conditions.headers_of(artifact)
    condition = conditions.condition_of(request.headers)
    if not _may_be_read(artifact, condition):
        return Response(status_code=304, headers=headers)
    headers |= {"Content-Length": str(artifact.size), "Content-Type": artifact.media_type}
    return Response(headers=headers)


@router.put(
    f"/{{path:{naming.WHOLE}}}",
    response_model=m.ArtifactItem,
    status_code=201,
    responses={200: {"model": m.ArtifactItem, "description": "It replaced what was there."}},
    openapi_extra=_BODY,
)
async def put(request: Request, project: Project, path: ArtifactPath) -> Response:
    """Store the body; answers once the bucket holds it, then it appears in the folder. `If-Match`, `If-None-Match`,
    `Content-Type`, `Content-Digest`, `Dorky-Metadata` (a JSON object of texts) and `Idempotency-Key` are heeded: a repeat
    with the same key is answered as the first was (another request with it is 422, one under way 409). `Dorky-Batch`: it
    becomes a member of that atomic batch, and appears in folders with all of it.
    """
    desk, headers = project.artifacts, request.headers
    conditions.check_body(headers)
    condition = conditions.condition_of_write(headers)
    own, digest = conditions.metadata_of(headers), conditions.expected_digest(headers)
    key, batch = conditions.key_of(headers), headers.get(conditions.BATCH)
    if key is None or not await _run(request, lambda: desk.knows(key)):
        await _run(request, lambda: desk.check(path, condition))
    body = desk.incoming()
    try:
        await _receive(request, body)
        if digest is not None and body.digest() != digest:
            raise Refused("the body is not what Content-Digest says", code="digest-mismatch", hint="send it again")
        kind = headers.get("content-type")
        artifact, new = await _wait(
            request, lambda: desk.put(path, body, condition, own=own, media_type=kind, key=key, batch=batch)
        )
    finally:
        with anyio.CancelScope(shield=True):
            await run_sync(body.discard)
    return _told(artifact, 201 if new else 200)


@router.delete(f"/{{path:{naming.WHOLE}}}", status_code=204, response_class=Response)
async def delete(request: Request, project: Project, path: ArtifactPath) -> Response:
    """Delete it from the bucket, whose trash keeps it, then from the folder. `If-Match` as for PUT."""
    condition = conditions.condition_of_write(request.headers)
    key = conditions.key_of(request.headers)
    await _wait(request, lambda: project.artifacts.delete(path, condition, key))
    return Response(status_code=204)


# --- atomic batches ---------------------------------------------------------------------------------------------------


@batches.post("", response_model=m.Batch, status_code=201)
async def begin_batch(request: Request, project: Project) -> m.Batch:
    """Begin an atomic batch: artifacts that are put with `Dorky-Batch: ID` wait in every folder until it is completed, and
    then appear together. One that is not completed within 14 minutes is published file by file.
    """
    return m.Batch(id=await _run(request, project.artifacts.begin_batch))


@batches.post("/{batch}/commit", response_model=m.Batch)
async def commit_batch(request: Request, project: Project, batch: str) -> m.Batch:
    """Complete a batch, once every PUT of it is answered. Returns when the bucket's log names it. May be repeated."""
    await _wait(request, lambda: project.artifacts.commit_batch(batch))
    return m.Batch(id=batch)


# --- bytes in and out -------------------------------------------------------------------------------------------------


async def _receive(request: Request, body: IncomingBody) -> None:
    """Take the whole body in. HTTP 400 when the client left, 408 when nothing came for too long."""
    held = bytearray()
    stream = request.stream().__aiter__()
    try:
        while True:
            async with asyncio.timeout(STALL_S):
                part = await anext(stream, None)
            if part is not None:
                held += part
            if held and (part is None or len(held) >= BUFFER_BYTES):
                data, held = bytes(held), bytearray()
                await _run(request, partial(body.write, data))
            if part is None:
                return
    except TimeoutError:
        raise HTTPException(408) from None
    except ClientDisconnect:
        raise HTTPException(400) from None


@dataclass(frozen=True, slots=True)
class _Opened:
    """An artifact and the bytes of it that were asked for, open already: a refusal can still be told."""

    artifact: Artifact
    span: tuple[int, int] | None = None
    chunks: Iterator[Chunk] = field(default_factory=lambda: iter(()))
    reading: AbstractContextManager[object] | None = None
    """To be left when they are read. None: the client has them."""

    @property
    def count(self) -> int:
        """How many bytes."""
        first, last = self.span or (0, self.artifact.size - 1)
        return last - first + 1


def _open(desk: ArtifactControl, path: str, headers: Headers) -> _Opened:
    """By one request to the bucket where that will do. Else looks first, and again when the object changes between look and
    read.
    """
    condition, bounds = conditions.condition_of(headers), conditions.bounds_of(headers)
    if bounds is not None and condition.none_match is None:
        with suppress(Stale):
            return _open_now(desk, path, bounds, headers, condition)
    for last in (False, False, True):
        artifact = desk.stat(path)
        if not _may_be_read(artifact, condition):
            return _Opened(artifact)
        span = _span(headers, artifact)
        reading = desk.open(artifact, *_bounds(span))
        try:
            chunks = reading.__enter__()
        except Stale:
            if last:
                raise
        else:
            return _Opened(artifact, span, chunks, reading)
    raise AssertionError


def _bounds(span: tuple[int, int] | None) -> tuple[int, int | None]:
    """Where a span, or all of it, begins and what follows it."""
    return (0, None) if span is None else (span[0], span[1] + 1)


def _open_now(
    desk: ArtifactControl, path: str, bounds: tuple[int, int | None], headers: Headers, condition: Condition
) -> _Opened:
    """`Stale`: it takes a look first."""
    with ExitStack() as reading:
        artifact, chunks = reading.enter_context(desk.open_now(path, *bounds))
        if not _may_be_read(artifact, condition):
            return _Opened(artifact)
        span = _span(headers, artifact)
        if bounds[0] != _bounds(span)[0]:
            raise Stale(f"{path}: all of it is to be sent")
        return _Opened(artifact, span, chunks, reading.pop_all())


def _open_former(desk: ArtifactControl, path: str, version: str, headers: Headers) -> _Opened:
    """A state that is or was there."""
    with ExitStack() as reading:
        artifact, read = reading.enter_context(desk.open_former(path, version))
        if not _may_be_read(artifact, conditions.condition_of(headers)):
            return _Opened(artifact)
        span = _span(headers, artifact)
        return _Opened(artifact, span, read(_bounds(span)[0]), reading.pop_all())


def _former(desk: ArtifactControl, path: str, version: str) -> Artifact:
    with desk.open_former(path, version) as (artifact, _):
        return artifact


def _span(headers: Headers, artifact: Artifact) -> tuple[int, int] | None:
    """As `conditions.range_of`. HTTP 416."""
    try:
        return conditions.range_of(headers, artifact)
    except Refused as exc:
        raise HTTPException(416, headers={"Content-Range": f"bytes */{artifact.size}"}) from exc


def _may_be_read(artifact: Artifact, condition: Condition) -> bool:
    """False: the client has it. `Refused` when it is not what the client says it must be."""
    said = Condition(match=condition.match)
    if not said.holds(artifact.version, artifact.digest):
        raise Refused(f"{artifact.path!r} is another", code="precondition-failed", hint="get it without the condition")
    return condition.holds(artifact.version, artifact.digest)


class _Body(StreamingResponse):
    """The bytes that were asked for. A large body passes the event loop (`dorkyd.api.sending`). However it ends, the reading
    is closed; a client that got less than all has seen its connection end.
    """

    def __init__(self, request: Request, opened: _Opened, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(_chunks(request, opened), status, headers)
        self._reading = opened.reading
        self._limiter = _waits(request)
        connection = sending.connection_of(request.scope)
        self._sending: sending.Sending | None = None
        if connection is not None and opened.count > BUFFER_BYTES:
            self._sending = sending.Sending(connection, opened.chunks, opened.count)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await run_sync(self._end, limiter=self._limiter)

    async def stream_response(self, send: Send) -> None:
        if self._sending is None:
            await super().stream_response(send)
            return
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        with suppress(sending.ClientGoneError):
            await self._sending.run(self._limiter)
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    def _end(self) -> None:
        if self._sending is not None:
            self._sending.end()
        if self._reading is not None:
            self._reading.__exit__(None, None, None)


async def _chunks(request: Request, opened: _Opened) -> AsyncIterator[Chunk]:
    """So many bytes."""
    count = opened.count
    while count > 0:
        chunk = await _run(request, partial(next, opened.chunks, b""))
        if not chunk:
            return  # too few: the protocol below closes the connection, which tells the client
        yield chunk[:count]
        count -= len(chunk)
