"""Halts: a project stops, shows exactly what it will not do unasked, and waits for a person.

The detail's first line says what was seen and what would be lost; each further line is a command and what it does.
One rule for all of them. *approve* lets through what was seen, exactly the paths and versions shown. *reject* undoes it:
what the sides agreed on is forgotten for those paths, so that nothing is deleted, what is missing is restored from the
other side, and what differs is kept twice.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from dorkyd.core.model import DeleteLocal, Path, Version
from dorkyd.core.report import Halt, HaltReason
from dorkyd.core.safety import Delete, approval_key
from dorkyd.errors import Refused
from dorkyd.journal import Journal

_KEY = "halt"
_SHOWN = 5
"""How many paths a halt's detail names."""


@dataclass(frozen=True, slots=True)
class Held:
    """A halt as the journal keeps it."""

    halt: Halt
    items: tuple[tuple[Path, Version], ...]
    """Deletions held back, as approvals name them; empty: the halt is about the whole project."""
    untold: bool = False
    """They are held back because no device announced them, however few they are."""


def deletions_held(name: str, held: Sequence[Delete], files: int, token: str) -> Held:
    """The halt for deletions past the guard. All of a side gone at once is named for what it looks like."""
    local = [d for d in held if isinstance(d, DeleteLocal)]
    all_of_a_side = max(len(local), len(held) - len(local)) >= files
    if all_of_a_side:
        reason = HaltReason.REMOTE_EMPTIED if local else HaltReason.ROOT_EMPTIED
    else:
        reason = HaltReason.MASS_DELETE
    where = "the bucket" if local else "the folder"
    loses = "this folder" if local else "the bucket and every other device"
    what = (
        f"{len(held)} of {files} files are gone from {where}. Deleting them from {loses} too waits for you: "
        f"{_names(sorted(d.path for d in held))}"
    )
    return Held(Halt(reason, f"{what}\n{_choices(name, token, reason)}", token), tuple(approval_key(d) for d in held))


def remote_emptied(name: str, keys: Sequence[tuple[Path, Version]], files: int, token: str) -> Held:
    """The halt for a bucket whose complete listing is empty, with nobody having said why."""
    what = (
        f"the bucket is empty, and no device announced that; {len(keys)} of {files} files would be deleted from this"
        f" folder: {_names(sorted(path for path, _ in keys))}"
    )
    detail = f"{what}\n{_choices(name, token, HaltReason.REMOTE_EMPTIED)}"
    return Held(Halt(HaltReason.REMOTE_EMPTIED, detail, token), tuple(keys), untold=True)


def whole(reason: HaltReason, what: str, name: str, token: str) -> Held:
    """A halt about the project as a whole, which names no paths."""
    return Held(Halt(reason, f"{what}\n{_choices(name, token, reason, named=False)}", token), ())


def missing(what: str, name: str, token: str) -> Held:
    """The halt for a folder that is not there at all: there is nothing to decide, only to wait or to forget."""
    rest = "Nothing is deleted; sync goes on by itself when the folder is back"
    forget = f"  dorkyctl remove {name}   forgets the project, and deletes nothing"
    return Held(Halt(HaltReason.ROOT_MISSING, f"{what}. {rest}\n{forget}", token), ())


def moved(what: str, name: str, token: str) -> Held:
    """The halt for a folder that was moved: what is known of it holds, if a person says so."""
    choices = _lines(
        name, token, "goes on here as before", "makes this folder a device of its own, comparing by content"
    )
    return Held(Halt(HaltReason.FOLDER_COPIED, f"{what}\n{choices}", token), ())


def _choices(name: str, token: str, reason: HaltReason, *, named: bool = True) -> str:
    """The commands on offer, and what each does. `named`: the halt shows the deletions that it holds back."""
    match reason:
        case HaltReason.ROOT_MISSING:
            approve = "makes the marker anew, if this is the folder: files are compared by content, none is deleted"
            reject = ""
        case HaltReason.FOLDER_COPIED:
            approve = "makes this folder a device of its own: files are compared by content, none is deleted"
            reject = ""
        case HaltReason.FOLDER_REWOUND:
            approve = "takes the folder as it is now for what you want"
            reject = "brings the newer files back, keeping differing ones as conflict copies"
        case HaltReason.REMOTE_REWOUND:
            approve = "follows the bucket as it is now"
            reject = "deletes nothing, and sends back what the bucket lost"
        case HaltReason.ROOT_EMPTIED if not named:
            approve = "deletes all that was in sync from the bucket and every other device too"
            reject = "deletes nothing, and brings it back from the bucket"
        case HaltReason.REMOTE_EMPTIED if not named:
            approve = "deletes from this folder too what was in sync and is gone from the bucket"
            reject = "deletes nothing, and sends it again"
        case _:
            approve, reject = "deletes exactly these", "deletes nothing, and restores them"
    return _lines(name, token, approve, reject)


def _lines(name: str, token: str, approve: str, reject: str) -> str:
    """A line for each command. `reject` empty: the other choice is to forget the project."""
    first = f"dorkyctl approve {name} {token}"
    second = f"dorkyctl reject {name} {token}" if reject else f"dorkyctl remove {name}"
    return (
        f"  {first}   {approve}\n  {second.ljust(len(first))}   {reject or 'forgets the project, and deletes nothing'}"
    )


def store(journal: Journal, held: Held | None) -> None:
    """Remember a halt across restarts; None: there is none any more."""
    if held is None:
        journal.put(_KEY, None)
        return
    document = {
        "reason": held.halt.reason,
        "detail": held.halt.detail,
        "token": held.halt.token,
        "items": held.items,
        "untold": held.untold,
    }
    journal.put(_KEY, json.dumps(document))


def stored(journal: Journal) -> Held | None:
    """The halt that was remembered."""
    text = journal.get(_KEY)
    if text is None:
        return None
    document = json.loads(text)
    items = tuple((Path(path), Version(version)) for path, version in document["items"])
    return Held(
        Halt(HaltReason(document["reason"]), document["detail"], document["token"]),
        items,
        document.get("untold", False),
    )


def check_token(held: Held | None, token: str, name: str) -> Held:
    """The halt the token stands for."""
    if held is None:
        raise Refused(f"{name} is not halted", code="not-halted", hint=f"see `dorkyctl status {name}`")
    if held.halt.token != token:
        raise Refused(
            f"that token is not the one of {name}'s present halt, which shows something else",
            code="stale-token",
            hint=f"see `dorkyctl status {name}` and use the token shown there",
        )
    return held


def _names(paths: Sequence[Path]) -> str:
    shown = ", ".join(repr(path) for path in paths[:_SHOWN])
    more = len(paths) - _SHOWN
    return f"{shown} and {more} more" if more > 0 else shown
