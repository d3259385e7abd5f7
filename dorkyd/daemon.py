"""The composition root: lock, wire, schedule, signals. The only place that makes adapters.

One process a `DORKY_HOME`. Threads: this one waits for signals and configuration edits; each project has an engine
thread and a watcher thread; one pool moves bytes for all; the API has its own loop; APScheduler does slow upkeep.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import gc
import json
import logging
import os
import pwd
import random
import secrets
import shlex
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path as FilePath
from typing import TYPE_CHECKING

import dorkyd
from dorkyd import allocator, config
from dorkyd.activation import passed_socket
from dorkyd.ahead import Paging, on_a_thread
from dorkyd.buckets import open_bucket, prepare
from dorkyd.buckets.limits import Limited, Limits, Pair
from dorkyd.buckets.retry import Patience, Retrying
from dorkyd.config_edit import add_patterns, add_project, remove_project, set_bandwidth
from dorkyd.control import NewProject, ProjectControl
from dorkyd.control_import import ImportControl
from dorkyd.control_prospect import ProspectControl, Wish
from dorkyd.core.model import Path
from dorkyd.core.printable import printable
from dorkyd.core.report import ProjectStatus, Sample, State, Warning
from dorkyd.core.settings import Bandwidth, Mode, Project, Settings
from dorkyd.engine import Engine
from dorkyd.errors import Busy, Configuration, DorkyError, Refused, Stale, Transient
from dorkyd.folder import LocalFolder
from dorkyd.importing import Importer
from dorkyd.keys import KeyHome
from dorkyd.locate import log_file
from dorkyd.logs import Logs, begin
from dorkyd.notify import Notifier
from dorkyd.npm_folder import is_npm_folder
from dorkyd.pool import TransferPool
from dorkyd.ports import Bucket, Push, Watcher
from dorkyd.private import make_private
from dorkyd.project import WIND_DOWN_S, ProjectRunner
from dorkyd.prospecting import Prospector
from dorkyd.push import QueuePush
from dorkyd.sampling import Sampling
from dorkyd.tables.harvesting import Workroom
from dorkyd.watcher import OsWatcher
from dorkyd.wiring import Wiring

if TYPE_CHECKING:
    from dorkyd.api.server import SocketDoor
    from dorkyd.api.tcp import TcpDoor

_log = logging.getLogger("dorkyd.daemon")

TICK_S = 2.0
"""How often the configuration file and the socket are looked at."""
BEAT_S = 1800.0
"""An engine whose last cycle is longer ago hangs, and the service manager should know."""
PURGE_EVERY_S = 3600
_IN_TWO_OVER = 10_000
"""Objects. A listing of fewer is a few requests."""
OPEN_S = 10.0
"""How long ready waits for the journals: a disk that hangs must not keep the other projects from being served."""
HEAD_START_S = 1.5
"""How long loading the API waits for buckets to answer, and so to work on their listings meanwhile."""
STOP_S, STOP_OFFLINE_S = WIND_DOWN_S + 2.0, 2.0
"""How long the end of the daemon waits for all projects, and for one whose bucket is offline. Then it is as a kill, which
every project survives.
"""
EXIT_ERROR, EXIT_CONFIGURATION = 1, 78


class SystemClock:
    """The machine's own time and chance."""

    def monotonic(self) -> float:
        """Seconds that only rise."""
        return time.monotonic()

    def time_ns(self) -> int:
        """Wall clock."""
        return time.time_ns()

    def random_id(self) -> str:
        """32 hexadecimal digits."""
        return secrets.token_hex(16)


