"""Where cases run: one server, one scratch folder, fresh buckets, and daemons; all of it gone at the end."""

from __future__ import annotations

import contextlib
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from dorkyd.core.report import State
from tests import servers
from tests.bench import data
from tests.bench.measure import Sample, Store, run_peer, start_store
from tests.bench.peers import Peers
from tests.daemons import RealDaemon

T = TypeVar("T")

SYNC_S = 3600.0
"""No sync takes longer."""
LOOK_S, LOOK_SHARE = 0.05, 0.01
"""How often a daemon is asked whether it is done, or once in such a share of the time until then if that is longer: what it
is timed more coarsely by. To ask costs it CPU.
"""

Run = Callable[[], Sample]
"""One run of one contender, everything fresh."""
Case = Callable[["Stage"], contextlib.AbstractContextManager[Mapping[str, Run]]]
"""Prepares what all contenders share, gives each contender's run by its name (`dorkyd` among them), and clears up."""


class Stage:
    """See the module. A context manager."""

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale
        """Of every size; 1 is what the goals are about."""
        self._stack = contextlib.ExitStack()
        self._serial = 0
        self._shared: dict[object, Any] = {}

    def __enter__(self) -> Self:
        self.base = Path(tempfile.mkdtemp(prefix="dorky-bench-"))
        self._stack.callback(shutil.rmtree, self.base)
        try:
            self.store: Store = start_store()
            self._stack.callback(servers.stop, self.store.server)
            self.peers = Peers(self.store.server, self.base / "peers-home")
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None, _at: TracebackType | None
    ) -> None:
        self._stack.close()

    def scaled(self, size: int) -> int:
        """A number of files or bytes in this run, at least 1."""
        return max(1, round(size * self.scale))

    @contextlib.contextmanager
    def folder(self, name: str) -> Iterator[Path]:
        """An empty folder that goes when the block ends."""
        self._serial += 1
        made = self.base / f"{self._serial:03}-{name}"
        made.mkdir()
        try:
            yield made
        finally:
            shutil.rmtree(made)

    @contextlib.contextmanager
    def bucket(self) -> Iterator[str]:
        """An empty bucket that goes, with what is in it, when the block ends."""
        name = self.store.server.new_bucket()
        try:
            yield name
        finally:
            with contextlib.closing(self.store.server.client()) as client:
                client.delete_bucket(Bucket=name)

    def objects(self, bucket: str) -> dict[str, int]:
        """Size by key of what is in the bucket, without what is ours."""
        with contextlib.closing(self.store.server.client()) as client:
            pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix="p/")
            found = {each["Key"]: each["Size"] for page in pages for each in page.get("Contents", ())}
        return {key: size for key, size in found.items() if not key.startswith("p/.dorky/")}

    def copy(self, bucket: str, to: str, key: str) -> None:
        """Have the server copy an object, its metadata included, into another bucket."""
        with contextlib.closing(self.store.server.client()) as client:
            client.copy_object(Bucket=to, Key=key, CopySource={"Bucket": bucket, "Key": key})

    def expect(self, bucket: str, files: int, size: int) -> None:
        """A run that moved something else than it should is no measurement."""
        found = self.objects(bucket)
        assert (len(found), sum(found.values())) == (files, size), (len(found), sum(found.values()), files, size)

    def peer(self, bucket: str, command: list[str], env: Mapping[str, str] | None = None) -> Sample:
        """Run another tool to its end."""
        here = Path(__file__).parents[2]
        return run_peer(self.store, bucket, command, env or self.peers.env, self.base, cwd=here)

    @contextlib.contextmanager
    def daemon(
        self, name: str, *, root: Path | None = None, bucket: str | None = None, ready: bool = True, **settings: Any
    ) -> Iterator[Daemon]:
        """A daemon that runs, and (`ready`) answers; with no project when no bucket is given. It ends with the block."""
        with self.folder(f"home-{name}") as place:
            made = Daemon(self, place, name, root, bucket, settings)
            try:
                made.launch()
                if ready:
                    made.ready()
                yield made
            finally:
                made.kill()

    def once(self, make: Callable[[Stage], contextlib.AbstractContextManager[T]]) -> T:
        """What several cases share: made when first asked for, and gone with the stage."""
        if make not in self._shared:
            self._shared[make] = self._stack.enter_context(make(self))
        return self._shared[make]  # type: ignore[no-any-return]


class Daemon(RealDaemon):
    """A daemon of this stage, and its one project `p`."""

    def __init__(
        self, stage: Stage, place: Path, name: str, root: Path | None, bucket: str | None, settings: dict[str, Any]
    ) -> None:
        url = stage.store.server.endpoint_url
        super().__init__(
            place, name, f"s3://{bucket}/p", env=stage.store.server.env, module="dorkyd",
            **{"poll_s": 15, "settle_s": 1, "endpoint_url": url, **settings},
        )  # fmt: skip
        # An interpreter of its own, as a service starts it, which finds its modules compiled, as an installer leaves them.
        self.env.pop("PYTHONDONTWRITEBYTECODE", None)
        if root is not None:
            self.root.rmdir()
            self.root = root
            self.settings["projects"][0]["path"] = str(root)
        if bucket is None:
            self.settings["projects"] = []
        self.configure(self.settings)
        self._endpoint = url

    @property
    def pid(self) -> int:
        """Of the running process."""
        assert self.process is not None
        return self.process.pid

    def add(self, root: Path, bucket: str, files: int | None = None) -> None:
        """Add a folder to the running daemon, as `dorkyctl up FOLDER --bucket URL` does, and wait for the first sync.

        `files`: how many there will be then; None: as many as are in the folder.
        """
        self.root = root
        files = data.total(root)[0] if files is None else files
        with self.client() as client:
            client.add(str(root), f"s3://{bucket}/p", name="p", endpoint_url=self._endpoint, region=servers.REGION)
        self.in_sync(files)

    def in_sync(self, files: int) -> None:
        """Wait until it says so of so many files. Asking it to sync would have it look a second time."""
        begun = time.monotonic()
        end = begun + SYNC_S
        with self.client() as client:
            while True:
                status = client.status("p").projects[0]
                if status.state == State.IN_SYNC and status.files == files:
                    return
                bad = status.state not in {State.SYNCING, State.IN_SYNC} or status.problems
                if bad or time.monotonic() > end:
                    raise AssertionError(f"{self.name}: {status}\n{self.log.read_text()[-3000:]}")
                time.sleep(max(LOOK_S, LOOK_SHARE * (time.monotonic() - begun)))


def shuffled(names: list[str], seed: int) -> list[str]:
    """The order of a round: not always the same, and the same when the suite is run again."""
    order = list(names)
    random.Random(seed).shuffle(order)
    return order
