"""Imports go one way (DESIGN.md section 8). Read from the sources, so that a late import counts as well."""

from __future__ import annotations

import ast
import pathlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import pytest

PACKAGE = pathlib.Path(__file__).parent.parent / "dorkyd"

FAMILIES = {
    "folder": [
        "folder",
        "dirfd",
        "renames",
        "scanning",
        "looking",
        "staging",
        "trash",
        "marker",
        "permissions",
        "durable",
        "streams",
        "pages",
        "recent",
        "basecopies",
        "faults",
    ],
    "watcher": ["watcher", "inotify", "hints"],
    "npm": ["npm_folder"],
    "news": ["news", "ahead", "compaction", "bucket_trash"],
    "push": ["push"],
    "buckets": ["buckets", "buckets.*"],
}
"""Adapters, and the modules that each is made of."""

PORTS = ["ports", "core.*", "errors"]
KEYS = ["keys", "key_store", "key_chain", "keyring", "codecs", "sealing"]
"""Encryption: over a bucket, so that all above see plain bytes."""
STORES = ["sqlite", "journal", "ledger", "schema", "sessions", "repeats", "batch_rows", "manual_rows"]
ENGINE = [
    *("asking", "batches", "freezing", "storing", "artifacts", "former", "wholes", "reading_artifacts", "team"),
    *("placing", "contents", "reinstating", "restoring", "undoing", "versions", "reading_history"),
    *("emptying", "diffing", "auditing", "histories"),
    *("manual", "manual_staging", "manual_push", "manual_finishing", "manual_copies", "manual_reading"),
    *(
        "transfer",
        "hashing",
        "merging",
        "tripwire",
        "recovery",
        "carrying",
        "deciding",
        "local_side",
        "remote_side",
        "upkeep",
        "halts",
        "opening",
        "bucket_upkeep",
    ),
    *(
        "engine",
        "wiring",
        "in_force",
        "manual_cycle",
        "standing",
        "collecting",
        "giving_up",
        "secrecy",
        "contact",
        "deletions",
        "jobs",
        "retries",
        "decisions",
        "reading",
        "reading_rows",
        "reading_tree",
    ),
]
CONFIG = ["config_team", "config_convert", "config", "config_listen", "config_nodes", "config_overlaps", "config_edit"]