@dataclass(slots=True)
class Daemon:
    """All projects of one configuration; `control.DaemonControl` says what the API may ask."""

    environ: Mapping[str, str]
    host: str
    loaded: config.Loaded
    notifier: Notifier
    logs: Logs = field(default_factory=Logs)
    """The daemon's own log."""
    given: socket.socket | None = None
    """The API's socket, where a service manager listens on it for us."""
    started: float = field(default_factory=time.monotonic)
    _runners: dict[str, ProjectRunner] = field(default_factory=dict)
    _listeners: list[Callable[[str, ProjectStatus], None]] = field(default_factory=list)
    _guard: threading.RLock = field(default_factory=threading.RLock)
    _ending: threading.Event = field(default_factory=threading.Event)
    _reload: threading.Event = field(default_factory=threading.Event)
    _pool: TransferPool = field(default_factory=TransferPool)
    _shared: Pair = field(default_factory=Pair)
    """The rates that all projects pay to."""
    _limits: dict[str, Limits] = field(default_factory=dict)
    """By project."""
    _keys: KeyHome | None = None
    """Made once: it holds an opened key."""
    _tcp: TcpDoor | None = None
    """Once it runs."""
    _sampling: Sampling = field(default_factory=Sampling)
    _workroom: Workroom = field(init=False)
    _bad_edit: str = ""
    _seen_text: str | None = None
    """None: what was loaded."""

    def __post_init__(self) -> None:
        self._workroom = Workroom.at(self.loaded.homes.state_dir)

    # --- DaemonControl ------------------------------------------------------------------------------------------

    @property
    def version(self) -> str:
        """dorkyd's version."""
        return dorkyd.__version__

    @property
    def device(self) -> str:
        """This machine's name."""
        return self.loaded.settings.device

    def projects(self) -> Sequence[ProjectControl]:
        """All of them, in configuration order."""
        return list(self._runners.values())

    def project(self, name: str) -> ProjectControl:
        """One of them."""
        found = self._runners.get(name)
        if found is None:
            there = ", ".join(self._runners) or "none"
            raise Refused(f"no project is named {name!r}; there are: {there}", code="no-such-project")
        return found

    def add(self, new: NewProject) -> ProjectControl:
        """Write it to the configuration and start it."""
        if new.path is None and new.name is None:
            raise Refused("a project without a folder needs a name", code="no-name", hint="give it one")
        if new.path is not None and not os.path.isdir(new.path):
            raise Refused(f"{new.path} is not a folder", code="no-such-folder", hint="make it first, or check the name")
        if new.path is not None and not new.over_npm and is_npm_folder(new.path):
            raise Refused(
                f"{new.path} is a project of the npm tool dorky, which keeps its files in .dorky/ too",
                hint=f"`dorkyctl import-dorky {shlex.quote(new.path)}` shows what adopting it does, and asks; nothing is sent again."
                " To begin anew instead, move .dorky out of the folder",
                code="npm-project",
            )
        name = new.name or os.path.basename(os.path.realpath(new.path or "/")) or "root"
        with self._guard:
            if name in self._runners and new.name is None:
                name = next(f"{name}-{n}" for n in range(2, 1000) if f"{name}-{n}" not in self._runners)
            fields = {
                "name": name,
                "path": new.path,
                "bucket": new.bucket or config.embedded_bucket(self.loaded.homes, name),
                "mode": new.mode,
                "endpoint_url": new.endpoint_url,
                "region": new.region,
                "profile": new.profile,
                "ignore": new.ignore,
            }
            self._apply(config.edit(self.loaded, lambda text: add_project(text, fields), host=self.host))
        return self.project(name)

    def remove(self, name: str) -> None:
        """Forget it; delete nothing."""
        with self._guard:
            runner = self._runners.get(name)
            self.project(name)
            self._apply(config.edit(self.loaded, lambda text: remove_project(text, name), host=self.host))
            self._sampling.forget(name)
            if runner is not None:
                runner.retire()

    @property
    def imports(self) -> ImportControl:
        """Adopting projects of the npm tool."""
        return Importer(_bucket_to_look_at, self.add, lambda: self.loaded.settings.projects)

    @property
    def prospects(self) -> ProspectControl:
        """Looking at buckets before a folder is paired with one."""
        homes = self.loaded.homes

        def parse(wish: Wish) -> Project:
            return config.prospective(
                homes,
                bucket=wish.bucket,
                endpoint_url=wish.endpoint_url,
                region=wish.region,
                profile=wish.profile,
            )

        def trusted(project: Project, id_: str) -> str | None:
            known = self._key_home.trust_of(id_)
            return config.pinned_fingerprint(project.path) if known is None else known.fingerprint

        return Prospector(parse, _bucket_to_look_at, lambda: self.loaded.settings.projects, trusted, SystemClock())

    @property
    def bandwidth(self) -> Bandwidth:
        """The limits in force for all projects together."""
        return self._shared.bandwidth

    def limit(self, name: str | None, *, up: int | None, down: int | None) -> Bandwidth:
        """Write limits to the configuration, and let them hold at once."""
        with self._guard:
            if name is not None:
                self.project(name)
            change = lambda text: set_bandwidth(text, name, up=up, down=down)
            self._apply(config.edit(self.loaded, change, host=self.host))
            return self._shared.bandwidth if name is None else self._limits[name].bandwidth

    @property
    def _key_home(self) -> KeyHome:
        if self._keys is None:
            self._keys = KeyHome(config.key_folder(self.loaded.homes))
        return self._keys

    def unlock(self, passphrase: str, *, keyring: bool | None = None) -> None:
        """Open this machine's key, and let every project look at its files again."""
        if keyring:
            self._key_home.remember(passphrase)
        else:
            self._key_home.unlock(passphrase)
            if keyring is False:
                self._key_home.forget()
        self._look_again()

    def _recall(self) -> None:
        """Open the key where the system's keyring was asked to keep its passphrase; nothing waits for that."""
        try:
            if self._key_home.recall():
                self._look_again()
        except (DorkyError, OSError) as exc:
            _log.warning("verb=recall outcome=%s: the key stays shut", getattr(exc, "code", "unreadable"))

    def _look_again(self) -> None:
        for runner in list(self._runners.values()):
            runner.sync(wait=False, timeout_s=None)

    def allow(self, name: str, patterns: Sequence[str]) -> Sequence[str]:
        """Write patterns to the configuration, and start the project anew with them."""
        with self._guard:
            self.project(name)
            change = lambda text: add_patterns(text, name, "allow", patterns)
            self._apply(config.edit(self.loaded, change, host=self.host))
            return next(project.allow for project in self.loaded.settings.projects if project.name == name)

    def warnings(self) -> Sequence[Warning]:
        """About the daemon as a whole."""
        found = []
        if self._bad_edit:
            hint = "correct the file; until then the settings from before hold"
            found.append(Warning("configuration", self._bad_edit, hint))
        if self._tcp is not None and self._tcp.trouble is not None:
            found.append(self._tcp.trouble)
        return found

    def samples(self, name: str) -> Sequence[Sample]:
        """The project's last day."""
        self.project(name)
        return self._sampling.of(name)

    def stop(self) -> None:
        """End the daemon; returns at once."""
        self._ending.set()
        self._reload.set()

    def subscribe(self, listener: Callable[[str, ProjectStatus], None]) -> Callable[[], None]:
        """Call `listener` with every published status."""
        self._listeners.append(listener)

        def unsubscribe() -> None:
            if listener in self._listeners:
                self._listeners.remove(listener)

        return unsubscribe

    # --- life ---------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Serve until told to stop."""
        homes = self.loaded.homes
        for folder in (homes.state_dir, homes.run_dir):
            make_private(folder)
        lock = _lock(homes.state_dir / "daemon.lock")
        with contextlib.ExitStack() as ends:
            ends.callback(self._ended, lock)
            self._apply(self.loaded)
            # Loaded only now, which takes as long as all before it.
            self._wait_for(lambda runner: runner.asked, HEAD_START_S)
            from apscheduler.schedulers.background import BackgroundScheduler  # noqa: PLC0415

            from dorkyd.api.server import SocketDoor  # noqa: PLC0415
            from dorkyd.api.tcp import TcpDoor  # noqa: PLC0415

            sys.setswitchinterval(SWITCH_S)
            # What was loaded stays: nobody needs to look for garbage among it.
            gc.freeze()
            gc.enable()
            scheduler = BackgroundScheduler(daemon=True)
            scheduler.add_job(self._purge, "interval", seconds=PURGE_EVERY_S)
            api = SocketDoor(self, str(homes.socket), os.getuid(), given=self.given)
            ends.callback(api.stop)
            self._tcp = TcpDoor(self, homes.state_dir / "token")
            ends.callback(self._tcp.close)
            api.start()
            self._tcp.follow(self.loaded.settings.listen)
            scheduler.start()
            ends.callback(scheduler.shutdown, wait=False)
            ends.callback(self._ending_now)
            _write_daemon_file(homes.state_dir / "daemon.json", api.path, stays=self.given is not None)
            self._wait_for(lambda runner: runner.opened, OPEN_S)
            self.notifier.ready()
            _log.info("verb=start pid=%d socket=%s", os.getpid(), api.path)
            # A keyring may wait for somebody who is asked to open it.
            threading.Thread(target=self._recall, name="recall", daemon=True).start()
            self._serve(api, self._tcp)

    def _ending_now(self) -> None:
        self.notifier.stopping()
        (self.loaded.homes.state_dir / "daemon.json").unlink(missing_ok=True)

    def _ended(self, lock: int) -> None:
        self._workroom.close()
        self._stop_all()
        self._pool.close()
        os.close(lock)
        _log.info("verb=stop pid=%d", os.getpid())

    def _wait_for(self, done: Callable[[ProjectRunner], bool], limit_s: float) -> None:
        deadline = time.monotonic() + limit_s
        while time.monotonic() < deadline and not all(done(runner) for runner in list(self._runners.values())):
            if self._ending.wait(timeout=0.01):
                return

    def reload(self) -> None:
        """Read the configuration again soon."""
        self._reload.set()

    def _serve(self, api: SocketDoor, tcp: TcpDoor) -> None:
        while not self._ending.is_set():
            asked = self._reload.wait(timeout=min(TICK_S, self.notifier.watchdog_interval_s or TICK_S))
            self._reload.clear()
            if self._ending.is_set():
                return
            self._look_at_configuration(asked=asked)
            # Here and not where settings are applied: that may be a thread of the very server that is to end.
            api.follow()
            tcp.follow(self.loaded.settings.listen)
            if all(time.monotonic() - runner.beat < BEAT_S for runner in list(self._runners.values())):
                self.notifier.watchdog()
            self.notifier.status(self._summary())

    def _look_at_configuration(self, *, asked: bool) -> None:
        with self._guard:
            try:
                text = config.read_text(self.loaded.homes.config_file)
                if text == (self.loaded.text if self._seen_text is None else self._seen_text) and not asked:
                    return
                self._seen_text = text
                self._apply(config.load_again(self.loaded, self.environ, host=self.host))
            except Configuration as exc:
                if str(exc) != self._bad_edit:
                    _log.warning("verb=reload outcome=refused detail=%s", exc)
                self._bad_edit = str(exc)

    def _apply(self, loaded: config.Loaded) -> None:
        """Start, stop and restart projects so that they are what the settings say."""
        with self._guard:
            before = {p.name: p for p in self.loaded.settings.projects if p.name in self._runners}
            names = (self.loaded.settings.device, self.loaded.settings.author)
            renamed = (loaded.settings.device, loaded.settings.author) != names
            wanted = {p.name: p for p in loaded.settings.projects}
            stale = [name for name, p in before.items() if renamed or not _same_but_bandwidth(wanted.get(name), p)]
            for name in stale:
                # That may take a while: whoever asks for it meanwhile is told so, and not that there is none.
                self._runners[name].stop()
                del self._limits[name]
            self.loaded, self._bad_edit, self._seen_text = loaded, "", None
            running = {name: runner for name, runner in self._runners.items() if name not in stale}
            runners: dict[str, ProjectRunner] = {}
            try:
                for name, project in wanted.items():
                    runners[name] = running.get(name) or self._start(project, loaded.settings)
            finally:
                # Where one cannot be started: whoever runs is known, or its folder would be locked against its successor.
                self._runners = {**runners, **{name: runner for name, runner in running.items() if name not in runners}}
            self._apply_bandwidth(loaded.settings)

    def _apply_bandwidth(self, settings: Settings) -> None:
        """Limits hold from now on, also for what is under way."""
        self._shared.change(settings.bandwidth)
        for project in settings.projects:
            limits = self._limits[project.name]
            if limits.bandwidth != project.bandwidth:
                limits.own.change(project.bandwidth)
                self._runners[project.name].look_again()

    def _start(self, project: Project, settings: Settings) -> ProjectRunner:
        limits = self._limits[project.name] = Limits(Pair(), self._shared)
        limits.own.change(project.bandwidth)
        folderless = project.mode is Mode.BUCKET
        if folderless:
            make_private(FilePath(project.path))
        wiring = Wiring(
            project=project,
            folder=LocalFolder(project.path),
            open_bucket=lambda known: self._open_bucket(project, limits, known=known),
            clock=SystemClock(),
            pool=self._pool.lane(),
            device=settings.device,
            author=settings.author or _login_name(),
            make_watcher=lambda skip: None if folderless else _watch(project.path, skip, lambda: engine.wake()),  # noqa: PLW0108 - wake is set later
            random=random.random,
            make_push=lambda: _push(project),
            key_home=self._key_home,
            pinned=lambda: config.pinned_fingerprint(project.path),
            paging=_paging(project),
        )
        engine = Engine(wiring, self.loaded.homes.state_dir / "journals")
        runner = ProjectRunner(engine, self._published, limits, self._workroom)
        threading.Thread(target=prepare, args=(project,), name="prepare", daemon=True).start()
        runner.start()
        return runner

    def _open_bucket(self, project: Project, limits: Limits, *, known: bool) -> Bucket:
        embedded = config.is_embedded(self.loaded.homes, project.bucket)
        scheme, _, directory = project.bucket.partition("://")
        if scheme == "file" and known and not os.path.isdir(directory):
            raise Transient(
                f"the bucket's directory {directory} is missing",
                hint="mount or restore it; sync goes on by itself then",
                offline=True,
            )
        bucket = Limited(open_bucket(project, create=embedded), limits)
        return bucket if scheme == "file" else Retrying(bucket, Patience())

    def _published(self, status: ProjectStatus) -> None:
        self._sampling.see(status)
        for listener in list(self._listeners):
            listener(status.name, status)

    def _purge(self) -> None:
        for runner in list(self._runners.values()):
            runner.purge_trash()

    def _stop_all(self) -> None:
        with self._guard:
            runners = list(self._runners.values())
            for runner in runners:
                runner.ask_to_stop()
            deadline = time.monotonic() + STOP_S
            for runner in runners:
                left = max(0.0, deadline - time.monotonic())
                # Nothing would end while the bucket cannot be reached, and its engine may wait in a request.
                runner.stop(min(left, STOP_OFFLINE_S) if runner.status().state is State.OFFLINE else left)

    def _summary(self) -> str:
        states = [runner.status().state for runner in list(self._runners.values())]
        good = sum(state is State.IN_SYNC for state in states)
        return f"{good} of {len(states)} projects in sync"


