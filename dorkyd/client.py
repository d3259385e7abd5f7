"""`DorkyClient` and `AsyncDorkyClient`: the daemon's API, typed, over its Unix socket.

Both send the values of `dorkyd.api.calls` and raise the exceptions of `dorkyd.api.failures`. Nothing is tried again: an
answer that did not arrive may still have been acted on, and only the caller knows whether asking twice is harmless.
"""

from __future__ import annotations

import json
import os
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any, Generic, Self, TypeVar

import httpx2

from dorkyd.api import calls
from dorkyd.api import messages as m
from dorkyd.api.calls import Call
from dorkyd.api.failures import KINDS, TYPE_PREFIX, ApiError, Failed, NotAllowed, NotRunning, Temporary
from dorkyd.locate import find_socket
from dorkyd.peer import peer_uid

T = TypeVar("T", bound=m.Answer)

CONNECT_S = 5.0
_BASE_URL = "http://dorkyd"
"""Only a name for the Host header: the socket decides who answers."""


class Reply(Generic[T]):
    """An answer: the body as it came, and the value it stands for (parsed when asked for)."""

    __slots__ = ("_answer", "body")

    def __init__(self, body: bytes, answer: type[T]) -> None:
        self.body = body
        self._answer = answer

    @property
    def value(self) -> T:
        """The body as its model."""
        return self._answer.model_validate_json(self.body)