MAY_IMPORT: dict[str, list[str]] = {
    "core.*": ["core.*", "errors"],
    "errors": [],
    "ports": ["core.*", "errors"],
    **{name: [*PORTS, *STORES] for name in STORES},
    **{name: [*PORTS, *members] for members in FAMILIES.values() for name in members},
    # What works on ports and the journal. `news` is an adapter that takes a bucket: the bucket's own words.
    **{name: [*PORTS, *STORES, *KEYS, *ENGINE, "news", "bucket_trash"] for name in ENGINE},
    # The process of its own: nothing of ours that would bring more into it.
    **{
        f"tables.{name}": ["tables.*"] for name in ("harvest", "text", "rows", "values", "facts", "changes", "__main__")
    },
    "tables.supervisor": ["errors"],
    "tables.kept": [*PORTS, "news", "tables.*"],
    # Beside the engine, as what it serves through the API is.
    "tables.*": [*PORTS, *STORES, *KEYS, *ENGINE, "tables.*"],
    "tables": [],
    "tables.worker": [],
    # A package that loads pyarrow at once: it is imported inside functions only, or by its name in the worker.
    "tables.converting.*": [*PORTS, "tables.converting.*", "tables.worker", "config_nodes", "allocator", "durable"],
    "tables.siblings": ["core.*"],
    "tables.shortfalls": [*PORTS, *STORES, *KEYS, *ENGINE],
    "tables.sidecar": [*PORTS, *STORES, *KEYS, *ENGINE, "tables.shortfalls", "tables.siblings", "tables.supervisor"],
    "tables.formats": [],
    "passphrases": ["errors"],
    "keys": ["core.*", "errors", "durable", "passphrases", "private"],
    "codecs": ["core.*", "errors", "keys"],
    "key_store": [*PORTS, "keys", "news"],
    "key_chain": [*PORTS, "keys", "key_store"],
    "keyring": [*PORTS, "keys", "key_store", "key_chain"],
    "sealing": [*PORTS, "keys", "keyring", "codecs", "buckets.wrapped"],
    "team": [*PORTS, *STORES, "engine", "keyring", "news"],
    # First contact with a bucket was taken out of the engine, and proves its conditions.
    **{
        name: [*PORTS, *STORES, *KEYS, *ENGINE, "news", "ahead", "buckets.probe"]
        for name in ("engine", "wiring", "contact")
    },
    # It looks for the layer of a bucket that keeps versions.
    "contents": [*PORTS, *STORES, *KEYS, *ENGINE, "bucket_trash", "buckets.probe"],
    "auditing": [*PORTS, *STORES, *KEYS, *ENGINE, "news", "compaction"],
    # Pushes make commits, and copy from the contents that commits keep.
    **{
        name: [*PORTS, *STORES, *KEYS, *ENGINE, "commits", "commit_store", "commit_cache", "committed_secrets", "news"]
        for name in ("manual_push", "manual_finishing", "manual_copies")
    },
    "bucket_upkeep": [*PORTS, *STORES, "news", "compaction", "bucket_trash", "tables.dropping"],
    **{name: [*PORTS, *STORES, *KEYS, *ENGINE, "tables.*"] for name in ("diffing", "histories")},
    "control_tables": [],
    "api.messages": ["core.*"],
    "api.import_messages": ["api.messages", "core.*"],
    "api.import_calls": ["api.calls", "api.import_messages"],
    "api.history_messages": ["api.messages", "api.table_messages"],
    "api.table_messages": ["api.messages"],
    "api.table_calls": ["api.calls", "api.messages", "api.table_messages"],
    "api.commit_messages": ["api.messages"],
    "api.failures": [],
    "api.calls": ["api.messages", "core.*"],
    "api.commit_calls": ["api.calls", "api.messages", "api.commit_messages"],
    "api.history_calls": ["api.calls", "api.messages", "api.history_messages"],
    "api.manual_messages": ["api.messages"],
    "api.freeze_messages": ["api.messages"],
    "api.freeze_calls": ["api.calls", "api.freeze_messages"],
    "api.manual_calls": ["api.calls", "api.messages", "api.manual_messages"],
    "api.*": [
        "api.*",
        "control",
        "control_commits",
        "control_history",
        "control_import",
        "control_logs",
        "control_manual",
        "control_freeze",
        "control_prospect",
        "control_tables",
        "core.*",
        "errors",
    ],
    "npm_history": [*PORTS, "commits", "commit_store", "control_import", "npm_folder"],
    "commit_cache": ["core.*", "errors"],
    # `news` for the bytes of a document as a body.
    "commit_store": [*PORTS, "commit_cache", "news"],
    "collection": [*PORTS, "commit_store", "news"],
    **{
        name: [
            *PORTS,
            *STORES,
            *KEYS,
            *ENGINE,
            "commit_cache",
            "commit_store",
            "collection",
            "commits",
            "checkout",
            "committed_secrets",
        ]
        for name in ("commits", "checkout", "committing", "committed_secrets")
    },
    "artifacts": [*PORTS, *STORES, *KEYS, *ENGINE, "control", "bucket_trash"],
    "api.connections": ["api.problems", "api.sending", "peer"],
    "api.sending": [],
    "api.__main__": ["api.routes", ""],
    "api.server": ["api.*", "control", "core.*", "errors", "private"],
    "private": ["errors"],
    "peer": [],
    "control": [
        "core.*",
        "errors",
        "control_tables",
        "control_prospect",
        "control_commits",
        "control_history",
        "control_import",
        "control_logs",
        "control_manual",
        "control_freeze",
    ],
    "control_commits": ["core.*", "errors"],
    "control_manual": ["core.*", "errors"],
    "control_freeze": ["core.*"],
    "freeze_desk": [*PORTS, "engine"],
    "control_history": ["core.*", "errors"],
    "control_import": ["core.*"],
    # It reads what the folder's family knows how to read, where there is no folder of ours yet.
    "npm_folder": [*PORTS, *FAMILIES["folder"]],
    "importing": [*PORTS, "control", "control_import", "npm_folder", "doctor_git"],
    "client": ["client.*"],
    "client.*": [
        "client.*",
        *("tables.dataset", "tables.reading", "tables.sources", "tables.writing"),
        "api.messages",
        "api.import_messages",
        "api.import_calls",
        "api.calls",
        "api.failures",
        "api.commit_calls",
        "api.commit_messages",
        "api.history_calls",
        "api.history_messages",
        "api.manual_calls",
        "api.table_calls",
        "api.table_messages",
        "api.manual_messages",
        "api.freeze_calls",
        "api.freeze_messages",
        "core.*",
        "errors",
        "locate",
        "peer",
        "beside",
        "pages",
        "slabs",
    ],
    # Tables are read by a client, in its process.
    "tables.pieces": ["client.reading"],
    "tables.kinds": ["api.failures"],
    "tables.sources": ["api.calls", "api.failures", "api.messages", "client.*", "tables.pieces"],
    **{
        name: ["api.calls", "api.failures", "api.messages", "client.*", "tables.*"]
        for name in ("tables.reading", "tables.writing", "tables.dataset", "tables.filesystem", "tables.outgoing")
    },
    "client.plans": ["api.messages", "api.calls", "api.failures", "beside"],
    "client.bodies": ["api.failures", "beside", "pages"],
    "client.answers": ["api.failures"],
    "client.quick": ["client.answers", "locate", "peer"],
    "client.reading": [],
    # A client with tools for programs instead of commands for people.
    "mcp": [],
    "mcp.*": ["mcp.*", "client.*", "api.messages", "api.failures", "core.*", "errors"],
    "cli": ["cli.*"],
    "cli.*": [
        "cli.*",
        "client.*",
        "api.messages",
        "api.import_messages",
        "api.import_calls",
        "api.calls",
        "api.history_messages",
        "api.history_calls",
        "api.manual_messages",
        "api.manual_calls",
        "api.table_calls",
        "api.table_messages",
        "api.freeze_messages",
        "api.freeze_calls",
        "api.failures",
        "api.commit_calls",
        "api.commit_messages",
        "api.history_calls",
        "api.history_messages",
        "core.*",
        "errors",
        "locate",
        "private",
        "keys",
        "service",
        "service_managers",
        "api.log_messages",
        "api.prospect_messages",
        "api.prospect_calls",
        "api.log_calls",
        "exchanging",
        "tables.converting.files",
        "ui.*",
        *CONFIG,
        "",
    ],
    "cli.mcp": ["cli.app", "core.*", "errors", "mcp.*", ""],
    # The page's server: a client of the socket, and nothing of the daemon.
    "ui": [],
    "ui.*": ["ui.*", "api.failures", "client.quick", "locate"],
    "ui.session": [],
    "ui.door": ["ui.session"],
    "ui.tickets": ["ui.session"],
    "ui.forwarding": [],
    "ui.pages": [],
    "sampling": ["core.*"],
    "service": [],
    "service_managers": ["service"],
    "activation": ["errors"],
    "journald": ["loglines"],
    "loglines": ["core.*"],
    "control_logs": [],
    "control_prospect": ["core.*"],
    "prospecting": [*PORTS, "control_prospect", "doctor_bucket"],
    "api.prospect_messages": ["api.messages"],
    "api.prospect_calls": ["api.calls", "api.prospect_messages"],
    "api.log_messages": ["api.messages"],
    "api.log_calls": ["api.calls", "api.log_messages"],
    "exchanging": ["renames"],
    "locate": [],
    **{name: [] for name in ("beside", "pages", "slabs")},
    "hashing": ["beside"],
    **{name: [*PORTS, "buckets.*", "slabs"] for name in ("buckets.s3_pieces", "buckets.gcs", "buckets.gcs_reading")},
    "pool": ["jobs"],
    "notify": [],
    "allocator": [],
    "logs": ["journald", "loglines"],
    **{name: [*CONFIG, "core.*", "errors", "durable", "private"] for name in CONFIG},
    "": ["client"],
    "dorky_client": ["client"],
    "__main__": ["daemon"],
}
"""Each module, by its name or its package's, and what of ours it may import. The most exact name counts. A module that
stands nowhere here is the composition root or a part of it (`test_who_stands_under_no_rule`) and may import anything.
"""

