"""The ledger: work under way and its traces, in the journal's database.

*Intents* are remote effects, *installs* local ones; each is written before it happens and leaves when its outcome is
recorded (an intent stays on as an announcement until it is in the bucket's log). *Fetched* proves which staged files are
ours to unlink. *Displaced* files are looked at again for late writers. The rest is for people and for the guard.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from dorkyd.core.model import Base, Digest, Op, Path, Problem, Version

IntentVerb = Literal["put", "copy", "patch", "delete"]
NOBODYS = Digest("sha256:" + "0" * 64)
"""No file has it: whoever compares a file with it finds the file changed."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A remote effect, from before it is sent."""

    op: Op
    path: Path
    verb: IntentVerb
    digest: Digest | None
    """What the object will hold; None for a delete."""
    size: int | None
    mode: int | None
    replaces: Version | None
    """The state it replaces; None: it creates."""
    approved: bool
    """A person let this deletion through: peers' guards let it through too."""
    at_ns: int
    version: Version | None = None
    """What it made; None: not recorded yet, or a delete."""
    seq: int = 0
    """Order in the journal; 0 before it is written."""
    asked: bool = False
    """A client of the API asked for it, and no file here is of it: base stands, and the folder follows by the table."""
    local_mode: int | None = None
    """What the file's own bits were, where `mode` was merged from another's: base takes these, so that the file's are set
    and not the object's. None: they were `mode`.
    """
    batch: str | None = None
    """The atomic batch it is of: not announced before that is complete, and then with all of it."""

    def wrote(self, version: Version | None, modified: int | None = None) -> Base | None:
        """What base becomes when this took effect. None: it was a delete."""
        if self.digest is None or self.size is None:
            return None
        mode = self.local_mode if self.local_mode is not None else self.mode
        return Base(self.digest, self.size, version, mode, modified)


@dataclass(frozen=True, slots=True)
class Install:
    """A local effect, from before the swap: a file put in place or taken away."""

    verb: Literal["install", "discard", "restore", "withdraw"]
    """`install` and `discard` follow the bucket, and base follows them. `restore` and `withdraw` are what a person asked
    for here: put in place and taken away just so, an edit of theirs over a base that stands.
    """
    path: Path
    staged: str
    """install: the staged file, which after an exchange holds what stood there. discard: where the file goes."""
    staged_digest: Digest | None
    """install: content put in place."""
    version: Version | None
    """install: the object state it is of. discard: the state base was of, for the history."""
    size: int
    mode: int | None
    """What base will say."""
    modified: int | None
    expected: Digest | None
    """The content that was known to stand there; anything else that comes out is newer and kept as a conflict copy."""
    keep_both: bool
    """What comes out is a conflict copy in any case."""
    mtime_ns: int
    """Of what stood there, for the name of a conflict copy; 0 when nothing did."""
    id: int = 0
    agreed: Digest | None = None
    """install: the object's content, where what is put in place is a merge of it: base becomes this, and the file is an
    edit of it. None: they are one.
    """
    agreed_size: int | None = None
    """Its bytes."""

    @property
    def takes_away(self) -> bool:
        """Nothing is put in its place."""
        return self.verb in {"discard", "withdraw"}

    @property
    def follows_bucket(self) -> bool:
        """Base becomes what it made."""
        return self.verb in {"install", "discard"}


@dataclass(frozen=True, slots=True)
class Displaced:
    """A file in the trash that somebody may still be writing to."""

    name: str
    path: Path
    digest: Digest
    size: int
    version: Version | None
    at_ns: int
    checks: int
    """How often it was hashed again since."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """Staged bytes that came from the bucket."""

    staged: str
    path: Path
    version: Version
    digest: Digest | None
    """None: not whole yet."""


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that was done."""

    verb: str
    path: Path
    device: str
    digest: Digest | None = None
    size: int | None = None
    version: Version | None = None
    detail: str = ""
    action: str = ""
    """Which action it is a part of: all that was decided together has the same. Empty: nothing that can be undone."""
    before: Digest | None = None
    """What the path held before; None: nothing, or nobody knows."""
    replaces: Version | None = None
    """The object state that was replaced or deleted."""
    mode: int | None = None
    """Permission bits it has since."""
    mode_before: int | None = None
    came_from: Path | None = None
    """The name it had before it was moved."""