class DorkyClient:
    """Talks to the daemon of this user. Usable from several threads; close it, or use it in a `with` block.

    `socket_path` None: the running daemon's own word in its state directory, else the default place. `uid`: whose process
    must answer there before anything is sent; None: this user's.
    """

    def __init__(self, socket_path: str | None = None, *, uid: int | None = None) -> None:
        self.socket_path = socket_path or find_socket()
        self._trace = partial(_own_daemon, os.geteuid() if uid is None else uid)
        self._http = httpx2.Client(
            transport=httpx2.HTTPTransport(uds=self.socket_path, verify=False, trust_env=False),
            base_url=_BASE_URL,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._http.close()

    def send(self, call: Call[T]) -> Reply[T]:
        """Send one call. Raises `ApiError`."""
        try:
            response = self._http.request(**_request(call), extensions={"trace": self._trace})
        except (httpx2.HTTPError, OSError) as exc:
            raise _no_answer(exc, self.socket_path) from exc
        _raise_for(response.status_code, response.headers, response.content)
        return Reply(response.content, call.answer)

    def lines(self, call: Call[T]) -> Iterator[Reply[T]]:
        """Each NDJSON line, or the data of each server-sent event, until the daemon ends. Close it to stop early."""
        try:
            with self._http.stream(**_request(call), extensions={"trace": self._trace}) as response:
                if response.status_code >= 400:
                    _raise_for(response.status_code, response.headers, response.read())
                for line in response.iter_lines():
                    if data := _data(line):
                        yield Reply(data, call.answer)
        except (httpx2.HTTPError, OSError) as exc:
            raise _no_answer(exc, self.socket_path) from exc

    def health(self) -> m.HealthAnswer:
        """The daemon answers, and who it is."""
        return self.send(calls.health()).value

    def status(self, project: str | None = None) -> m.StatusDocument:
        """Everything at one glance, or one project of it."""
        return self.send(calls.status(project)).value

    def stop(self) -> m.Stopping:
        """End the daemon; returns before it is gone."""
        return self.send(calls.stop()).value

    def events(self) -> Iterator[m.ProjectStatus]:
        """Each project's status now, then each change."""
        for reply in self.lines(calls.events()):
            yield reply.value

    def projects(self) -> list[m.ProjectStatus]:
        """All projects, in configuration order."""
        return self.send(calls.projects()).value.items

    def add(self, path: str, bucket: str | None = None, **settings: str | None) -> m.ProjectStatus:
        """Add the folder at the absolute `path`; `bucket` None: the embedded one.

        `settings`: name, mode, endpoint_url, region, profile.
        """
        return self.send(calls.add(m.AddRequest(path=path, bucket=bucket, **settings))).value

    def remove(self, project: str) -> m.Removed:
        """Forget a project; delete nothing."""
        return self.send(calls.remove(project)).value

    def files(
        self, project: str, prefix: str = "", *, after: str = "", limit: int = 1000, remote: bool = False
    ) -> m.Page[m.FileItem]:
        """One page of synced paths; its `next` is the following page's `after`."""
        return self.send(calls.files(project, prefix, after=after, limit=limit, remote=remote)).value

    def conflicts(self, project: str) -> list[m.ConflictItem]:
        """Conflict copies that wait for a person."""
        return self.send(calls.conflicts(project)).value.items

    def problems(self, project: str) -> list[m.ProblemItem]:
        """Paths that cannot sync, and why."""
        return self.send(calls.problems(project)).value.items

    def trash(self, project: str) -> list[m.TrashItem]:
        """What can be restored, newest first."""
        return self.send(calls.trash(project)).value.items

    def log(self, project: str, *, after: int = -1, limit: int = 100) -> m.Page[m.LogItem]:
        """History with seq above `after`, oldest first; -1: the last `limit`."""
        return self.send(calls.log(project, after=after, limit=limit)).value

    def follow_log(self, project: str, *, after: int = -1, limit: int = 100) -> Iterator[m.LogItem]:
        """The same, then every line that joins it."""
        for reply in self.lines(calls.follow_log(project, after=after, limit=limit)):
            yield reply.value

    def why(self, project: str, path: str) -> m.Why:
        """Everything known about one path."""
        return self.send(calls.why(project, path)).value

    def check_ignore(self, project: str, paths: Sequence[str]) -> list[m.IgnoreItem]:
        """Which rule ignores each path."""
        return self.send(calls.check_ignore(project, paths)).value.items

    def doctor(self, project: str) -> list[m.Finding]:
        """Check folder, bucket, permissions, clock and limits."""
        return self.send(calls.doctor(project)).value.items

    def sync(self, project: str, *, wait: bool = False, timeout_s: float | None = None) -> m.SyncResult:
        """Look at both sides now; `wait`: return when quiescent, blocked, or after `timeout_s`."""
        return self.send(calls.sync(project, wait=wait, timeout_s=timeout_s)).value

    def pause(self, project: str, for_s: float | None = None) -> m.ProjectStatus:
        """Nothing moves until `resume`, or for so many seconds."""
        return self.send(calls.pause(project, for_s)).value

    def resume(self, project: str) -> m.ProjectStatus:
        """End a pause."""
        return self.send(calls.resume(project)).value

    def limit(self, project: str | None, *, up: int | None = None, down: int | None = None) -> m.Bandwidth:
        """Change bandwidth limits, in bytes a second: a project's, or (None) those of all together. None leaves a
        direction as it is, 0 lifts its limit. Returns what is in force then.
        """
        return self.send(calls.limit(project, up=up, down=down)).value

    def approve(self, project: str, token: str) -> m.ProjectStatus:
        """Let through exactly what the halt showed."""
        return self.send(calls.approve(project, token)).value

    def reject(self, project: str, token: str) -> m.ProjectStatus:
        """Delete nothing, and restore what the halt found missing."""
        return self.send(calls.reject(project, token)).value

    def resolve(self, project: str, path: str, keep: str) -> list[m.ConflictItem]:
        """Settle a conflict (`keep`: mine, theirs, both); returns those that remain."""
        return self.send(calls.resolve(project, path, keep)).value.items

    def restore(self, project: str, path: str, name: str | None = None) -> m.FileItem:
        """Bring a trashed file back; `name`: that trash item, None: the newest of the path."""
        return self.send(calls.restore(project, path, name)).value


class AsyncDorkyClient:
    """`DorkyClient` for asyncio: the same calls, awaited. One event loop; close it, or use it in `async with`."""

    def __init__(self, socket_path: str | None = None, *, uid: int | None = None) -> None:
        self.socket_path = socket_path or find_socket()
        self._trace = _own_daemon_too(os.geteuid() if uid is None else uid)
        self._http = httpx2.AsyncClient(
            transport=httpx2.AsyncHTTPTransport(uds=self.socket_path, verify=False, trust_env=False),
            base_url=_BASE_URL,
            trust_env=False,
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def send(self, call: Call[T]) -> Reply[T]:
        """Send one call. Raises `ApiError`."""
        try:
            response = await self._http.request(**_request(call), extensions={"trace": self._trace})
        except (httpx2.HTTPError, OSError) as exc:
            raise _no_answer(exc, self.socket_path) from exc
        _raise_for(response.status_code, response.headers, response.content)
        return Reply(response.content, call.answer)

    async def lines(self, call: Call[T]) -> AsyncGenerator[Reply[T], None]:
        """Each NDJSON line, or the data of each server-sent event, until the daemon ends."""
        try:
            async with self._http.stream(**_request(call), extensions={"trace": self._trace}) as response:
                if response.status_code >= 400:
                    _raise_for(response.status_code, response.headers, await response.aread())
                async for line in response.aiter_lines():
                    if data := _data(line):
                        yield Reply(data, call.answer)
        except (httpx2.HTTPError, OSError) as exc:
            raise _no_answer(exc, self.socket_path) from exc

    async def health(self) -> m.HealthAnswer:
        """The daemon answers, and who it is."""
        return (await self.send(calls.health())).value

    async def status(self, project: str | None = None) -> m.StatusDocument:
        """Everything at one glance, or one project of it."""
        return (await self.send(calls.status(project))).value

    async def stop(self) -> m.Stopping:
        """End the daemon; returns before it is gone."""
        return (await self.send(calls.stop())).value

    async def events(self) -> AsyncGenerator[m.ProjectStatus, None]:
        """Each project's status now, then each change."""
        async with aclosing(self.lines(calls.events())) as replies:
            async for reply in replies:
                yield reply.value

    async def projects(self) -> list[m.ProjectStatus]:
        """All projects, in configuration order."""
        return (await self.send(calls.projects())).value.items

    async def add(self, path: str, bucket: str | None = None, **settings: str | None) -> m.ProjectStatus:
        """Add the folder at the absolute `path`; `bucket` None: the embedded one.

        `settings`: name, mode, endpoint_url, region, profile.
        """
        return (await self.send(calls.add(m.AddRequest(path=path, bucket=bucket, **settings)))).value

    async def remove(self, project: str) -> m.Removed:
        """Forget a project; delete nothing."""
        return (await self.send(calls.remove(project))).value

    async def files(
        self, project: str, prefix: str = "", *, after: str = "", limit: int = 1000, remote: bool = False
    ) -> m.Page[m.FileItem]:
        """One page of synced paths; its `next` is the following page's `after`."""
        return (await self.send(calls.files(project, prefix, after=after, limit=limit, remote=remote))).value

    async def conflicts(self, project: str) -> list[m.ConflictItem]:
        """Conflict copies that wait for a person."""
        return (await self.send(calls.conflicts(project))).value.items

    async def problems(self, project: str) -> list[m.ProblemItem]:
        """Paths that cannot sync, and why."""
        return (await self.send(calls.problems(project))).value.items

    async def trash(self, project: str) -> list[m.TrashItem]:
        """What can be restored, newest first."""
        return (await self.send(calls.trash(project))).value.items

    async def log(self, project: str, *, after: int = -1, limit: int = 100) -> m.Page[m.LogItem]:
        """History with seq above `after`, oldest first; -1: the last `limit`."""
        return (await self.send(calls.log(project, after=after, limit=limit))).value

    async def follow_log(self, project: str, *, after: int = -1, limit: int = 100) -> AsyncGenerator[m.LogItem, None]:
        """The same, then every line that joins it."""
        async with aclosing(self.lines(calls.follow_log(project, after=after, limit=limit))) as replies:
            async for reply in replies:
                yield reply.value

    async def why(self, project: str, path: str) -> m.Why:
        """Everything known about one path."""
        return (await self.send(calls.why(project, path))).value

    async def check_ignore(self, project: str, paths: Sequence[str]) -> list[m.IgnoreItem]:
        """Which rule ignores each path."""
        return (await self.send(calls.check_ignore(project, paths))).value.items

    async def doctor(self, project: str) -> list[m.Finding]:
        """Check folder, bucket, permissions, clock and limits."""
        return (await self.send(calls.doctor(project))).value.items

    async def sync(self, project: str, *, wait: bool = False, timeout_s: float | None = None) -> m.SyncResult:
        """Look at both sides now; `wait`: return when quiescent, blocked, or after `timeout_s`."""
        return (await self.send(calls.sync(project, wait=wait, timeout_s=timeout_s))).value

    async def pause(self, project: str, for_s: float | None = None) -> m.ProjectStatus:
        """Nothing moves until `resume`, or for so many seconds."""
        return (await self.send(calls.pause(project, for_s))).value

    async def resume(self, project: str) -> m.ProjectStatus:
        """End a pause."""
        return (await self.send(calls.resume(project))).value

    async def limit(self, project: str | None, *, up: int | None = None, down: int | None = None) -> m.Bandwidth:
        """Change bandwidth limits, in bytes a second: a project's, or (None) those of all together. None leaves a
        direction as it is, 0 lifts its limit. Returns what is in force then.
        """
        return (await self.send(calls.limit(project, up=up, down=down))).value

    async def approve(self, project: str, token: str) -> m.ProjectStatus:
        """Let through exactly what the halt showed."""
        return (await self.send(calls.approve(project, token))).value

    async def reject(self, project: str, token: str) -> m.ProjectStatus:
        """Delete nothing, and restore what the halt found missing."""
        return (await self.send(calls.reject(project, token))).value

    async def resolve(self, project: str, path: str, keep: str) -> list[m.ConflictItem]:
        """Settle a conflict (`keep`: mine, theirs, both); returns those that remain."""
        return (await self.send(calls.resolve(project, path, keep))).value.items

    async def restore(self, project: str, path: str, name: str | None = None) -> m.FileItem:
        """Bring a trashed file back; `name`: that trash item, None: the newest of the path."""
        return (await self.send(calls.restore(project, path, name))).value


def _request(call: Call[Any]) -> dict[str, Any]:
    return {
        "method": call.method,
        "url": call.path,
        "params": dict(call.query),
        "json": call.body,
        "timeout": httpx2.Timeout(call.patience_s, connect=CONNECT_S),
    }


def _foreign(uid: int, event: str, info: Mapping[str, Any]) -> bool:
    """Whether a connection was just made to another user's process. Such a one gets nothing from us, not even a path.

    https://www.encode.io/httpcore/extensions/#trace: the event comes between connecting and the first byte.
    """
    if event != "connection.connect_unix_socket.complete":
        return False
    return peer_uid(info["return_value"].get_extra_info("socket")) != uid


def _own_daemon(uid: int, event: str, info: Mapping[str, Any]) -> None:
    if _foreign(uid, event, info):
        info["return_value"].close()
        raise _not_ours()


def _own_daemon_too(uid: int) -> Callable[[str, Mapping[str, Any]], Coroutine[Any, Any, None]]:
    # A real coroutine function: a partial of one is not known as such everywhere.
    async def check(event: str, info: Mapping[str, Any]) -> None:
        if _foreign(uid, event, info):
            await info["return_value"].aclose()
            raise _not_ours()

    return check


def _not_ours() -> ApiError:
    return NotAllowed(
        "What answers on the socket is another user's process; nothing was sent to it.",
        code="foreign-daemon",
        hint="Run this as the user whose daemon it is, or set DORKY_HOME to a directory of yours.",
    )


def _data(line: str) -> bytes:
    """The JSON of one line of either kind of stream; empty for lines that carry none."""
    if line.startswith("{"):
        return line.encode()
    return line[len("data: ") :].encode() if line.startswith("data: ") else b""


def _no_answer(exc: Exception, socket_path: str) -> ApiError:
    if isinstance(exc, httpx2.ConnectTimeout | httpx2.PoolTimeout | httpx2.ReadTimeout | httpx2.WriteTimeout):
        return Temporary(
            "The daemon did not answer in time.",
            code="timeout",
            hint="It may still be doing it; run `dorkyctl status`.",
        )
    if isinstance(exc, httpx2.ConnectError):
        return NotRunning(
            f"The daemon is not running (nothing answers on {socket_path}).",
            code="daemon-not-running",
            hint="Run `dorkyctl up`.",
        )
    return NotRunning(
        "The daemon ended the connection without an answer.",
        code="connection-lost",
        hint="It is stopping, or runs as another user; run `dorkyctl status`.",
    )


def _raise_for(status: int, headers: Mapping[str, str], body: bytes) -> None:
    """Raise the exception that a problem document stands for; do nothing for an answer."""
    if status < 400:
        return
    try:
        problem = json.loads(body)
        kind = str(problem["type"]).removeprefix(TYPE_PREFIX)
        detail, hint, code = str(problem["detail"]), str(problem.get("hint", "")), str(problem["code"])
    except (ValueError, KeyError, TypeError):
        kind, detail, hint, code = "", f"The daemon answered {status} without saying why.", "", "http"
    wait = headers.get("Retry-After", "")
    raise KINDS.get(kind, Failed)(
        detail,
        code=code,
        hint=hint,
        status=status,
        retry_after_s=float(wait) if wait.isdigit() else None,
        body=body,
    )