LIBRARIES: dict[str, tuple[list[str], bool]] = {
    "boto3": (["buckets.s3_client", "buckets.s3_inspect", "push"], True),
    "botocore": (["buckets.s3_client", "buckets.s3_identity", "buckets.s3_inspect", "buckets.s3_pieces", "push"], True),
    "google.cloud": (["buckets.gcs"], True),
    "google.auth": (["buckets.gcs"], True),
    "google_crc32c": (["buckets.gcs_body"], True),
    "requests": (["buckets.gcs"], True),
    "obstore": (["buckets.fastlane"], True),
    "sqlite_utils": (["sqlite"], False),
    "watchdog": (["watcher", "inotify"], False),
    "pathspec": (["core.ignore"], False),
    "yaml": ([*CONFIG, "tables.converting.schema"], False),
    "pyrage": (["keys", "key_store", "codecs"], False),
    "cryptography": (["keys"], False),
    "keyring": (["passphrases"], True),
    "zstandard": (["codecs"], False),
    "fastapi": (["api.*"], False),
    "starlette": (["api.*"], False),
    "uvicorn": (["api.*"], False),
    "httpx2": (["client.wire", "client.blocking", "client.awaiting", "client.receiving"], False),
    "typer": (["cli", "cli.*"], False),
    "rich": (["cli", "cli.*"], False),
    "apscheduler": (["daemon"], False),
    "mcp": (["mcp.server"], False),
    "mcp_types": (["mcp.server"], False),
    "fsspec": (["tables.filesystem"], False),
    "pyarrow": (["tables.*"], True),
}
"""Library: the only modules that import it; and whether only inside functions, so that nobody pays who does not use it."""

