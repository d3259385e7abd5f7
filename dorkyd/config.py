"""YAML and environment, read once, to frozen `Settings`. Nobody else reads either.

Everything that can be known to go wrong is refused here, with `config.yaml:LINE: what is wrong, what would be right`
(exit 78): a setting that would be ignored, two projects that would sync each other's files, a folder that holds our own
state. A missing folder is not refused: a disk may come back, and the engine halts until it does.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, unquote, urlsplit

import yaml
from yaml import ScalarNode

from dorkyd.config_convert import conversions_of
from dorkyd.config_listen import listen_of
from dorkyd.config_nodes import Source, Table, folder_name, items_of
from dorkyd.config_overlaps import refuse_overlaps
from dorkyd.core.ignore import check
from dorkyd.core.paths import is_reserved
from dorkyd.core.settings import LEAST_RATE, Bandwidth, Guard, Mode, Project, PushQueue, Settings, TrashLimits, Tripwire
from dorkyd.durable import fsync
from dorkyd.errors import Configuration
from dorkyd.private import make_parents

SOCKET_BYTES = 100
"""Longest socket path: AF_UNIX takes about 107 bytes, and less on some systems."""

_DAY_S = 86_400
_PROJECT_KEYS = frozenset(
    {"name", "path", "bucket", "mode", "endpoint_url", "region", "profile", "single_writer", "ignore"}
    | {
        "settle_s",
        "hold_s",
        "list_every_s",
        "poll_s",
        "guard",
        "trash",
        "bucket_trash",
        "bandwidth",
        "push",
        "merge_env",
        "tripwire",
        "allow",
        "encrypt",
        "compress",
        "convert",
    }
)
_FOR = {"endpoint_url": "s3:// and gs://", "region": "s3://", "profile": "s3://"}
"""The schemes of the buckets that a setting is for."""
_PROJECT_NAME = re.compile(r"\w(?:[\w .+@-]*[\w.+@-])?")
_BUCKET_NAMES = {
    "s3": re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,61}[A-Za-z0-9]"),
    # With dots in it (a domain's name) up to 222: https://cloud.google.com/storage/docs/buckets#naming
    "gs": re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]"),
}

_T = TypeVar("_T")

_PROJECT = Project(name="", path="", bucket="")  # for its defaults
_GUARD = Guard()
_TRASH = TrashLimits()


@dataclass(frozen=True, slots=True)
class Homes:
    """Where our own files stand. All absolute."""

    config_file: Path
    state_dir: Path
    """Journals, `daemon.json`, embedded buckets."""
    socket: Path
    """The API's socket; its folder is ours and mode 0700."""
    home: Path
    """What `~` means."""
    own: tuple[Path, ...]
    """Folders that no project and no `file://` bucket may hold or lie in (the embedded buckets apart)."""

    @property
    def run_dir(self) -> Path:
        """The socket's folder."""
        return self.socket.parent


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration as it was read."""

    homes: Homes
    settings: Settings
    text: str
    """The file's text, empty when there is no file: compare it to notice an edit."""


def key_folder(homes: Homes) -> Path:
    """Where this machine's own key is."""
    return homes.config_file.parent / "keys"


