"""`BriefClient`: single calls and their streams, for a process that asks a few things and ends (`quick`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Self, TypeVar
from urllib.parse import urlencode

from dorkyd.api import calls
from dorkyd.api import messages as m
from dorkyd.api.calls import Call
from dorkyd.client import quick
from dorkyd.client.replies import Reply, data_of

M = TypeVar("M", bound=m.Answer)
_CHUNK_BYTES = 64 * 1024


class BriefClient:
    """As `DorkyClient`, over the socket that the running daemon names, with a connection for each call. Holds nothing open."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        pass

    def send(self, call: Call[M]) -> Reply[M]:
        """Send one call, once. Raises `ApiError`."""
        return Reply(quick.ask(call.method, _path(call), call.body, patience_s=call.patience_s), call.answer)

    def lines(self, call: Call[M]) -> Iterator[Reply[M]]:
        """Each NDJSON line, or the data of each server-sent event, until the daemon ends."""
        with quick.answering(call.method, _path(call), call.body, patience_s=call.patience_s) as answer:
            for line in answer:
                if data := data_of(line.decode()):
                    yield Reply(data, call.answer)

    def chunks(self, call: Call[Any]) -> Iterator[bytes]:
        """An answer's body as it comes, however long it is. Sent once. Close it to stop early."""
        with quick.answering(call.method, _path(call), call.body, patience_s=call.patience_s) as answer:
            while chunk := answer.read1(_CHUNK_BYTES):
                yield chunk

    def status(self, project: str | None = None) -> m.StatusDocument:
        """Everything at one glance, or one project of it."""
        return self.send(calls.status(project)).value

    def projects(self) -> list[m.ProjectStatus]:
        """All projects, in configuration order."""
        return self.send(calls.projects()).value.items


def _path(call: Call[Any]) -> str:
    return f"{call.path}?{urlencode(call.query, doseq=True)}" if call.query else call.path