SWITCH_S = 0.02
"""How long a thread may go on while others want to: our threads give way at every system call of their own accord, and being
stopped in between costs a first sync a twelfth of its CPU (`docs/performance.md`).
"""
STARTING_SWITCH_S = 0.0005
"""The same while the API is loaded, which never gives way by itself: engines that wait for the system must not wait for that."""


def _login_name() -> str:
    """The user of this process, as the system knows them; empty: it does not."""
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return ""


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `dorkyd`. Returns the exit code."""
    sys.setswitchinterval(STARTING_SWITCH_S)
    allocator.return_large_buffers()
    parser = argparse.ArgumentParser("dorkyd", description="Keeps project folders in sync with buckets you own.")
    parser.add_argument("--version", action="version", version=f"dorkyd {dorkyd.__version__}")
    parser.parse_args(argv)
    log = begin(os.environ, log_file())
    host = socket.gethostname().partition(".")[0] or "device"
    try:
        loaded = config.load(os.environ, host=host)
        daemon = Daemon(os.environ, host, loaded, Notifier(os.environ), log, passed_socket(os.environ))
        signal.signal(signal.SIGTERM, lambda *_: daemon.stop())
        signal.signal(signal.SIGINT, lambda *_: daemon.stop())
        signal.signal(signal.SIGHUP, lambda *_: daemon.reload())
        os.chdir("/")
        daemon.run()
    except DorkyError as exc:
        print(printable(f"dorkyd: {exc}" + (f"\n  {exc.hint}" if exc.hint else "")), file=sys.stderr)
        return EXIT_CONFIGURATION if isinstance(exc, Configuration) else EXIT_ERROR
    logging.shutdown()
    # Transfers still under way are journalled: waiting for their threads would only delay the next start.
    os._exit(0)


def _bucket_to_look_at(project: Project) -> Bucket:
    """The bucket of a project that there is not yet."""
    bucket = open_bucket(project)
    return bucket if project.bucket.startswith("file://") else Retrying(bucket, Patience())


def _same_but_bandwidth(one: Project | None, other: Project) -> bool:
    """Bandwidth changes while a project runs; anything else takes a new start."""
    return one is not None and replace(one, bandwidth=other.bandwidth) == other


def _watch(root: str, skip: Callable[[Path, bool], bool], wake: Callable[[], None]) -> Watcher | None:
    try:
        return OsWatcher(root, skip=skip, wake=wake)
    except Stale:
        return None


def _paging(project: Project) -> Paging:
    """A directory is listed by this process itself, which two listings at a time would only keep from its work."""
    return Paging(on_a_thread, None if project.bucket.startswith("file://") else _IN_TWO_OVER)


def _push(project: Project) -> Push | None:
    if project.push is None:
        return None
    return QueuePush(project.push.queue_url, project.bucket, profile=project.profile, region=project.region)


def _lock(file: FilePath) -> int:
    """One daemon a home: the lock is the process's, so a dead one leaves nothing behind."""
    fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        holder = os.pread(fd, 32, 0).decode("ascii", "replace").strip()
        os.close(fd)
        raise Busy(
            f"a daemon already runs here, as process {holder or 'unknown'}",
            hint="`dorkyctl status` talks to it, `dorkyctl stop` ends it",
        ) from exc
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
    return fd


def _write_daemon_file(file: FilePath, socket_path: str, *, stays: bool = False) -> None:
    """`stays`: a service manager listens on the socket when we no longer do."""
    staged = file.with_name(f"{file.name}.tmp")
    staged.unlink(missing_ok=True)
    with open(os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(
            json.dumps({"pid": os.getpid(), "socket": socket_path, "version": dorkyd.__version__, "stays": stays})
        )
    staged.replace(file)