def pinned_fingerprint(folder: str) -> str | None:
    """The `fingerprint` that a folder's `.dorky.yaml` names: what a team trusts comes with its git repository, never with
    the bucket. None: it names none, or cannot be read.
    """
    try:
        words = yaml.safe_load((Path(folder) / ".dorky.yaml").read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return None
    said = words.get("fingerprint") if isinstance(words, dict) else None
    return said if isinstance(said, str) else None


def find_homes(environ: Mapping[str, str]) -> Homes:
    """`DORKY_HOME` when set, else the XDG folders. Raises `Configuration` for a socket path that is too long.

    A relative XDG variable counts as unset, as its specification says (XDG Base Directory, 0.8).
    """
    home = Path(environ.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir)
    if ours := environ.get("DORKY_HOME"):
        top = Path(_expand(ours, home)).absolute()
        state, run, folder = top / "state", top / "run", top
        own: tuple[Path, ...] = (top,)
    else:
        state = (_xdg(environ, "XDG_STATE_HOME") or home / ".local/state") / "dorky"
        runtime = _xdg(environ, "XDG_RUNTIME_DIR")
        run = runtime / "dorky" if runtime else state
        folder = (_xdg(environ, "XDG_CONFIG_HOME") or home / ".config") / "dorky"
        own = tuple(dict.fromkeys((folder, state, run)))
    socket = run / "dorkyd.sock"
    size = len(os.fsencode(socket))
    if size > SOCKET_BYTES:
        raise Configuration(
            f"the socket path {socket} has {size} bytes; the system takes at most {SOCKET_BYTES}",
            hint="set DORKY_HOME to a shorter path, such as ~/.dorky",
        )
    return Homes(folder / "config.yaml", state, socket, home, own)


def load(environ: Mapping[str, str], *, host: str) -> Loaded:
    """Find and read the configuration. No file means no projects. Raises `Configuration`. May be repeated: a reload."""
    homes = find_homes(environ)
    text = read_text(homes.config_file)
    return Loaded(homes, read_settings(text, homes, host=host), text)


def load_again(loaded: Loaded, environ: Mapping[str, str], *, host: str) -> Loaded:
    """As `load`, for who runs by `loaded`. A file that is gone, or empty, ends no project: many programs save by emptying a
    file first, and links that lead to it are made anew.
    """
    found = load(environ, host=host)
    _still_there(found.text, loaded)
    return found


def _still_there(text: str, loaded: Loaded) -> None:
    if loaded.settings.projects and not text.strip():
        file = loaded.homes.config_file
        raise Configuration(
            f"{file} is gone or empty",
            hint="put it back; `projects: []` in it, or `dorkyctl remove NAME` while it is there, is how projects end",
        )


def edit(loaded: Loaded, change: Callable[[str], str], *, host: str) -> Loaded:
    """Change the file as it is now on disk (`dorkyd.config_edit`), only when the result can be loaded."""
    homes = loaded.homes
    before = read_text(homes.config_file)
    _still_there(before, loaded)
    read_settings(before, homes, host=host)
    text = change(before)
    try:
        settings = read_settings(text, homes, host=host)
    except Configuration as exc:
        # The file is right as it stands, so what is wrong was asked for: naming a line would send people looking there.
        asked = str(exc).removeprefix(homes.config_file.name).lstrip(":0123456789 ")
        raise Configuration(asked, hint=f"nothing was changed; {homes.config_file} is as it was") from exc
    write_atomically(homes.config_file, text)
    return Loaded(homes, settings, text)


def read_text(file: Path) -> str:
    """The file's text with its line ends as they are; empty when there is no file."""
    try:
        raw = file.read_bytes()
    except FileNotFoundError:
        return ""
    except OSError as exc:
        raise Configuration(f"cannot read {file}: {exc.strerror}", hint=f"make {file} readable") from exc
    try:
        return raw.decode()
    except UnicodeDecodeError as exc:
        line = raw.count(b"\n", 0, exc.start) + 1
        raise Source(file).wrong(line, "this is not UTF-8; save the file as UTF-8") from exc


def write_atomically(file: Path, text: str) -> None:
    """Replace the file by the whole text or not at all; mode 0600, survives a power cut. A symlink keeps its place,
    since people keep their configuration elsewhere and link to it.
    """
    target = Path(os.path.realpath(file))
    make_parents(target)
    staged = target.with_name(f"{target.name}.{os.getpid()}.tmp")
    staged.unlink(missing_ok=True)  # of a process that died with our number
    fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(fd, "wb") as opened:
            opened.write(text.encode())
            opened.flush()
            fsync(fd)
        staged.replace(target)
    except BaseException:
        staged.unlink(missing_ok=True)
        raise
    folder_fd = os.open(target.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fsync(folder_fd)
    finally:
        os.close(folder_fd)


def embedded_bucket(homes: Homes, name: str) -> str:
    """The bucket of a project that was given none: a plain directory among our own files. As the file has it."""
    return "file://" + quote(str(homes.state_dir / "buckets" / name))


def is_embedded(homes: Homes, bucket: str) -> bool:
    """A bucket among our own files, which we may make."""
    return bucket.startswith(f"file://{os.path.realpath(homes.state_dir / 'buckets')}/")


def prospective(homes: Homes, **fields: str | None) -> Project:
    """A project without a folder, with these settings. `Configuration` as for one that stands in the file."""
    given = {key: value for key, value in fields.items() if value is not None}
    try:
        text = yaml.safe_dump({"projects": [{"name": "prospect", **given}]})
        return read_settings(text, homes, host="prospect").projects[0]
    except Configuration as exc:
        raise Configuration(str(exc).removeprefix(homes.config_file.name).lstrip(":0123456789 ")) from exc


def read_settings(text: str, homes: Homes, *, host: str) -> Settings:
    """The settings that a text means. Raises `Configuration` at the first thing that is wrong."""
    source = Source(homes.config_file)
    root = source.compose(text)
    if root is None:
        return Settings(device=host)
    top = source.table(root, "the configuration", {"device", "author", "poll_s", "projects", "bandwidth", "listen"})
    poll_s = top.number("poll_s", 0.05, _DAY_S, "seconds")
    device = top.text("device")
    if device is not None and (not device.isprintable() or len(device.encode()) > 64):
        raise top.wrong("device", "`device` must be printable and at most 64 bytes, such as laptop-7")
    author = top.text("author")
    if author is not None and (not author.isprintable() or len(author.encode()) > 128):
        raise top.wrong(
            "author", "`author` must be printable and at most 128 bytes, such as Ann Lee <ann@acme.example>"
        )
    read = []
    for node in items_of(source, top.values.get("projects"), "`projects`"):
        table = source.table(node, "a project", _PROJECT_KEYS)
        read.append((table, _project(table, homes, _PROJECT.poll_s if poll_s is None else poll_s)))
    refuse_overlaps(read, homes.own, embedded=homes.state_dir / "buckets")
    return Settings(
        device=device or host,
        projects=tuple(project for _, project in read),
        bandwidth=_bandwidth(top),
        listen=listen_of(top),
        author=author or "",
    )


def _project(table: Table, homes: Homes, poll_s: float) -> Project:
    path = _folder(table, homes)
    bucket = _bucket(table)
    settle_s = _or(table.number("settle_s", 0, _DAY_S, "seconds"), _PROJECT.settle_s)
    hold_s = _or(table.number("hold_s", 0, _DAY_S, "seconds"), max(_PROJECT.hold_s, settle_s))
    if hold_s < settle_s:
        raise table.wrong("hold_s", f"`hold_s` must be at least `settle_s`, which is {settle_s:g}")
    name = _name(table, path)
    mode = _mode(table) if path else _no_mode(table)
    return Project(
        name=name,
        path=path or str(homes.state_dir / "folders" / name),
        bucket=bucket,
        mode=mode,
        endpoint_url=_endpoint(table),
        region=table.text("region"),
        profile=table.text("profile"),
        single_writer=_or(table.boolean("single_writer"), _PROJECT.single_writer),
        ignore=_patterns(table, "ignore"),
        settle_s=settle_s,
        hold_s=hold_s,
        list_every_s=table.number("list_every_s", 0.05, 30 * _DAY_S, "seconds"),
        poll_s=_or(table.number("poll_s", 0.05, _DAY_S, "seconds"), poll_s),
        guard=_guard(table),
        trash=_trash(table, "trash") or _TRASH,
        bucket_trash=_trash(table, "bucket_trash"),
        bandwidth=_bandwidth(table),
        push=_push(table, bucket),
        encrypt=_patterns(table, "encrypt"),
        compress=_patterns(table, "compress"),
        tripwire=_tripwire(table),
        allow=_patterns(table, "allow"),
        convert=conversions_of(table, mode),
        merge_env=_or(table.boolean("merge_env"), _PROJECT.merge_env),
    )


def _or(value: _T | None, default: _T) -> _T:
    return default if value is None else value


def _name(table: Table, path: str) -> str:
    """Names stand in `NAME:PATH`, in URLs and in folder names."""
    name = table.text("name")
    if name is None and not path:
        raise table.wrong(
            "path", "a project needs a `path`: its folder, such as ~/code/api/private; or, without one, a `name`"
        )
    given = folder_name(path) if name is None else name
    if len(given.encode(errors="replace")) > 64 or not _PROJECT_NAME.fullmatch(given) or not given.isprintable():
        must = "must begin with a letter or digit and have only letters, digits, spaces and . _ - + @, at most 64 bytes"
        if name is None:
            raise table.wrong("path", f"the folder's name `{given}` cannot be the project's, which {must}: add `name:`")
        raise table.wrong("name", f"`name` {must}")
    return given


def _folder(table: Table, homes: Homes) -> str:
    """Empty: the project has none, and is the bucket alone."""
    given = table.text("path")
    if given is None:
        return ""
    path = _expand(given, homes.home)
    if not path.startswith("/") or "\0" in path:
        raise table.wrong("path", f"`path` must be absolute or begin with ~/, such as ~/{given.lstrip('~/') or 'code'}")
    path = os.path.realpath(path)
    if any(is_reserved(component) for component in path.split("/")):
        raise table.wrong("path", "`path` lies inside a .git or .dorky folder, which is never synced")
    return path


def _mode(table: Table) -> Mode:
    given = table.text("mode")
    if given is None:
        return Mode.TWO_WAY
    if given not in set(Mode) - {Mode.BUCKET}:
        raise table.wrong("mode", f"`mode` is `{given}`; it must be two-way, push, pull or manual")
    return Mode(given)


def _no_mode(table: Table) -> Mode:
    """Of a project without a folder."""
    for key in ("mode", "ignore", "tripwire", "allow", "merge_env"):
        if key in table.values:
            raise table.wrong(key, f"`{key}` is of projects with a folder: add a `path`, or remove it")
    return Mode.BUCKET


def _bucket(table: Table) -> str:
    """The URL in its one form: no closing `/`; after `file://` the plain directory, resolved.

    In the file a directory may stand as it is or percent-encoded; below here nothing is decoded again.
    """
    given = table.text("bucket")
    if given is None:
        raise table.wrong(
            "bucket", "a project needs a `bucket`, such as s3://acme-artifacts/api or file:///mnt/team/api"
        )
    if given.startswith("file://"):
        directory = unquote(given.removeprefix("file://"), errors="surrogateescape")
        if not directory.startswith("/") or "\0" in directory:
            raise table.wrong("bucket", "a file:// bucket must be an absolute directory: file:///mnt/team/api")
        for key, schemes in _FOR.items():
            if key in table.values:
                raise table.wrong(key, f"`{key}` is for {schemes} buckets; remove it")
        return "file://" + os.path.realpath(directory)
    scheme, _, rest = given.partition("://")
    if scheme not in _BUCKET_NAMES or not given.startswith(f"{scheme}://"):
        raise table.wrong(
            "bucket", "`bucket` must begin with s3://, gs:// or file:///, such as s3://acme-artifacts/api"
        )
    for key, schemes in _FOR.items():
        if key in table.values and f"{scheme}://" not in schemes:
            raise table.wrong(key, f"`{key}` is for {schemes} buckets; remove it")
    name, _, prefix = rest.partition("/")
    if not _BUCKET_NAMES[scheme].fullmatch(name):
        raise table.wrong("bucket", f"`{name}` is no bucket's name; write {scheme}://BUCKET/PREFIX")
    prefix = prefix.removesuffix("/")
    parts = prefix.split("/") if prefix else []
    if any(part in {"", ".", ".."} or is_reserved(part) or not part.isprintable() for part in parts):
        raise table.wrong(
            "bucket", f"a prefix has no empty, `.`, `..`, .git or .dorky part: {scheme}://BUCKET/team/api"
        )
    return "/".join([f"{scheme}://{name}", *parts])


def _endpoint(table: Table) -> str | None:
    given = table.text("endpoint_url")
    if given is None:
        return None
    try:
        url = urlsplit(given)
        secret = url.username is not None or url.password is not None
        good = url.scheme in {"http", "https"} and url.hostname and not url.query and not url.fragment
        _ = url.port  # raises when it is no number
    except ValueError:
        good, secret = None, False
    if secret:
        # Not shown again: the message goes to logs.
        raise table.wrong("endpoint_url", "`endpoint_url` must not hold credentials; put them in an AWS profile")
    if not good:
        raise table.wrong("endpoint_url", "`endpoint_url` must be http(s)://HOST:PORT, such as http://127.0.0.1:9000")
    return given.rstrip("/")


def _patterns(table: Table, key: str) -> tuple[str, ...]:
    patterns = []
    for node, pattern in table.texts(key) or []:
        if "\n" in pattern or not pattern.strip() or pattern.startswith("#"):
            raise table.source.wrong(
                node, f"an entry of `{key}` must be one gitignore pattern (write \\# for a leading #)"
            )
        for bad in check(pattern):
            raise table.source.wrong(node, f"in `{key}`: {bad.detail}")
        patterns.append(pattern)
    return tuple(patterns)


def _tripwire(table: Table) -> Tripwire | None:
    node = table.values.get("tripwire")
    # A bare `off` is a boolean to YAML.
    off = isinstance(node, ScalarNode) and node.tag == "tag:yaml.org,2002:bool" and node.value.lower() == "off"
    given = "off" if off else table.text("tripwire")
    if given is None:
        return None
    if given not in set(Tripwire):
        raise table.wrong("tripwire", f"`tripwire` is `{given}`; it must be ask or off")
    return Tripwire(given)


def _guard(table: Table) -> Guard:
    if "guard" not in table.values:
        return _GUARD
    guard = table.source.table(table.at("guard"), "`guard`", {"percent", "files", "max", "window_s"})
    return Guard(
        percent=_or(guard.number("percent", 0, 100, "percent"), _GUARD.percent),
        files=_or(guard.whole("files", 0, 10**9, "paths"), _GUARD.files),
        max=_or(guard.whole("max", 1, 10**9, "paths"), _GUARD.max),
        window_s=_or(guard.number("window_s", 1, 30 * _DAY_S, "seconds"), _GUARD.window_s),
    )


def _trash(table: Table, key: str) -> TrashLimits | None:
    if key not in table.values:
        return None
    trash = table.source.table(table.at(key), f"`{key}`", {"days", "size"})
    return TrashLimits(
        days=_or(trash.number("days", 0, 36_500, "days"), _TRASH.days),
        size=_or(trash.size("size"), _TRASH.size),
    )


def _bandwidth(table: Table) -> Bandwidth:
    if "bandwidth" not in table.values:
        return Bandwidth()
    limits = table.source.table(table.at("bandwidth"), "`bandwidth`", {"up", "down"})
    return Bandwidth(up=_rate(limits, "up"), down=_rate(limits, "down"))


def _rate(limits: Table, key: str) -> int | None:
    """Bytes a second; 0 is no limit, as absent."""
    size = limits.size(key)
    if size and size < LEAST_RATE:
        raise limits.wrong(key, f"`{key}` must be 0 (no limit) or at least 1KiB a second: is a unit missing?")
    return size or None


def _push(table: Table, bucket: str) -> PushQueue | None:
    if "push" not in table.values:
        return None
    if not bucket.startswith("s3://"):
        raise table.wrong("push", "`push` is for s3:// buckets; remove it")
    push = table.source.table(table.at("push"), "`push`", {"queue_url"})
    given = push.text("queue_url")
    must = "https://sqs.REGION.amazonaws.com/ACCOUNT/QUEUE"
    if given is None:
        raise table.wrong("push", f"`push` needs a `queue_url`, such as {must}")
    try:
        url = urlsplit(given)
        local = url.hostname in {"127.0.0.1", "localhost", "::1"}
        good = url.scheme == "https" or (url.scheme == "http" and local)
        good = bool(good and url.hostname and url.path.strip("/") and not url.query and not url.fragment)
        secret = url.username is not None or url.password is not None
        _ = url.port  # raises when it is no number
    except ValueError:
        good = secret = False
    if secret or not good:
        # Not shown again: what stands there may be secret.
        raise push.wrong("queue_url", f"`queue_url` must be a queue's address without credentials: {must}")
    return PushQueue(given)


def _expand(path: str, home: Path) -> str:
    """`~` and `~/x` are the home; another person's (`~bob`) is not looked up."""
    return f"{home}{path[1:]}" if path == "~" or path.startswith("~/") else path


def _xdg(environ: Mapping[str, str], key: str) -> Path | None:
    value = environ.get(key, "")
    return Path(value) if value.startswith("/") else None
