"""Every place of dorkyd's code where a step is taken, read from the code: what the stories must pass.

A place is an operation (as the traps of `tests.kills.launch` name it) and the function that asks for it. A line that is
added to dorkyd is here without anybody's doing; `UNREACHED` names those that no story passes, each with its reason.
"""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Iterator
from pathlib import Path

import dorkyd
from tests.kills.ports import BUCKET, FOLDER, OS_STEPS

ROOT = Path(dorkyd.__file__).parent
NOT_THE_DAEMON = (
    *("cli/", "client/", "client.py", "locate.py", "core/", "ports.py", "exchanging.py"),
    *("service.py", "service_managers.py", "config_team.py", "tables/worker.py", "tables/converting/"),
)
"""Other programs (service and team are `dorkyctl`'s alone, a conversion is its or the worker's), and what does nothing."""
WRITES = re.compile(
    r"\b(INSERT(?: OR \w+)? INTO|UPDATE|DELETE FROM|CREATE TABLE|CREATE INDEX|DROP TABLE|ALTER TABLE) (\w+(?:\.\w+)?)"
)
_PATHLIB = {"unlink": "os.unlink", "mkdir": "os.mkdir", "rename": "os.rename", "replace": "os.replace", "chmod": "os.chmod",
            "rmdir": "os.rmdir", "symlink_to": "os.symlink", "hardlink_to": "os.link", "write_text": "Path.write_text",
            "write_bytes": "Path.write_bytes", "touch": "Path.touch"}  # fmt: skip
_BOTO = re.compile(
    r"(?:put|copy|delete|create|upload|complete|abort|restore)_[a-z_]*(?:object|objects|part|part_copy|upload|tagging|acl)"
)
_PORTS = {"bucket": BUCKET, "_bucket": BUCKET, "folder": FOLDER, "_folder": FOLDER}

Site = tuple[str, str]
"""Operation and place."""

