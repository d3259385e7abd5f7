"""What a push is about to do to the plain paths, as a document in the bucket that anybody can carry out. Pure.

It is written before the commit that decides, and removed when all of it is done. Beside its commit it says how the state that
the commit names comes to stand under the plain paths: each change with the op of its write and the state it replaces. So
it does not matter who does it, how many do, or how often. Reading trusts nothing, and nothing is done that the commit
does not say as well (`agrees`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from dorkyd.core.commits import Commit, CommitId, is_id
from dorkyd.core.metadata import hex_of, is_batch, is_epoch
from dorkyd.core.model import PERMISSION_BITS, Digest, Op, Path, Remote, Version
from dorkyd.core.paths import ancestors, parse
from dorkyd.core.sealing import KEYED
from dorkyd.errors import PathProblem

PLANS = ".dorky/batches/"
"""Sorts before all else of ours, so that every full listing shows what stands there, without a request of its own."""
FORMAT = 1
DOCUMENT_BYTES = 256 * 1024 * 1024
"""A larger document is nobody's plan."""
BATCH_CHANGES = 5000
"""Changes in one atomic batch: one entry of the log names them all. A larger push is several."""

_KEY = re.compile(r"\.dorky/batches/([0-9]{12})-([0-9a-f]{32})\.json")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_KEYED = re.compile(rf"{KEYED}[0-9a-f]{{64}}")
_OP = re.compile(r"[0-9a-f]{16,64}")
_OCTAL = re.compile(r"[0-7]{3}")
_LIMIT = 2**63
_NUMBER_DIGITS = 4


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One plain path, and what becomes of it."""

    path: Path
    op: Op
    """Of the write: whoever finds it in the object, or in its ancestry, knows that it is done."""
    digest: Digest | None
    """What it shall hold, as its commit says it; None: it is deleted."""
    size: int | None
    """None: it is encrypted, and nobody is told."""
    mode: int | None
    mtime_ns: int | None
    replaces: Version | None
    """The state it replaces; None: there is no object."""
    replaces_op: Op | None
    """The write that made that state, where it is known: a version may come back by chance, an op does not."""
    epoch: str | None = None
    """As `CommitFile.epoch`: whose key made `digest`. None: it is plain."""
    here: tuple[Digest, int] | None = None
    """Of what is encrypted, the SHA-256 and size of its content, on the device whose push it is. Never in the bucket."""

    @property
    def content(self) -> tuple[Digest, int] | None:
        """SHA-256 and size of what it shall hold; None: it is deleted, or only who pushed it knows."""
        return self.here if self.epoch is not None or self.digest is None else (self.digest, self.size or 0)

    @property
    def sealed(self) -> str | None:
        """As `Remote.sealed`, of the object that it shall be."""
        return None if self.epoch is None or self.digest is None else f"{self.epoch}:{hex_of(self.digest)}"

    def is_replaced(self, now: Remote | None) -> bool:
        """The object is still what this replaces."""
        if now is None or self.replaces is None:
            return now is None and self.replaces is None
        return now.version == self.replaces and self.replaces_op in (None, now.op)

    def is_done(self, now: Remote | None) -> bool:
        """It happened, whatever was written since."""
        if now is None:
            return self.digest is None
        return self.op == now.op or self.op in now.ancestry


@dataclass(frozen=True, slots=True)
class Plan:
    """All changes of one push."""

    commit: CommitId
    seq: int
    batch: str
    """The name of the first atomic batch (`batch_of`), as the commit's header says it."""
    device: str
    """Whose push it is, for people."""
    changes: tuple[PlannedChange, ...]

    @property
    def key(self) -> str:
        """Where it stands."""
        return plan_key(self.seq, self.batch)

    def batches(self) -> Iterator[tuple[str, tuple[PlannedChange, ...]]]:
        """The atomic batches it is made of."""
        for start in range(0, len(self.changes), BATCH_CHANGES):
            number = start // BATCH_CHANGES
            name = self.batch if number == 0 else f"{self.batch[:-_NUMBER_DIGITS]}{number:0{_NUMBER_DIGITS}x}"
            yield name, self.changes[start : start + BATCH_CHANGES]


def plan_key(seq: int, batch: str) -> str:
    """Where the plan of a push stands, until the log names all of it."""
    return f"{PLANS}{seq:012d}-{batch}.json"


def plan_number(key: str) -> int | None:
    """The number of the commit that a plan's key belongs to; None: no plan's key."""
    found = _KEY.fullmatch(key)
    return int(found[1]) if found else None


def agrees(plan: Plan, commit_id: CommitId, commit: Commit) -> bool:
    """The commit says everything that the plan does."""
    header = commit.header
    if (plan.commit, plan.seq, plan.batch) != (commit_id, header.seq, header.batch):
        return False
    files = commit.by_path
    for change in plan.changes:
        said = files.get(change.path)
        if change.digest is None:
            if said is not None:
                return False
        elif said is None or (said.digest, said.epoch, said.size, said.mode) != (
            change.digest,
            change.epoch,
            change.size,
            change.mode,
        ):
            return False
    return True