LATE = ["tables.converting.*"]
"""Packages that are late as a whole: imported inside functions only, so that they may import a heavy library at once."""

OF_CLIENTS = ["tables.reading", "tables.dataset", "tables.writing"]
"""Imported themselves with the first table that a client reads or writes: pyarrow may stand at their beginning."""

ENVIRONMENT = ["service_managers", "config", "daemon", "locate", "cli", "cli.*", "doctor_environment"]
"""Who reads environment variables."""

KNOWN = {
    (
        "doctor_git",
        "reads os.environ",
    ): "git gets the process's environment without git's variables; the daemon should hand it over",
}
"""Present violations by module and what it does, with what is wrong: to be mended, not to be joined."""

PURE = {
    "io", "logging", "os", "pathlib", "random", "secrets", "shutil", "socket", "sqlite3", "subprocess", "tempfile",
    "threading", "time", "asyncio", "concurrent.futures", "urllib.request", "ctypes",
}  # fmt: skip
"""What the core has no use for: it decides and touches nothing."""


@dataclass(frozen=True)
class Import:
    """One module named in an import statement."""

    by: str
    """Our module, without the package's name: `core.model`, `buckets` for the package's own file, "" for `dorkyd`."""
    name: str
    """Absolute: `dorkyd.core.model`, `os`."""
    line: int
    lazy: bool
    """Inside a function: paid by who calls it."""
    for_types: bool
    """Under `TYPE_CHECKING`: never at run time."""

    @property
    def ours(self) -> str | None:
        """What of ours it names; None: a library."""
        if self.name == "dorkyd":
            return ""
        return self.name.removeprefix("dorkyd.") if self.name.startswith("dorkyd.") else None


@cache
def modules() -> dict[str, ast.Module]:
    """Every module of the package, by its name."""
    found = {}
    for file in sorted(PACKAGE.rglob("*.py")):
        parts = file.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = ast.parse(file.read_text(encoding="utf-8"), str(file))
    return found


@cache
def imports() -> tuple[Import, ...]:
    """Every import of every module."""
    names = frozenset(modules())
    return tuple(found for by, tree in modules().items() for found in read(by, tree, names))


def read(by: str, tree: ast.Module, names: frozenset[str]) -> Iterator[Import]:
    """The imports of one module, resolved to modules: `from dorkyd import halts` names `dorkyd.halts`."""

    def walk(node: ast.AST, *, lazy: bool, for_types: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            inside = lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            typed = for_types or (isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test))
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(by, alias.name, child.lineno, inside, typed)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{by}:{child.lineno}: a relative import"
                assert child.module is not None
                for alias in child.names:
                    whole = f"{child.module}.{alias.name}"
                    module = whole if whole.removeprefix("dorkyd.") in names else child.module
                    yield Import(by, module, child.lineno, inside, typed)
            else:
                yield from walk(child, lazy=inside, for_types=typed)

    yield from walk(tree, lazy=False, for_types=False)


def among(name: str, patterns: list[str]) -> bool:
    """Whether a module is one of these; `core.*` is what lies inside the package `core`, and the package."""
    return any(
        name == pattern or (pattern.endswith(".*") and (name + ".").startswith(pattern[:-1])) for pattern in patterns
    )


def rule_of(name: str) -> list[str] | None:
    """What a module may import; None: no rule names it."""
    if name in MAY_IMPORT:
        return MAY_IMPORT[name]
    packages = [name]
    while "." in packages[-1]:
        packages.append(packages[-1].rpartition(".")[0])
    return next((MAY_IMPORT[rule] for package in packages if (rule := f"{package}.*") in MAY_IMPORT), None)