_RACE = "only when a file changes between a look and the act: `tests/scenarios`, where the moment can be chosen"
_FALLBACK = "only where the file system or the system lacks a call"
_NEW = "newer than the last telling of all stories: `python -m tests.kills --write` says whether one passes it"
_LOG = "the daemon's own log, on which nothing that is kept depends"
_TCP = "only with a TCP listener, which writes its token once"
_REPEATS = "inside a transaction whose end is a point; each step in `tests/scenarios/test_repeats.py`"
_MERGES = "each step in `tests/scenarios/test_env_merge.py`; the story of two edits of one .env passes most"
_BATCHES = "each step in `tests/scenarios/test_batches.py`"
_TAMPERED = "only an encrypted object that is not what it claims: `tests/scenarios/test_encryption.py`"
_RING = "only where the desktop's keyring keeps the passphrase: a kill before it leaves one that opens nothing, `tests/test_keys.py`"
_ENDED = "only an error in the middle of a write: `tests/test_keys.py`"
_SEALED = "only ciphertext of an upload that nothing goes on with: `tests/scenarios/test_encryption.py`, with kills at any step"
_NPM = "moves the npm tool's own files, and overwrites none: `tests/test_importing.py`"
_MANUAL = "inside a transaction whose end is a point; each step in `tests/scenarios/test_manual_push.py`"
_UNCOPIED = "only an object too large for the store to copy: `tests/scenarios/test_manual_push.py`"
_PAST = f"{_NEW}; each step of restore and undo in `tests/scenarios/test_asked.py`"
_AUDIT = "a cache of what the bucket's log says: it may be lost at any time"
_CACHE = "a cache of what was read of commits: it may be lost at any time"
_CONVERTED = (
    "one transaction for a word to people; a kill between converting and storing is in `tests/tables/test_sidecar.py`"
)
_FACTS = "derived from a table, created once by its content: it may be lost at any time, `tests/tables/test_project.py`"
_NOTICE = "one transaction for a word to people: a kill before it loses the word and no file"
_SCRATCH = "a file without a name, for a look at a remote table"
_EARLY = "told, but done before the story arms its victim"
UNREACHED: dict[Site, str] = {
    ("sql COMMIT", "engine.Engine.remember_success"): "a time that is told to people, and moves nothing",
    ("sql COMMIT", "freezing.Freezing.at_start"): "a row that another version wrote; without it nothing is held back",
    (
        "sql COMMIT",
        "remote_side.RemoteSide._said_so",
    ): "it notes what an entry of the log says, which the next start reads again",
    ("sql COMMIT", "checkout.Checkout._observe"): "it fills a temporary table alone, and reads it",
    ("os.makedirs", "tables.filesystem.DorkyFileSystem.get_file"): "a client's own folder, wherever its caller says",
    ("os.mkdir", "npm_folder.retire"): _NPM,
    ("os.open", "npm_folder._keep_git_out"): _NPM,
    ("sql COMMIT", "tables.shortfalls.Shortfalls.note"): _CONVERTED,
    ("bucket.put", "tables.kept.write"): _FACTS,
    ("bucket.delete", "tables.dropping.drop_facts"): _FACTS,
    ("os.pwrite", "tables.looking._write"): _SCRATCH,
    ("sql COMMIT", "tables.notices.note"): _NOTICE,
    ("sql COMMIT", "tables.notices.seen"): _NOTICE,
    ("sql CREATE IF", "tables.kept.Cache._with"): _FACTS,
    ("sql DELETE facts", "tables.kept.Cache.put"): _FACTS,
    ("sql DELETE hard", "tables.kept.Cache.note_hard"): _FACTS,
    ("sql INSERT facts", "tables.kept.Cache.put"): _FACTS,
    ("sql INSERT hard", "tables.kept.Cache.note_hard"): _FACTS,
    ("sql UPDATE facts", "tables.kept.Cache.get"): _FACTS,
    **{("statement", f"{verb} {table}"): _FACTS for verb in ("DELETE", "INSERT") for table in ("facts", "hard")},
    ("statement", "UPDATE facts"): _FACTS,
    ("statement", "DELETE documents"): _CACHE,
    ("os.mkdir", "commit_cache.CommitCache._try"): _CACHE,
    ("os.unlink", "commit_cache.CommitCache._with"): _CACHE,
    ("sql DELETE documents", "commit_cache.CommitCache.keep"): _CACHE,
    ("sql DELETE headers", "commit_cache.CommitCache.forget"): _CACHE,
    ("sql INSERT headers", "commit_cache.CommitCache.remember"): _CACHE,
    ("sql INSERT made", "commit_cache.CommitCache.note_made"): _CACHE,
    ("statement", "INSERT made"): _CACHE,
    ("folder.unstage", "sealing.Sealing._encoded"): _SEALED,
    ("folder.unstage", "sealing.Sealing.stored_size"): _SEALED,
    ("folder.unstage", "upkeep.Upkeep._drop_sealed"): _SEALED,
    (
        "folder.unstage",
        "upkeep.Upkeep._drop_tried",
    ): "at a start, of what a doctor left that was killed itself: nobody's",
    ("folder.unstage", "transfer.Transfer._trusted"): _TAMPERED,
    ("os.unlink", "keys.write_private"): _ENDED,
    ("os.unlink", "keys.KeyHome.keep"): _RING,
    ("os.unlink", "keys.KeyHome.forget"): _RING,
    ("bucket.delete", "bucket_trash.purge"): _EARLY,
    ("bucket.delete", "doctor_bucket._Trial._clean"): "only what an earlier trial left",
    ("bucket.put", "news.News.limit_trash"): _EARLY,
    ("sql COMMIT", "upkeep.Upkeep._drop_unproved"): _NEW,
    ("folder.unstage", "upkeep.Upkeep._drop_unproved"): _NEW,
    ("folder.unstage", "transfer.Transfer.fetch"): _RACE,
    ("os.rmdir", "buckets.directory_place.make_room"): "only an empty folder in a directory's place for an object",
    ("sql COMMIT", "collecting.Collector.look_at_kept_folders"): _NEW,
    ("sql COMMIT", "upkeep.Upkeep._adopt_strays"): "only bytes that were fetched and are gone from staging",
    ("folder.unstage", "transfer.Transfer._fetch"): _RACE,
    ("folder.to_trash", "upkeep.Upkeep._keep_beside"): _RACE,
    ("os.unlink", "staging.copy"): _RACE,
    ("os.write", "staging._copy_bytes"): _FALLBACK,
    ("os.rename", "renames.StepwiseRenames.place"): _FALLBACK,
    ("os.rename", "folder.LocalFolder.rename"): _FALLBACK,
    ("os.rename", "buckets.directory_place.move_to_free"): _FALLBACK,
    ("open for writing", "daemon._write_daemon_file"): "a descriptor that `os.open` gave, which is a point",
    ("open for writing", "journald.ToJournal._send_file"): _LOG,
    ("open for writing", "logs.chosen"): _LOG,
    ("os.mkdir", "logs.chosen"): _LOG,
    ("os.open", "loglines.lead_to"): _LOG,
    ("os.replace", "loglines.Rotating._rotate"): _LOG,
    ("os.open", "api.tcp.token_in"): _TCP,
    ("os.replace", "api.tcp.token_in"): _TCP,
    ("os.unlink", "api.tcp.token_in"): _TCP,
    ("os.unlink", "daemon._write_daemon_file"): "only what a process that died there left",
    ("folder.unstage", "transfer.Transfer._receive"): _RACE,
    ("sql COMMIT", "asking.Asking._check_free"): _NEW,
    ("sql COMMIT", "asking.Asking.discard"): _NEW,
    ("sql COMMIT", "asking.Asking.at_start"): _NEW,
    ("folder.unstage", "asking.Asking.discard"): _NEW,
    ("folder.unstage", "asking.Asking.at_start"): _NEW,
    ("folder.unstage", "storing.Storing.store"): _NEW,
    ("os.chmod", "permissions._set_unopened"): "only for a file that its owner may not read, which root always may",
    ("os.chmod", "private._tighten"): "only for a home that somebody opened to others",
    ("os.unlink", "config.write_atomically"): "only a file left by a process of the same number",
    ("os.unlink", "buckets.directory_internals.sweep"): "only a file that a crash left a day ago",
    ("os.mkdir", "buckets.directory.DirectoryBucket.__init__"): "only an embedded bucket",
    ("os.mkdir", "private.make_parents"): "only a home whose parents are missing",
    ("sql COMMIT", "contact.Contact.failed"): "only a store that is found to ignore conditions",
    ("sql COMMIT", "contact.Contact.pushed"): "only with a queue: `tests/e2e/test_push.py`",
    ("sql COMMIT", "remote_side.RemoteSide._give_up_telling"): "only a log whose numbers are used up",
    ("bucket.abandon", "storing.Storing._session"): "only when the journal cannot take the session's row",
    ("sql INSERT repeats", "repeats.Repeats.begins"): _REPEATS,
    ("sql UPDATE repeats", "repeats.Repeats.ends"): _REPEATS,
    ("sql DELETE repeats", "repeats.Repeats.failed"): _REPEATS,
    ("sql DELETE repeats", "repeats.Repeats.forget"): _REPEATS,
    ("sql DELETE repeats", "repeats.Repeats.answer"): _REPEATS,
    ("sql COMMIT", "batches.Batches.expire"): _BATCHES,
    ("sql COMMIT", "remote_side.RemoteSide.read_back"): _BATCHES,
    ("sql DELETE batches", "batch_rows.BatchRows.complete"): _BATCHES,
    ("sql INSERT batches", "batch_rows.BatchRows.complete"): _BATCHES,
    ("sql UPDATE intents", "batch_rows.BatchRows.commit"): _BATCHES,
    ("sql UPDATE intents", "batch_rows.BatchRows.give_up"): _BATCHES,
    ("folder.unkeep", "merging.Merging.purge"): _MERGES,
    ("folder.unstage", "merging.Merging.forget"): _RACE,
    ("open for writing", "basecopies.put"): "a descriptor that `os.open` gave, which is a point",
    ("os.unlink", "basecopies.remove"): _MERGES,
    ("bucket.put", "manual_copies.Copies._write"): _UNCOPIED,
    ("folder.stage", "manual_copies.Copies._write"): _UNCOPIED,
    ("folder.unstage", "manual_staging.Stage._copy"): _RACE,
    ("sql COMMIT", "manual_staging.Stage.unstage"): "only where the commit of an unfinished push was collected",
    ("sql DELETE apart", "manual_rows.ManualRows.forget_apart"): _MANUAL,
    ("sql DELETE apart", "manual_rows.ManualRows.set_apart"): _MANUAL,
    ("sql DELETE pushes", "manual_rows.ManualRows.push_ends"): _MANUAL,
    ("sql DELETE staged", "manual_rows.ManualRows.unstage"): _MANUAL,
    ("sql INSERT apart", "manual_rows.ManualRows.set_apart"): _MANUAL,
    ("sql INSERT intents", "batch_rows.BatchRows.tell"): _MANUAL,
    ("sql INSERT pushes", "manual_rows.ManualRows.push_begins"): _MANUAL,
    ("sql INSERT staged", "manual_rows.ManualRows.stage"): _MANUAL,
    ("sql UPDATE pushes", "manual_rows.ManualRows.push_is"): _MANUAL,
    ("folder.set_mode", "placing.Placer.set_mode"): _PAST,
    ("folder.trash_to_stage", "contents.Contents._from_disk"): _PAST,
    ("folder.unstage", "contents.Contents._from_bucket"): _PAST,
    ("sql COMMIT", "placing.Placer.set_mode"): _PAST,
    ("os.unlink", "auditing.Auditing._connected"): _AUDIT,
    ("sql COMMIT", "auditing.Auditing._read"): _AUDIT,
    ("sql INSERT changes", "auditing._keep"): _AUDIT,
    ("sql INSERT entries", "auditing._keep"): _AUDIT,
    ("statement", "INSERT changes"): _AUDIT,
    ("statement", "INSERT entries"): _AUDIT,
    ("statement", "CREATE IF"): _AUDIT,
}
"""What no story passes, and why."""

