"""Who may read what is encrypted: the member list, a chain of signed documents. Pure: signatures are checked by whoever asks.

`.dorky/keys/members/<number, 6 digits>.json`, numbers from 1, create-only. Each document is `{"body": TEXT, "signature":
BASE64}`, where the text is JSON and the signature is over exactly its bytes. Rules that hold for a list that is believed:

1. The first document is known by its fingerprint, which a person compared or the team's git repository told.
2. Each later one names the digest of the one before it, and is signed by a member of that one.
3. Epochs are only added, and the last is in force. Who is taken off the list is so together with a new epoch.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from dorkyd.core.metadata import is_epoch
from dorkyd.errors import Blocked, Refused

MEMBERS = ".dorky/keys/members/"
KEYS = ".dorky/keys/"
FORMAT = 1
RECOVERY = "recovery"
"""The member that is a printed key and no person."""
MOST_MEMBERS = 500
MOST_DOCUMENTS = 10_000
DOCUMENT_BYTES = 1024 * 1024
"""A document of more is none of ours."""
HINT = "ask your team what happened to the bucket; nothing was changed here"
NEWER = "update dorkyd on this machine, or ask your team what happened to the bucket; nothing was changed here"

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
_RECIPIENT = re.compile(r"age1[0-9a-z]{50,100}|ssh-(?:ed25519|rsa) [A-Za-z0-9+/=]{40,2000}")
_SIGN = re.compile(r"[A-Za-z0-9+/]{43}=")

Verify = Callable[[str, bytes, bytes], bool]
"""Public key (base64), signature, message: it is that key's."""


@dataclass(frozen=True, slots=True)
class Member:
    """One who may read."""

    name: str
    recipient: str
    """An age recipient, `age1…`, or a public SSH key, `ssh-ed25519 …` or `ssh-rsa …`."""
    sign: str
    """Ed25519 public key, base64, that signs changes of the list; empty: cannot change it."""

    @property
    def share(self) -> str:
        """What a person gives a teammate to be added."""
        return f"{self.recipient}:{self.sign}" if self.sign and self.recipient.startswith("age1") else self.recipient


@dataclass(frozen=True, slots=True)
class Epoch:
    """One identity of the project: what is written while it is the last is encrypted to it."""

    id: str
    recipient: str
    """Of age; what its identity must belong to."""


@dataclass(frozen=True, slots=True)
class MemberList:
    """The list at one number."""

    number: int
    """0: there is none yet."""
    head: str
    """SHA-256 of the document, hexadecimal; empty for none."""
    members: tuple[Member, ...] = ()
    epochs: tuple[Epoch, ...] = ()
    patterns: tuple[str, ...] = ()
    """Gitignore patterns of what is encrypted."""
    by: str = ""
    """Who made this change."""
    at: str = ""
    """RFC 3339, for people."""

    @property
    def current(self) -> Epoch | None:
        """The epoch in force."""
        return self.epochs[-1] if self.epochs else None

    def member(self, recipient: str) -> Member | None:
        """Who has this key."""
        return next((member for member in self.members if member.recipient == recipient), None)

    def named(self, name: str) -> Member | None:
        """Who is called so."""
        return next((member for member in self.members if member.name == name), None)


NOBODY = MemberList(0, "")


def key_of_document(number: int) -> str:
    """Where a document stands."""
    return f"{MEMBERS}{number:06d}.json"


def key_of_identity(epoch: str, member: str) -> str:
    """Where an epoch's identity stands, encrypted to one member."""
    return f"{KEYS}{epoch}/{member}.age"


def fingerprint(document: bytes) -> str:
    """Of a list: what people compare, from its first document."""
    digits = hashlib.sha256(document).hexdigest()[:40]
    return "-".join(digits[at : at + 8] for at in range(0, 40, 8))


def same_fingerprint(one: str, other: str) -> bool:
    """However people wrote it."""
    return _bare(one) == _bare(other) != ""


def _bare(text: str) -> str:
    return re.sub(r"[^0-9a-f]", "", text.lower())