class Ledger:
    """See the module. Shares the journal's connection, thread and transactions."""

    heard: Callable[[Event], None]
    """Told of each thing done, inside the transaction that may yet be undone: it must only hand over."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self.heard = lambda _event: None
        self._conn = conn
        # At least the paths that have a row, so that settling a file, of which most never had one, costs no statement.
        self._had_problem = {row[0] for row in conn.execute("SELECT path FROM problems")}
        self._was_approved = {row[0] for row in conn.execute("SELECT DISTINCT path FROM approvals")}

    # --- intents ------------------------------------------------------------------------------------------------

    def intend(self, intents: Iterable[Intent]) -> None:
        """About to be sent. An op that was dropped is intended again: its session goes on (`dorkyd.sessions`)."""
        self._conn.executemany(
            "INSERT INTO intents (op, path, verb, digest, size, mode, replaces, version, state, approved, at_ns, asked,"
            " local_mode, batch) VALUES (?, ?, ?, ?, ?, ?, ?, NULL, 'intended', ?, ?, ?, ?, ?)"
            " ON CONFLICT (op) DO UPDATE SET state = 'intended', at_ns = excluded.at_ns, local_mode = excluded.local_mode"
            " WHERE state != 'announce'",
            (
                (
                    i.op,
                    i.path,
                    i.verb,
                    i.digest,
                    i.size,
                    i.mode,
                    i.replaces,
                    int(i.approved),
                    i.at_ns,
                    int(i.asked),
                    i.local_mode,
                    i.batch,
                )
                for i in intents
            ),
        )

    def took_effect(self, op: Op, version: Version | None) -> None:
        """It happened: from here on it is an announcement, and no session of it goes on."""
        self.all_took_effect([(op, version)])

    def all_took_effect(self, made: Iterable[tuple[Op, Version | None]]) -> None:
        """These happened."""
        made = list(made)
        self._conn.executemany("DELETE FROM uploads WHERE op = ?", ((op,) for op, _ in made))
        self._conn.executemany(
            "UPDATE intents SET state = CASE WHEN batch IS NULL OR state = 'announce' THEN 'announce'"
            " ELSE 'batched' END, version = ? WHERE op = ?",
            ((version, op) for op, version in made),
        )

    def dropped(self, op: Op) -> None:
        """It had not happened when we looked. Remembered, since a delayed request may still land (`late_intent`)."""
        self._conn.execute("UPDATE intents SET state = 'dropped' WHERE op = ? AND state = 'intended'", (op,))

    def late_intent(self, op: Op) -> Intent | None:
        """A dropped intent that landed after all."""
        found = self._intents("state = 'dropped' AND op = ?", (op,))
        return found[0] if found else None

    def late_delete(self, path: Path, replaced: Version) -> Intent | None:
        """A dropped deletion of this state, which may have landed after all."""
        found = self._intents("state = 'dropped' AND verb = 'delete' AND path = ? AND replaces = ?", (path, replaced))
        return found[-1] if found else None

    def forget_dropped(self, before_ns: int) -> None:
        """Requests this old have landed or never will."""
        self._conn.execute("DELETE FROM intents WHERE state = 'dropped' AND at_ns < ?", (before_ns,))

    def open_intents(self, path: Path | None = None) -> list[Intent]:
        """Sent, perhaps, with no outcome recorded; oldest first."""
        if path is None:
            return self._intents("state = 'intended'", ())
        return self._intents("state = 'intended' AND path = ?", (path,))

    def tried(self, path: Path) -> bool:
        """Any write of ours to this object is on record, whatever became of it."""
        return bool(self._conn.execute("SELECT 1 FROM intents WHERE path = ? LIMIT 1", (path,)).fetchone())

    def announcements(self, limit: int) -> list[Intent]:
        """Done and not yet in the bucket's log, oldest first."""
        return self._intents("state = 'announce'", (), limit)

    def next_entry(self, limit: int) -> list[Intent]:
        """What the next entry of the log tells of: all of one batch, or what is of none."""
        pending = self.announcements(limit)
        batch = pending[0].batch if pending else None
        if batch is not None:
            return self._intents("state = 'announce' AND batch = ?", (batch,))
        return [intent for intent in pending if intent.batch is None]

    def announcement_count(self) -> int:
        """How many are not yet in the bucket's log."""
        return int(self._conn.execute("SELECT count(*) FROM intents WHERE state = 'announce'").fetchone()[0])

    def announced(self, ops: Iterable[Op]) -> None:
        """These are in the bucket's log."""
        self._conn.executemany("DELETE FROM intents WHERE op = ? AND state = 'announce'", ((op,) for op in ops))

    def _intents(self, where: str, values: tuple[str, ...], limit: int = -1) -> list[Intent]:
        rows = self._conn.execute(
            "SELECT op, path, verb, digest, size, mode, replaces, approved, at_ns, version, seq, asked, local_mode,"
            f" batch FROM intents WHERE {where} ORDER BY seq LIMIT ?",
            (*values, limit),
        )
        return [
            Intent(
                op,
                path,
                verb,
                digest,
                size,
                mode,
                replaces,
                bool(approved),
                at_ns,
                version,
                seq,
                bool(asked),
                bits,
                batch,
            )
            for op, path, verb, digest, size, mode, replaces, approved, at_ns, version, seq, asked, bits, batch in rows
        ]

    # --- installs and what was fetched ----------------------------------------------------------------------------

    def installing(self, installs: Iterable[Install]) -> None:
        """About to be swapped in, or taken out."""
        self._conn.executemany(
            "INSERT INTO installs (verb, path, staged, staged_digest, version, size, mode, modified, expected, keep_both,"
            " mtime_ns, agreed, agreed_size) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (i.verb, i.path, i.staged, i.staged_digest, i.version, i.size, i.mode, i.modified, i.expected,
                 int(i.keep_both), i.mtime_ns, i.agreed, i.agreed_size)
                for i in installs
            ),
        )  # fmt: skip

    def open_installs(self) -> list[Install]:
        """Begun, with no outcome recorded; oldest first."""
        rows = self._conn.execute(
            "SELECT verb, path, staged, staged_digest, version, size, mode, modified, expected, keep_both, mtime_ns, id,"
            " agreed, agreed_size FROM installs ORDER BY id"
        )
        return [
            Install(
                verb=row[0],
                path=row[1],
                staged=row[2],
                staged_digest=row[3],
                version=row[4],
                size=row[5],
                mode=row[6],
                modified=row[7],
                expected=row[8],
                keep_both=bool(row[9]),
                mtime_ns=row[10],
                id=row[11],
                agreed=row[12],
                agreed_size=row[13],
            )
            for row in rows
        ]

    def install_settled(self, staged: str, *, staged_kept: bool) -> None:
        """Its outcome is recorded. `staged_kept`: the staged name still holds what we fetched."""
        self._conn.execute("DELETE FROM installs WHERE staged = ?", (staged,))
        if not staged_kept:
            self._conn.execute("DELETE FROM fetched WHERE staged = ?", (staged,))

    def fetched(self, path: Path) -> list[Fetched]:
        """Staged bytes of this path's object states."""
        rows = self._conn.execute("SELECT staged, path, version, digest FROM fetched WHERE path = ?", (path,))
        return [Fetched(*row) for row in rows]

    def all_fetched(self) -> list[Fetched]:
        """All staged bytes that came from the bucket."""
        return [Fetched(*row) for row in self._conn.execute("SELECT staged, path, version, digest FROM fetched")]

    def fetched_in_vain(self) -> list[Fetched]:
        """Staged bytes that nobody will ask for: both sides agreed without them, or they are whole and of a state that
        the object no longer has.
        """
        return [
            Fetched(*row)
            for row in self._conn.execute(
                "SELECT staged, path, version, digest FROM fetched f WHERE (path NOT IN (SELECT path FROM dirty)"
                " OR digest IS NOT NULL AND version IS NOT (SELECT version FROM remote r WHERE r.path = f.path))"
                " AND staged NOT IN (SELECT staged FROM installs)"
            )
        ]

    def set_fetched(self, fetched: Fetched) -> None:
        """This staged file is of this object state."""
        self._conn.execute(
            "INSERT OR REPLACE INTO fetched VALUES (?, ?, ?, ?)",
            (fetched.staged, fetched.path, fetched.version, fetched.digest),
        )

    def came_out(self, staged: str, path: Path) -> None:
        """This staged name will hold what came out of the folder and has no place yet: whoever looks for what was fetched in
        vain finds one.
        """
        self.set_fetched(Fetched(staged, path, Version(""), NOBODYS))

    def drop_fetched(self, staged: str) -> None:
        """It was unlinked, or has a place."""
        self._conn.execute("DELETE FROM fetched WHERE staged = ?", (staged,))

    def incoming(self) -> list[str]:
        """Staged bodies that clients send, perhaps before they have a name on disk."""
        return [row[0] for row in self._conn.execute("SELECT staged FROM incoming")]

    def comes_in(self, staged: str) -> None:
        """A body will be staged under this name: it is ours to unlink."""
        self._conn.execute("INSERT OR IGNORE INTO incoming VALUES (?)", (staged,))

    def came_in(self, staged: str) -> None:
        """It was unlinked, or is known by another row from here on."""
        self._conn.execute("DELETE FROM incoming WHERE staged = ?", (staged,))

    # --- displaced ------------------------------------------------------------------------------------------------

    def displace(self, displaced: Displaced) -> None:
        """In the trash from here on."""
        self._conn.execute(
            "INSERT OR REPLACE INTO displaced VALUES (?, ?, ?, ?, ?, ?, ?)",
            (
                displaced.name,
                displaced.path,
                displaced.digest,
                displaced.size,
                displaced.version,
                displaced.at_ns,
                displaced.checks,
            ),
        )

    def displaced(self, *, checked_less_than: int | None = None) -> list[Displaced]:
        """What is in the trash, oldest first."""
        rows = self._conn.execute(
            "SELECT name, path, digest, size, version, at_ns, checks FROM displaced WHERE checks < ?"
            " ORDER BY at_ns, name",
            (checked_less_than if checked_less_than is not None else 1 << 31,),
        )
        return [Displaced(*row) for row in rows]

    def displaced_with(self, digest: Digest, limit: int) -> list[str]:
        """Names in the trash that held this content when they were last hashed, newest first."""
        rows = self._conn.execute(
            "SELECT name FROM displaced WHERE digest = ? ORDER BY at_ns DESC LIMIT ?", (digest, limit)
        )
        return [row[0] for row in rows]

    def checked(self, name: str, checks: int, digest: Digest) -> None:
        """It was hashed again."""
        self._conn.execute("UPDATE displaced SET checks = ?, digest = ? WHERE name = ?", (checks, digest, name))

    def purged(self, name: str) -> None:
        """It left the trash."""
        self._conn.execute("DELETE FROM displaced WHERE name = ?", (name,))

    # --- history, problems, guard ---------------------------------------------------------------------------------

    def log(self, at_ns: int, events: Iterable[Event]) -> None:
        """What was done."""
        events = list(events)
        self._conn.executemany(
            "INSERT INTO history (at_ns, verb, path, digest, size, version, device, detail, action, before, replaces, mode,"
            " mode_before, came_from) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                (at_ns, e.verb, e.path, e.digest, e.size, e.version, e.device, e.detail, e.action, e.before, e.replaces,
                 e.mode, e.mode_before, e.came_from)
                for e in events
            ),
        )  # fmt: skip
        for event in events:
            self.heard(event)

    def undoing(self, at_ns: int, events: Sequence[Event]) -> None:
        """About to be taken back: what carries it to the bucket is known for that, whatever happens on the way. These rows
        become what came of it (`undone`). One that a run before this wrote stays where it is: what that run carried to the
        bucket came after it.
        """
        rows = self._conn.execute("SELECT action, path FROM history WHERE verb = 'undoing'").fetchall()
        begun = {(action, path) for action, path in rows}
        self.log(at_ns, [event for event in events if (event.action, event.path) not in begun])

    def undone(self, events: Iterable[Event]) -> None:
        """What came of what was to be taken back."""
        self._conn.executemany(
            "UPDATE history SET verb = ?, detail = ? WHERE action = ? AND path = ? AND verb = 'undoing'",
            ((e.verb, e.detail, e.action, e.path) for e in events),
        )

    def trim_history(self, keep: int) -> None:
        """Forget all but the newest."""
        self._conn.execute("DELETE FROM history WHERE seq <= (SELECT max(seq) FROM history) - ?", (keep,))

    def set_problem(self, problem: Problem) -> int:
        """This path cannot sync. Returns how often in a row that was found."""
        self._had_problem.add(problem.path)
        self._conn.execute(
            "INSERT INTO problems VALUES (?, ?, ?, ?, 1) ON CONFLICT (path) DO UPDATE SET"
            " attempts = CASE WHEN code = excluded.code THEN attempts + 1 ELSE 1 END,"
            " code = excluded.code, detail = excluded.detail, hint = excluded.hint",
            (problem.path, problem.code, problem.detail, problem.hint),
        )
        row = self._conn.execute("SELECT attempts FROM problems WHERE path = ?", (problem.path,)).fetchone()
        return int(row[0])

    def clear_problem(self, path: Path) -> None:
        """It can sync again."""
        if path in self._had_problem:
            self._conn.execute("DELETE FROM problems WHERE path = ?", (path,))

    def problems(self) -> list[tuple[Problem, int]]:
        """What cannot sync, and how often in a row that was found."""
        rows = self._conn.execute("SELECT path, code, detail, hint, attempts FROM problems ORDER BY path")
        return [(Problem(Path(path), code, detail, hint), attempts) for path, code, detail, hint, attempts in rows]

    def approve(self, keys: Iterable[tuple[Path, Version]], *, decided: str = "") -> None:
        """Exactly these deletions may pass the guard. `decided`: stands for the decision, which can be undone as one."""
        keys = list(keys)
        self._was_approved.update(path for path, _ in keys)
        self._conn.executemany(
            "INSERT OR IGNORE INTO approvals (path, version, decided) VALUES (?, ?, ?)",
            ((path, version, decided) for path, version in keys),
        )

    def decided(self, path: Path) -> str:
        """By which decision a deletion of this path was let through; empty: none, or none of this device's."""
        if path not in self._was_approved:
            return ""
        row = self._conn.execute("SELECT decided FROM approvals WHERE path = ? AND decided != ''", (path,)).fetchone()
        return str(row[0]) if row is not None else ""

    def is_approved(self, key: tuple[Path, Version]) -> bool:
        """Whether a person let this deletion through."""
        return bool(self._conn.execute("SELECT 1 FROM approvals WHERE path = ? AND version = ?", key).fetchone())

    def forget_bucket(self) -> None:
        """Intents, sessions and approvals of another bucket, or of another past of it, say nothing of this one."""
        self._conn.execute("DELETE FROM intents")
        self._conn.execute("DELETE FROM uploads")
        self._conn.execute("DELETE FROM approvals")

    def unapprove(self, path: Path, *, all_but: Version | None = None) -> None:
        """The path has moved on; what was approved of it is history. `all_but`: but for its deletion in this state, which may be
        told of before the state itself.
        """
        if path in self._was_approved:
            self._conn.execute("DELETE FROM approvals WHERE path = ? AND version IS NOT ?", (path, all_but))

    def count_deletion(self, at_ns: int, side: Literal["local", "remote"], path: Path) -> None:
        """A deletion that the guard's window shall remember."""
        self._conn.execute("INSERT INTO deletions VALUES (?, ?, ?)", (at_ns, side, path))

    def deletions_since(self, at_ns: int, side: Literal["local", "remote"]) -> int:
        """Deletions in the guard's window; older ones are forgotten."""
        self._conn.execute("DELETE FROM deletions WHERE at_ns < ?", (at_ns,))
        row = self._conn.execute("SELECT count(*) FROM deletions WHERE side = ?", (side,)).fetchone()
        return int(row[0])

    def paths_at_work(self) -> Sequence[Path]:
        """Paths with an unrecorded intent: to be decided only after a fresh look."""
        rows = self._conn.execute("SELECT DISTINCT path FROM intents WHERE state = 'intended'")
        return [Path(row[0]) for row in rows]