PASSED = Path(__file__).with_name("passed.txt")
"""What the stories passed when they were last told (`python -m tests.kills --write`), so that a test need not tell them all to
find a new step.
"""


def passed() -> set[Site]:
    """As `PASSED` has it."""
    return {(op, place) for op, _, place in (line.partition("\t") for line in PASSED.read_text().splitlines())}


@functools.cache
def sites() -> frozenset[Site]:
    """All of them."""
    found: set[Site] = set()
    for file in sorted(ROOT.rglob("*.py")):
        name = file.relative_to(ROOT).as_posix()
        if not name.startswith(NOT_THE_DAEMON):
            found.update(_Reader(name, ast.parse(file.read_text())).sites())
    return frozenset(found)


@functools.cache
def written() -> frozenset[Site]:
    """Every statement that changes the journal, as `launch.kind_of` names it: `("statement", "INSERT base")`."""
    found: set[Site] = set()
    for file in sorted(ROOT.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            for verb, table in WRITES.findall(_text(node) if isinstance(node, ast.Constant | ast.JoinedStr) else ""):
                if not table.startswith("temp") and table != "SET":
                    found.add(("statement", f"{verb.split()[0]} {table}"))
    return frozenset(found)


def _text(node: ast.Constant | ast.JoinedStr) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "".join(part.value if isinstance(part, ast.Constant) else "?" for part in node.values)


class _Reader(ast.NodeVisitor):
    """One module."""

    def __init__(self, file: str, tree: ast.Module) -> None:
        self.module = file.removesuffix(".py").replace("/", ".")
        self.tree = tree
        self.names: list[str] = []
        self.functions = 0
        self.found: set[Site] = set()
        self.constants = {
            target.id: ast.unparse(node.value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }

    def sites(self) -> set[Site]:
        self.visit(self.tree)
        return self.found

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        if not self.functions:
            self.names.append(node.name)
            self.generic_visit(node)
            self.names.pop()

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        if not self.functions:
            self.names.append(node.name)
        self.functions += 1
        self.generic_visit(node)
        self.functions -= 1
        if not self.functions:
            self.names.pop()

    def visit_Attribute(self, node: ast.Attribute) -> None:
        # A reference is enough: it may be called through `partial`.
        port = _PORTS.get(_last(node.value))
        if port is not None and node.attr in port.changing and self.module != "folder" and not self._hands_on(port):
            self.add(f"{_last(node.value).lstrip('_')}.{node.attr}")
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        if self.module.startswith("buckets.s3") and isinstance(node.value, str) and _BOTO.fullmatch(node.value):
            self.add("s3 " + "".join(word.capitalize() for word in node.value.split("_")))

    def visit_Call(self, node: ast.Call) -> None:
        for op in self._ops(node):
            self.add(op)
        self.generic_visit(node)

    def add(self, op: str) -> None:
        self.found.add((op, ".".join([self.module, *self.names])))

    def _hands_on(self, port: object) -> bool:
        """As `trap.MECHANISM` and `trap.SEALING`."""
        of_buckets = self.module == "sealing" and port is BUCKET
        return of_buckets or self.module in {"buckets.wrapped", "buckets.limits", "buckets.retry"}

    def _ops(self, node: ast.Call) -> Iterator[str]:
        function = node.func
        if isinstance(function, ast.Name):
            words = {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
            if function.id == "Request" and self.module.startswith("buckets.gcs") and "GET" not in words:
                yield "gcs"
            if function.id == "_call" and self.module == "renames":
                yield "renameat2"
            if function.id == "open" and any("w" in _mode(node) or letter in _mode(node) for letter in "axw+"):
                yield "open for writing"
            return
        if not isinstance(function, ast.Attribute):
            return
        receiver, name = _last(function.value), function.attr
        if receiver == "os" and name in OS_STEPS:
            if name != "open" or self._creates(node):
                yield f"os.{name}"
        elif (receiver, name) == ("shutil", "rmtree"):
            yield from ("os.unlink", "os.rmdir")
        elif receiver in {"shutil", "os"} and name in {
            "copy",
            "copy2",
            "copyfile",
            "copytree",
            "move",
            "makedirs",
            "removedirs",
        }:
            yield f"{receiver}.{name}"
        elif receiver == "obstore" and name != "get":
            yield f"obstore.{name}"
        elif self._ends_transaction(node, receiver, name):
            yield "sql COMMIT"
        elif name in {"execute", "executemany"} and self.module not in {"journal", "ledger", "sessions", "schema"}:
            for argument in node.args[:1]:
                for verb, table in WRITES.findall(
                    _text(argument) if isinstance(argument, ast.Constant | ast.JoinedStr) else ""
                ):
                    yield f"sql {verb.split()[0]} {table}"
        elif (
            name in _PATHLIB
            and receiver not in {"os", "_renames", "renames", "_stepwise"}
            and self._is_path(node, name)
        ):
            yield _PATHLIB[name]

    def _ends_transaction(self, node: ast.Call, receiver: str, name: str) -> bool:
        if name in {"atomic", "_recording"}:
            return not (self.module in {"journal", "engine"} and self.names[-1] in {"atomic", "_recording"})
        if name == "execute" and node.args and self.module != "journal":
            return ast.unparse(node.args[0]) == "'COMMIT'"
        return receiver == "migrations" and name == "apply"

    def _is_path(self, node: ast.Call, name: str) -> bool:
        """Not a port's method of that name; nor a text's, a dataclass's or a date's `replace`."""
        port = _PORTS.get(_last(node.func.value)) if isinstance(node.func, ast.Attribute) else None
        if port is not None and name in port.methods:
            return False
        return name != "replace" or (len(node.args) == 1 and not node.keywords)

    def _creates(self, node: ast.Call) -> bool:
        flags = ast.unparse(node.args[1]) if len(node.args) > 1 else ""
        for _ in range(3):
            flags = re.sub(r"\b_?[A-Za-z]\w*\b", lambda found: self.constants.get(found[0], found[0]), flags)
        return "O_CREAT" in flags


def _last(node: ast.AST) -> str:
    """The last name of what a method is called on."""
    if isinstance(node, ast.Call):
        return _last(node.func)  # `self.bucket().put`
    if isinstance(node, ast.Name):
        return node.id
    return node.attr if isinstance(node, ast.Attribute) else ""


def _mode(node: ast.Call) -> str:
    values = [*node.args[1:2], *(keyword.value for keyword in node.keywords if keyword.arg == "mode")]
    return "".join(str(value.value) for value in values if isinstance(value, ast.Constant))