def told(found: Import, why: str) -> str:
    """One violation, for people."""
    return f"{found.by or 'dorkyd'}:{found.line} imports {found.name}: {why}"


def is_known(violation: str) -> bool:
    """It stands in `KNOWN`."""
    return any(violation.startswith(f"{module}:") and what in violation for module, what in KNOWN)


def none_of(violations: list[str]) -> None:
    """Fail with one violation a line."""
    new = sorted({text for text in violations if not is_known(text)})
    assert not new, "\n" + "\n".join(new)


def wrong_directions(found: tuple[Import, ...]) -> list[str]:
    """Imports that go against the layers."""
    return [
        told(one, f"{one.by} may import only {', '.join(rule) or 'nothing of ours'}")
        for one in found
        if one.ours is not None
        and (rule := rule_of(one.by)) is not None
        and not among(one.ours, rule)
        and not one.for_types
    ] + [
        told(one, f"{one.ours} loads a heavy library: it is imported inside functions")
        for one in found
        if one.ours is not None and among(one.ours, LATE) and not among(one.by, LATE) and not one.lazy
    ]


def wrong_libraries(found: tuple[Import, ...]) -> list[str]:
    """Libraries imported where they do not belong, or at once where they should be late."""
    violations = []
    for one in found:
        for library, (holders, late) in LIBRARIES.items():
            if one.name != library and not one.name.startswith(f"{library}."):
                continue
            if not among(one.by, holders):
                violations.append(told(one, f"{library} is imported only in {', '.join(holders)}"))
            elif late and not (
                one.lazy or one.for_types or among(one.by, LATE) or (library == "pyarrow" and among(one.by, OF_CLIENTS))
            ):
                violations.append(told(one, f"{library} is imported inside functions, so that others need not load it"))
    return violations


def cycles(found: tuple[Import, ...]) -> list[list[str]]:
    """Modules that import each other in a ring, at once (a late import breaks a ring)."""
    graph: dict[str, set[str]] = {}
    for one in found:
        if one.ours is not None and not one.lazy and not one.for_types:
            graph.setdefault(one.by, set()).add(one.ours)
    rings, done = [], set()

    def visit(name: str, trail: list[str]) -> None:
        if name in trail:
            rings.append([*trail[trail.index(name) :], name])
        elif name not in done:
            for other in sorted(graph.get(name, ())):
                visit(other, [*trail, name])
            done.add(name)

    for name in sorted(graph):
        visit(name, [])
    return rings


def environment_readers() -> list[str]:
    """Who reads environment variables without being of those who may."""
    variables = {"environ", "environb", "getenv", "getenvb", "putenv"}
    violations = []
    for name, tree in modules().items():
        if among(name, ENVIRONMENT):
            continue
        for node in ast.walk(tree):
            match node:
                case ast.Attribute(value=ast.Name(id="os"), attr=read_from) if read_from in variables:
                    violations.append(f"{name}:{node.lineno} reads os.{read_from}: only {', '.join(ENVIRONMENT)} may")
                case ast.ImportFrom(module="os"):
                    taken = [alias.name for alias in node.names if alias.name in variables]
                    violations += [
                        f"{name}:{node.lineno} reads os.{read_from}: no name but `os` is imported"
                        for read_from in taken
                    ]
    return violations


def test_imports_go_one_way() -> None:
    """Each module imports only the layers below it."""
    none_of(wrong_directions(imports()))


def test_every_rule_names_a_module_that_exists() -> None:
    """A rule for a module that was renamed would hold of nothing."""
    named = {name for name in MAY_IMPORT if not name.endswith(".*")}
    packages = {name[:-2] for name in MAY_IMPORT if name.endswith(".*")}
    assert named | packages <= set(modules())


def test_who_stands_under_no_rule() -> None:
    """Only the composition root and what it is made of are free; a new module must find its layer."""
    free = {name for name in modules() if rule_of(name) is None}
    assert free - {name for name in free if name.startswith("doctor_")} <= {"daemon", "project", "doctor"}


def test_only_the_daemon_constructs_adapters() -> None:
    """Nobody else imports a folder, a watcher or a store (`doctor` and `project` are handed theirs)."""
    adapters = ["folder", "watcher", "push", "buckets", "buckets.*"]
    none_of(
        [
            told(one, "only the daemon constructs adapters")
            for one in imports()
            if one.ours is not None
            and among(one.ours, adapters)
            and one.ours not in {"buckets.probe", "buckets.wrapped"}
            and one.by != "daemon"
            and not any(among(one.by, members) for members in FAMILIES.values())
        ]
    )