def member_of(name: str, share: str) -> Member:
    """Read what a person typed or was sent. `Refused` for what can be no member."""
    checked_name(name)
    recipient, _, sign = share.strip().partition(":")
    if recipient.startswith("ssh-"):
        recipient = " ".join(share.split()[:2])  # without the comment
        sign = _ssh_ed25519(recipient)
    if not _RECIPIENT.fullmatch(recipient) or (sign and not _SIGN.fullmatch(sign)):
        raise Refused(
            "that is no member's public key",
            code="bad-key",
            hint="your teammate gets it from `dorkyctl key show`; a public SSH key (ed25519, RSA) will do too",
        )
    return Member(name, recipient, sign)


def checked_name(name: str) -> str:
    """`Refused` for what can be no member's name: it is part of keys in the bucket."""
    if not _NAME.fullmatch(name):
        raise Refused(
            f"{name[:80]!r} cannot be a member's name",
            code="bad-name",
            hint="use lower case letters, digits, '.', '_' and '-', at most 63",
        )
    return name


def _ssh_ed25519(recipient: str) -> str:
    """An ed25519 key of SSH signs, too: its 32 bytes stand at the end of its blob (RFC 8709). Others do not."""
    kind, _, blob = recipient.partition(" ")
    if kind != "ssh-ed25519":
        return ""
    try:
        raw = base64.b64decode(blob, validate=True)
    except (ValueError, binascii.Error):
        return ""
    return base64.b64encode(raw[-32:]).decode() if len(raw) == 51 else ""


# --- documents --------------------------------------------------------------------------------------------------------


