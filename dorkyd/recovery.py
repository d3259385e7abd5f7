"""What is settled before anything is decided: effects whose outcome was never recorded.

A kill, or a lost reply, leaves intents (remote) and installs (local) open. An intent is settled by a fresh look at its
path (`settle_intents`, also used while running, whenever a reply was in doubt), an install by what stands in the folder
(`settle_install`). Both answer with what base becomes; nothing here deletes, and nothing is assumed about timing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from dorkyd.core.model import Base, Local, Op, Remote, Version
from dorkyd.ledger import Install, Intent
from dorkyd.ports import Folder
from dorkyd.transfer import Placed, Transfer, put_in

_OUT = ".out"
"""Where a file system that cannot trade two names keeps the displaced file between the steps of an exchange, beside the
staged name (`dorkyd.renames.StepwiseRenames`)."""


@dataclass(frozen=True, slots=True)
class Settled:
    """What a fresh look says of a path's open intents."""

    rebase: bool
    """True: `base` replaces what the journal has (None: no base any more). False: base stands."""
    base: Base | None
    effective: tuple[tuple[Op, Version | None], ...]
    """Ops that took effect, to be announced, with the version each made where it is known."""
    dropped: tuple[Op, ...]
    """Ops that had not happened."""


def settle_intents(intents: Sequence[Intent], looked: Remote | None) -> Settled:
    """Settle one path's open intents, oldest first, against the object as just looked at (None: proven absent).

    The newest op of ours found in the object's op or ancestry took effect, and base is what that op wrote: if others
    have written since, the table sees an edit of theirs over an agreed state. A delete took effect when the object is
    absent. All else did not happen. What a client asked for has no file here: base stands, and the folder follows.
    """
    for intent in reversed(intents):
        if looked is not None and intent.verb != "delete":
            if intent.op == looked.op:
                return _effective(intents, intent, looked.version, looked.modified)
            if intent.op in looked.ancestry:
                return _effective(intents, intent, None)
        if looked is None and intent.verb == "delete":
            return _effective(intents, intent, None)
    return Settled(False, None, (), tuple(intent.op for intent in intents))


def _effective(
    intents: Sequence[Intent], taken: Intent, version: Version | None, modified: int | None = None
) -> Settled:
    others = tuple(intent.op for intent in intents if intent is not taken)
    base = None if taken.asked else taken.wrote(version, modified)
    return Settled(not taken.asked, base, ((taken.op, version),), others)


@dataclass(frozen=True, slots=True)
class Landed:
    """What start-up found of one open install or discard."""

    happened: bool
    """Base becomes the installed state (install), or none (discard). False: base stands, look again; always so for what a
    person asked for.
    """
    placed: Placed
    staged_kept: bool
    """The staged file is still what we fetched: it may be used again."""


def settle_install(install: Install, folder: Folder, transfer: Transfer) -> Landed:
    """Settle one open install or discard by what stands in the folder, whose identity was verified before.

    Nothing is unlinked: what came out of its place goes to the trash when it is what was expected to come out, else to
    a conflict copy or back.
    """
    found = _found(install, folder, transfer)
    return found if install.follows_bucket else replace(found, happened=False)


def _found(install: Install, folder: Folder, transfer: Transfer) -> Landed:
    staged = folder.staged_digest(install.staged)
    if install.takes_away:
        if staged is None:
            return Landed(False, Placed(), False)
        placed = transfer.place_discarded(install)
        return Landed(placed.trashed is not None and placed.copy is None, placed, False)
    ours_staged = staged is not None and staged == install.staged_digest
    placed = Placed()
    out = replace(install, staged=install.staged + _OUT)
    if folder.staged_digest(out.staged) is not None:
        if put_in(folder, out.staged, install.path):
            return Landed(False, Placed(restored=True), ours_staged)
        placed = transfer.place(out)
    elif ours_staged:
        return Landed(False, Placed(), True)
    elif staged is not None:
        return Landed(True, transfer.place(install), False)
    there = folder.observe(install.path, None)
    return Landed(isinstance(there, Local) and there.digest == install.staged_digest, placed, ours_staged)