def test_libraries_stay_where_they_belong() -> None:
    """Each library is one module's business, and the heavy ones are loaded by who uses them."""
    none_of(wrong_libraries(imports()))


def test_the_core_touches_nothing() -> None:
    """No I/O, clock, logging or threads, and no library but pathspec."""
    none_of(
        [
            told(one, "the core is pure")
            for one in imports()
            if among(one.by, ["core.*"])
            and one.ours is None
            and (one.name in PURE or (one.by != "core.ignore" and one.name.partition(".")[0] == "pathspec"))
        ]
    )


def test_only_a_few_read_the_environment() -> None:
    """Below the configuration nothing depends on how a shell was set up."""
    none_of(environment_readers())


def test_known_violations_are_still_there() -> None:
    """What was mended leaves the list, so that it cannot come back unseen."""
    present = [*wrong_directions(imports()), *wrong_libraries(imports()), *environment_readers()]
    assert [
        why for (by, what), why in KNOWN.items() if not any(v.startswith(f"{by}:") and what in v for v in present)
    ] == []


def test_there_are_no_rings() -> None:
    """No module needs itself, by whatever way."""
    none_of([f"a ring: {' -> '.join(ring)}" for ring in cycles(imports())])


# --- the reading itself ----------------------------------------------------------------------------------------------


def parsed(by: str, source: str) -> tuple[Import, ...]:
    """The imports of a module that is not there."""
    return tuple(read(by, ast.parse(source), frozenset(modules())))


@pytest.mark.parametrize(
    ("by", "source", "said"),
    [
        ("core.moves", "from dorkyd import journal", "core.moves:1 imports dorkyd.journal: "),
        ("core.moves", "def f():\n    import dorkyd.ports", "core.moves:2 imports dorkyd.ports: "),
        ("ports", "from dorkyd.folder import LocalFolder", "ports:1 imports dorkyd.folder: "),
        ("ledger", "from dorkyd.engine import Engine", "ledger:1 imports dorkyd.engine: "),
        ("folder", "from dorkyd import journal", "folder:1 imports dorkyd.journal: "),
        ("folder", "from dorkyd.hints import Hints", "folder:1 imports dorkyd.hints: "),
        ("buckets.s3", "from dorkyd.faults import faults", "buckets.s3:1 imports dorkyd.faults: "),
        ("engine", "from dorkyd.buckets.memory import MemoryBucket", "engine:1 imports dorkyd.buckets.memory: "),
        ("recovery", "from dorkyd import renames", "recovery:1 imports dorkyd.renames: "),
        ("client.wire", "from dorkyd.config import load", "client.wire:1 imports dorkyd.config: "),
        ("cli.files", "from dorkyd.engine import Engine", "cli.files:1 imports dorkyd.engine: "),
        (
            "cli.convert",
            "from dorkyd.tables.converting import files",
            "cli.convert:1 imports dorkyd.tables.converting.files: ",
        ),
    ],
)
def test_a_wrong_direction_is_told(by: str, source: str, said: str) -> None:
    """Every form of import is read, and the message names who, where and what."""
    (violation,) = wrong_directions(parsed(by, source))
    assert violation.startswith(said)


@pytest.mark.parametrize(
    ("by", "source", "wrong"),
    [
        ("buckets.s3_client", "def f():\n    import boto3", False),
        ("buckets.s3_client", "import boto3", True),
        ("buckets.retry", "def f():\n    from botocore.exceptions import ClientError", True),
        ("buckets.gcs", "def f():\n    from google.cloud import storage", False),
        ("daemon", "def f():\n    import google.cloud.storage", True),
        ("core.paths", "import pathspec", True),
    ],
)
def test_a_library_in_the_wrong_place_is_told(by: str, source: str, wrong: bool) -> None:
    """Elsewhere, or at once where it should be late."""
    assert bool(wrong_libraries(parsed(by, source))) is wrong


def test_a_ring_is_found() -> None:
    """Two modules that need each other, unless one import is late or for types alone."""
    there = parsed("journal", "from dorkyd import ledger")
    assert cycles((*there, *parsed("ledger", "from dorkyd import journal"))) == [["journal", "ledger", "journal"]]
    assert cycles((*there, *parsed("ledger", "def f():\n    from dorkyd import journal"))) == []
    assert cycles((*there, *parsed("ledger", "if TYPE_CHECKING:\n    from dorkyd import journal"))) == []