def body_of(changed: MemberList, previous: MemberList, project: str) -> bytes:
    """What is to be signed for this list to follow the previous one."""
    document = {
        "format": FORMAT,
        "project": project,
        "number": previous.number + 1,
        "previous": previous.head,
        "by": changed.by,
        "at": changed.at,
        "members": [{"name": m.name, "recipient": m.recipient, "sign": m.sign} for m in changed.members],
        "epochs": [{"id": e.id, "recipient": e.recipient} for e in changed.epochs],
        "encrypt": list(changed.patterns),
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def signed(body: bytes, signature: bytes) -> bytes:
    """The document as it stands in the bucket."""
    words = {"body": body.decode(), "signature": base64.b64encode(signature).decode()}
    return json.dumps(words, ensure_ascii=False, indent=1).encode()


def follow(before: MemberList, document: bytes, project: str, verify: Verify) -> MemberList:
    """The list that a document makes of the one before. `Blocked` (`key-list`) when it does not follow by the rules; of the
    first, the fingerprint is the caller's to compare.
    """
    number = before.number + 1
    try:
        outer = json.loads(document)
        body, signature = outer["body"].encode(), base64.b64decode(outer["signature"], validate=True)
        words = json.loads(body)
        _check_format(words, number)
        made = _list(words, hashlib.sha256(document).hexdigest())
        right = words["project"] == project and words["previous"] == before.head
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as exc:
        raise _wrong(number, "makes no sense") from exc
    if not right or made.number != number:
        raise _wrong(number, "does not follow the one before it")
    signer = (made if before.number == 0 else before).named(made.by)
    if signer is None or not signer.sign:
        raise _wrong(number, "is signed by nobody who may change the list")
    if not verify(signer.sign, signature, body):
        raise _wrong(number, f"does not bear the signature of {signer.name}")
    _check_rules(before, made, number)
    return made


def how_to_add(member: Member) -> str:
    """The command that gives a member the keys, for the first time or again."""
    return f"dorkyctl team add {member.name} '{member.share}'"


def claimed_patterns(document: bytes) -> tuple[str, ...]:
    """What a document says is encrypted, whoever wrote it. Total."""
    try:
        found = json.loads(json.loads(document)["body"])["encrypt"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return ()
    return tuple(pattern for pattern in found if isinstance(pattern, str)) if isinstance(found, list) else ()


def _check_format(words: Mapping[str, object], number: int) -> None:
    said = words["format"]
    if not isinstance(said, int) or said < FORMAT:
        raise ValueError
    if said > FORMAT:
        raise _wrong(number, "was made by a newer dorkyd", NEWER)


def _check_rules(before: MemberList, made: MemberList, number: int) -> None:
    if not made.members or not made.epochs or made.epochs[: len(before.epochs)] != before.epochs:
        raise _wrong(number, "takes epochs away")
    stay = {member.recipient for member in made.members}
    left = [member for member in before.members if member.recipient not in stay]
    if left and made.current == before.current:
        raise _wrong(number, f"takes {left[0].name} off the list without a new key")


def _wrong(number: int, what: str, hint: str = HINT) -> Blocked:
    return Blocked(f"document {number} of the bucket's member list {what}", code="key-list", hint=hint)


def _list(words: Mapping[str, object], head: str) -> MemberList:
    number, by, at = words["number"], words["by"], words["at"]
    members, epochs, patterns = words["members"], words["epochs"], words["encrypt"]
    if not isinstance(number, int) or not isinstance(by, str) or not isinstance(at, str):
        raise TypeError
    if not isinstance(members, list) or not isinstance(epochs, list) or not isinstance(patterns, list):
        raise TypeError
    if len(members) > MOST_MEMBERS or not all(isinstance(pattern, str) for pattern in patterns):
        raise ValueError
    read = tuple(Member(m["name"], m["recipient"], m["sign"]) for m in members)
    keys = tuple(Epoch(e["id"], e["recipient"]) for e in epochs)
    for member in read:
        if not _NAME.fullmatch(member.name):
            raise ValueError
        if not _RECIPIENT.fullmatch(member.recipient):
            raise _wrong(number, f"gives {member.name} a key of a kind that this dorkyd does not know", NEWER)
        if member.sign and not _SIGN.fullmatch(member.sign):
            raise ValueError
    if not all(is_epoch(epoch.id) and _RECIPIENT.fullmatch(epoch.recipient) for epoch in keys):
        raise ValueError
    if len({member.name for member in read}) != len(read) or len({member.recipient for member in read}) != len(read):
        raise ValueError
    return MemberList(number, head, read, keys, tuple(patterns), by[:63], at[:40])


# --- changes ----------------------------------------------------------------------------------------------------------


def with_member(now: MemberList, new: Member) -> MemberList:
    """The list with one more; the same where it has that very member. `Refused` (`member-exists`) for a name or a key that is
    another's.
    """
    if (there := now.named(new.name)) is not None:
        if there == new:
            return now
        raise Refused(
            f"a member is called {new.name} already, and has another key",
            code="member-exists",
            hint=f"choose another name; or take that one off first: dorkyctl team remove {new.name}",
        )
    if (same := now.member(new.recipient)) is not None:
        raise Refused(f"that key is {same.name}'s already", code="member-exists", hint="see `dorkyctl team list`")
    return replace(now, members=(*now.members, new))


def without_member(now: MemberList, name: str, epoch: Epoch) -> MemberList:
    """The list without one, and the epoch that they are no reader of. `Refused` (`no-such-member`, `last-member`)."""
    gone = now.named(name)
    if gone is None:
        there = ", ".join(member.name for member in now.members)
        what = f"no member is called {name[:80]!r}; there are: {there}"
        raise Refused(what, code="no-such-member", hint="see `dorkyctl team list`")
    left = tuple(member for member in now.members if member is not gone)
    if not any(member.sign for member in left):
        what = f"nobody but {name} can change the list"
        raise Refused(what, code="last-member", hint="add a member with an age or ed25519 key first: dorkyctl team add")
    return replace(now, members=left, epochs=(*now.epochs, epoch))


def with_patterns(now: MemberList, more: tuple[str, ...], less: tuple[str, ...] = ()) -> MemberList:
    """The list with other patterns. The last that matches decides: where one takes back what others cover, what is asked for
    now goes behind it.
    """
    kept = now.patterns
    if any(pattern.lstrip().startswith("!") for pattern in kept):
        kept = tuple(pattern for pattern in kept if pattern not in more)
    return replace(now, patterns=tuple(dict.fromkeys(p for p in (*kept, *more) if p not in less)))