def in_order(changes: Sequence[PlannedChange]) -> tuple[Sequence[PlannedChange], ...]:
    """Which are carried out before which: deletions come last, when what takes their place is there, but for those of a file
    and a folder that want one name, which a store of plain files cannot hold together.
    """
    puts = [change for change in changes if change.digest is not None]
    names = {change.path for change in puts}
    folders = {above for path in names for above in ancestors(path)}
    in_the_way: list[PlannedChange] = []
    rest: list[PlannedChange] = []
    for change in changes:
        if change.digest is None:
            clashes = change.path in folders or not names.isdisjoint(ancestors(change.path))
            (in_the_way if clashes else rest).append(change)
    return in_the_way, puts, rest


def clash(paths: Iterable[Path]) -> tuple[Path, Path] | None:
    """A file, and one in a folder of the same name: no file system can hold both. None: there are none."""
    there = set(paths)
    for path in sorted(there):
        for above in ancestors(path):
            if above in there:
                return above, path
    return None


def encode(plan: Plan, *, here: bool = False) -> bytes:
    """A plan as it stands in the bucket; `here`: as the journal of the device whose push it is has it."""
    changes = [
        {
            "path": c.path,
            "op": c.op,
            "digest": c.digest,
            **({"size": c.size} if c.epoch is None else {"epoch": c.epoch}),
            **({"here": list(c.here)} if here and c.here is not None else {}),
            "mode": None if c.mode is None else f"{c.mode:03o}",
            "mtime_ns": c.mtime_ns,
            "replaces": c.replaces,
            "replaces_op": c.replaces_op,
        }
        for c in plan.changes
    ]
    document = {"format": FORMAT, "commit": plan.commit, "seq": plan.seq, "batch": plan.batch, "device": plan.device}
    return json.dumps({**document, "changes": changes}, ensure_ascii=False, separators=(",", ":")).encode()


def decode(text: bytes, *, here: bool = False) -> Plan | None:
    """The plan that these bytes are; None: they make no sense. `here`: they are the journal's."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        return None
    commit, seq, batch = document.get("commit"), document.get("seq"), document.get("batch")
    device, raw = document.get("device"), document.get("changes")
    if not (isinstance(commit, str) and is_id(commit) and _is_number(seq) and isinstance(raw, list)):
        return None
    if not (isinstance(batch, str) and is_batch(batch) and len(batch) == 32 and _is_text(device)):
        return None
    changes = [_change(one, here=here) for one in raw]
    read = tuple(change for change in changes if change is not None)
    if len(read) != len(raw) or len({change.path for change in read}) != len(read):
        return None
    return Plan(CommitId(commit), cast("int", seq), batch, cast("str", device)[:255], read)


def _change(raw: object, *, here: bool) -> PlannedChange | None:
    if not isinstance(raw, Mapping):
        return None
    path, op, digest, mode = raw.get("path"), raw.get("op"), raw.get("digest"), raw.get("mode")
    size, mtime_ns, replaces, replaces_op = (raw.get(k) for k in ("size", "mtime_ns", "replaces", "replaces_op"))
    epoch = raw.get("epoch")
    sealed = isinstance(epoch, str) and is_epoch(epoch)
    if not (_is_text(path) and isinstance(op, str) and _OP.fullmatch(op)):
        return None
    if not (sealed if epoch is not None else _is_number(size)):
        return None
    if not ((digest is None and not sealed) or _is_digest(digest, _KEYED if sealed else _DIGEST)):
        return None
    known = raw.get("here") if here and sealed else None
    if known is not None and not (
        isinstance(known, list) and len(known) == 2 and _is_digest(known[0], _DIGEST) and _is_number(known[1])
    ):
        return None
    if not (mode is None or (isinstance(mode, str) and _OCTAL.fullmatch(mode))):
        return None
    if not (mtime_ns is None or (isinstance(mtime_ns, int) and abs(mtime_ns) < _LIMIT)):
        return None
    if not ((replaces is None or _is_text(replaces)) and (replaces_op is None or _is_text(replaces_op))):
        return None
    if digest is None and replaces is None:
        return None
    try:
        parsed = parse(cast("str", path))
    except PathProblem:
        return None
    return PlannedChange(
        path=parsed,
        op=Op(op),
        digest=Digest(digest) if digest is not None else None,
        size=None if sealed else cast("int", size),
        mode=int(mode, 8) & PERMISSION_BITS if mode is not None else None,
        mtime_ns=mtime_ns,
        replaces=Version(cast("str", replaces)) if replaces is not None else None,
        replaces_op=Op(cast("str", replaces_op)) if replaces_op is not None else None,
        epoch=epoch if isinstance(epoch, str) else None,
        here=(Digest(known[0]), known[1]) if known is not None else None,
    )


def _is_digest(value: object, form: re.Pattern[str]) -> bool:
    return isinstance(value, str) and form.fullmatch(value) is not None


def _is_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < _LIMIT


def _is_text(value: object) -> bool:
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
