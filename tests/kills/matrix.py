"""Telling the stories: once without a kill, which says what points there are and how all ends, then with one at a point."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests import servers
from tests.e2e.places import GUARD, Place, directory_place, gcs_place, s3_place
from tests.kills.stories import Story
from tests.kills.world import Point, Victim, World
from tests.nursery import Nursery

POLL_S = 30.0
"""The victim asks for news when it starts and when it is told to, so that what it does is its story's."""


@dataclass(slots=True)
class Told:
    """A story as it goes without a kill."""

    points: dict[str, tuple[Point, int]]
    statements: set[str]
    outcome: dict[str, tuple[str, int]]


class NotTheSame(AssertionError):
    """A kill changed how a story ends."""


@dataclass(slots=True)
class Teller:
    """Tells one story in one kind of bucket, round after round."""

    story: Story
    scheme: str
    nursery: Nursery
    told: Told | None = None
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _world: World | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self._stack.close()

    def plain(self) -> Told:
        """Tell it without a kill."""
        world = self._next()
        world.a.arm(None)
        self.story.act(world)
        assert world.rest()
        # Of what follows, only what the victim does by itself belongs to the story: let it end that.
        world.check()
        self.story.check(world)
        self.told = Told(world.a.points(), world.a.statements(), world.outcome() | self.story.facts(world))
        return self.told

    def killed(self, *points: Point) -> int:
        """Tell it with a kill at the first point, and at each next one after the restart that follows. Returns at how many
        the victim died: a point that is not passed (any more) ends the row. Raises `NotTheSame`.
        """
        assert self.told is not None
        world = self._next()
        died = 0
        try:
            world.a.arm(points[0].id)
            self.story.act(world)
            while world.a.dead or not world.rest():
                died += 1
                world.revive(points[died].id if died < len(points) else None)
                self.story.again(world)
            world.a.arm(None)
            world.check()
            self.story.check(world)
            outcome = world.outcome() | self.story.facts(world)
            if outcome != self.told.outcome:
                raise NotTheSame(f"\n  {outcome}\nis not\n  {self.told.outcome}")
        except Exception as exc:
            log = "\n    ".join(line[:300] for line in world.a.log.read_text().splitlines()[-12:])
            self._end_world()
            row = "\n  ".join(str(point) for point in points[: died + 1])
            what = f"{self.story.name} ({self.scheme}), killed\n  {row}\n{str(exc)[:1500]}\n    {log}"
            raise NotTheSame(what) from exc
        return died

    # --- inside -------------------------------------------------------------------------------------------------

    def _next(self) -> World:
        if self._world is None or self.story.alone:
            self._end_world()
            self._world = self._stack.enter_context(_world(self.story, self.scheme, self.nursery))
            if not self.story.alone:
                self._world.a.start()
                self._world.mate.start()
                assert self._world.rest()
        world = self._world
        world.round += 1
        world.written[world.d] = []
        for daemon in (world.a, world.b):
            if daemon is not None:
                (daemon.root / world.d).mkdir(exist_ok=True)
        self.story.prepare(world)
        return world

    def _end_world(self) -> None:
        self._world = None
        self._stack.close()


@contextlib.contextmanager
def _world(story: Story, scheme: str, nursery: Nursery) -> Iterator[World]:
    base = Path(os.path.realpath(tempfile.mkdtemp(prefix="dm")))
    try:
        with _place(base, scheme) as (place, tools):
            settings = {"guard": GUARD, **place.settings, **story.settings}
            a = Victim(base, "a", place.bucket, poll_s=POLL_S, **settings)
            a.prepare(story.tune, nursery)
            b = None
            if not story.alone:
                b = Victim(base, "b", place.bucket, poll_s=POLL_S, **{"guard": GUARD, **place.settings})
                b.prepare(story.tune_mate, nursery)
            place.started += [daemon for daemon in (a, b) if daemon is not None]
            world = World(place, a, b, tools.pop("uploads"))
            # Of a large file: S3 wants parts of 5 MiB.
            world.known.update(tools, kib=11 * 1024 if scheme == "s3" else 1400)
            yield world
    finally:
        shutil.rmtree(base)


@contextlib.contextmanager
def _place(base: Path, scheme: str) -> Iterator[tuple[Place, dict[str, Any]]]:
    """A place, and what another tool does in its bucket."""
    match scheme:
        case "file":
            with directory_place(base) as place:
                directory = Path(place.bucket.removeprefix("file://"))

                def put(key: str, data: bytes) -> None:
                    (directory / key).parent.mkdir(parents=True, exist_ok=True)
                    (directory / key).write_bytes(data)

                yield place, {"uploads": list, "put": put, "cut": lambda key: (directory / key).unlink()}
        case "s3":
            server = servers.seaweed()
            with s3_place(base, server) as place:
                yield place, _s3_tools(server, place)
        case "gs":
            gcs = servers.strict_gcs()
            with gcs_place(base, gcs) as place:
                yield place, _gcs_tools(gcs, place)
        case _:
            raise AssertionError(scheme)


def _s3_tools(server: servers.Server, place: Place) -> dict[str, Callable[..., Any]]:
    name = urllib.parse.urlsplit(place.bucket).netloc

    def ask(method: str, **params: Any) -> Any:
        with contextlib.closing(server.client()) as client:
            return getattr(client, method)(Bucket=name, **params)

    def uploads() -> list[str]:
        # One of no parts was begun by a process that died before it could note it: it costs nothing
        # (docs/decisions/0021-upload-sessions.md). A probe's has one of a few bytes (docs/reliability.md).
        begun = [(upload["Key"], upload["UploadId"]) for upload in ask("list_multipart_uploads").get("Uploads", ())]
        return [
            key
            for key, name in begun
            if "/.dorky/probe/" not in key and ask("list_parts", Key=key, UploadId=name).get("Parts")
        ]

    return {
        "uploads": uploads,
        "put": lambda key, data: ask("put_object", Key=f"team/p/{key}", Body=data),
        "cut": lambda key: ask("delete_object", Key=f"team/p/{key}"),
    }


def _gcs_tools(server: servers.GcsProcess, place: Place) -> dict[str, Callable[..., Any]]:
    name = urllib.parse.urlsplit(place.bucket).netloc

    def put(key: str, data: bytes) -> None:
        query = urllib.parse.urlencode({"uploadType": "media", "name": f"team/p/{key}"})
        url = f"{server.endpoint_url}/upload/storage/v1/b/{name}/o?{query}"
        with urllib.request.urlopen(urllib.request.Request(url, data, method="POST"), timeout=30):
            pass

    def uploads() -> list[str]:
        return [str(upload) for upload in server.open_uploads() if name in str(upload) and upload["bytes"]]  # as above

    def cut(key: str) -> None:
        server.ask("DELETE", f"/storage/v1/b/{name}/o/{urllib.parse.quote(f'team/p/{key}', safe='')}")

    return {"uploads": uploads, "put": put, "cut": cut}
