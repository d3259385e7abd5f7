"""Streams: how what an engine's thread publishes reaches a client, and how streams end.

A publisher only hands over: it never waits for a client. A feed keeps the newest status of each project, so a slow
client skips states instead of piling them up. A stream ends when its client goes (the server cancels the generator), or
when the server stops (`Feeds.end`). Either way it unsubscribes; no thread belongs to it.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Iterator, Sequence

from anyio.to_thread import run_sync
from pydantic import TypeAdapter

from dorkyd.api import messages
from dorkyd.control import DaemonControl, ProjectControl
from dorkyd.core.picking import FilePage
from dorkyd.core.report import LogItem, ProjectStatus

LEAST_GAP_S = 0.2
"""Statuses are published many times a second while bytes move; nobody reads faster than this."""
LOG_POLL_S = 2.0
"""A followed log is read after each published status, and this often all the same."""
LOG_BATCH = 1000


SLICE = 2000
"""Items of a long page that are in memory at a time."""
_ITEMS: TypeAdapter[list[messages.FileItem]] = TypeAdapter(list[messages.FileItem])


def streamed(page: FilePage, limit: int, take: Callable[[str, int], FilePage]) -> Iterator[bytes]:
    """A page of many files, of which the first are here, as its JSON. Each slice is of its own instant, as pages are."""
    yield b'{"items":['
    told = 0
    while True:
        if page.items:
            text = _ITEMS.dump_json([messages.FileItem.model_validate(each) for each in page.items])[1:-1]
            yield b"," + text if told else text
            told += len(page.items)
        else:
            yield b" "  # somebody waits, and must not take a long look for no answer
        if page.next is None or told >= limit:
            break
        page = take(page.next, min(SLICE, limit - told))
    yield b'],"next":%s}' % json.dumps(page.next, ensure_ascii=False).encode()


class Feed:
    """One stream's mailbox. `publish` comes from any thread, everything else from the event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._news = asyncio.Event()
        self._newest: dict[str, ProjectStatus] = {}
        self.ended = False

    def publish(self, name: str, status: ProjectStatus) -> None:
        """Hand over a status. Does nothing once the loop is gone: then there is nobody to tell."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._put, name, status)

    def _put(self, name: str, status: ProjectStatus) -> None:
        self._newest[name] = status
        self._news.set()

    def end(self) -> None:
        """Let the stream finish."""
        self.ended = True
        self._news.set()

    async def take(self, timeout_s: float | None = None) -> list[ProjectStatus]:
        """What was published since the last call; waits for the first. Empty: it ended, or `timeout_s` passed."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), timeout_s)
        if not self.ended:
            self._news.clear()
        taken, self._newest = list(self._newest.values()), {}
        return taken


class Feeds:
    """All open streams of one server."""

    def __init__(self, control: DaemonControl) -> None:
        self._control = control
        self._open: set[Feed] = set()
        self._ended = False

    def __len__(self) -> int:
        return len(self._open)

    @contextlib.contextmanager
    def feed(self) -> Iterator[Feed]:
        """A subscribed feed, for the length of one stream."""
        feed = Feed()
        unsubscribe: Callable[[], None] = self._control.subscribe(feed.publish)
        self._open.add(feed)
        if self._ended:
            feed.end()
        try:
            yield feed
        finally:
            self._open.discard(feed)
            unsubscribe()

    def end(self) -> None:
        """Finish every stream, and those that still begin. From the event loop."""
        self._ended = True
        for feed in self._open:
            feed.end()


async def status_events(feeds: Feeds, now: Callable[[], Sequence[ProjectStatus]]) -> AsyncIterator[str]:
    """Server-sent events: each project's status now, then each change. The looks begin with the subscription, so that no change
    falls between the two.
    """
    with feeds.feed() as feed:
        for status in now():
            yield _event(status)
        while not feed.ended:
            for status in await feed.take():
                yield _event(status)
            if not feed.ended:
                await asyncio.sleep(LEAST_GAP_S)


def _event(status: ProjectStatus) -> str:
    return f"event: status\ndata: {messages.ProjectStatus.model_validate(status).model_dump_json()}\n\n"


async def followed_log(feeds: Feeds, project: ProjectControl, after: int, limit: int) -> AsyncIterator[str]:
    """NDJSON: the log as asked for, then every line that joins it."""
    with feeds.feed() as feed:
        items = await run_sync(project.log, after, limit)
        while True:
            for item in items:
                yield _line(item)
                after = max(after, item.seq)
            if feed.ended:
                return
            if len(items) < LOG_BATCH:
                await feed.take(LOG_POLL_S)
            # A log that was empty is read from its beginning: seq 0 is before the first.
            items = await run_sync(project.log, max(after, 0), LOG_BATCH)


def _line(item: LogItem) -> str:
    return messages.LogItem.model_validate(item).model_dump_json() + "\n"
