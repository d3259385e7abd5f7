"""How a project's keys stand in its bucket: documents of the member list, and identities of epochs. From any thread.

What is read here was written by anybody who can write the bucket. `dorkyd.key_chain` says what of it is believed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import pyrage

from dorkyd.core import members
from dorkyd.core.members import Epoch, Member
from dorkyd.errors import Blocked, Refused, Stale, Transient
from dorkyd.keys import EpochKey, OwnKey, epoch_key, recipient_of
from dorkyd.news import Bytes
from dorkyd.ports import Bucket

_IDENTITY_BYTES = 64 * 1024
_TRIES = 3


@dataclass(slots=True)
class KeyStore:
    """Over a bucket as it is (not as `dorkyd.sealing` shows it)."""

    bucket: Bucket
    _said: dict[str, None] = field(default_factory=dict)
    """Patterns that documents told of, in their order."""
    _said_to: int = 0
    """The last document that was asked for its patterns."""

    def document(self, number: int) -> bytes | None:
        """One of the member list's; None: there is none. `Blocked` (`key-list`) for what is too large to be one."""
        try:
            found = self.bucket.read(members.key_of_document(number), limit=members.DOCUMENT_BYTES)
        except Blocked as exc:
            if exc.code != "too-large":
                raise
            what = f"document {number} of the bucket's member list is none"
            raise Blocked(what, code="key-list", hint=members.HINT) from exc
        return None if found is None else found[1]

    def create(self, number: int, document: bytes) -> None:
        """`Stale` when another's has the number. Ours may have it, too: a client library sends a request again whose reply was
        lost, and meets its own write.
        """
        try:
            self.bucket.put(members.key_of_document(number), Bytes(document), replaces=None, meta={})
        except Stale:
            if self.document(number) != document:
                raise

    def patterns_said(self) -> tuple[str, ...]:
        """Every pattern that any document tells of, or told of since the start, whether it is believed or not. Each is read
        once: whoever fills the bucket with documents has them read once.
        """
        while self._said_to < members.MOST_DOCUMENTS:
            try:
                document = self.document(self._said_to + 1)
            except Blocked as exc:
                if exc.code != "key-list":
                    break
                document = b""
            if document is None:
                break
            self._said.update(dict.fromkeys(members.claimed_patterns(document)))
            self._said_to += 1
        return tuple(self._said)

    @property
    def met_any(self) -> bool:
        """Some document was there when `patterns_said` asked."""
        return self._said_to > 0

    def identity(self, epoch: Epoch, me: Member, own: OwnKey) -> EpochKey | None:
        """What opens an epoch; None: nobody put it there for this member. `Blocked` (`key-list`) for one that the list does
        not know: somebody else put it there.
        """
        found = self.bucket.read(members.key_of_identity(epoch.id, me.name), limit=_IDENTITY_BYTES)
        if found is None:
            return None
        try:
            text = pyrage.decrypt(found[1], [own.identity]).decode("utf-8", "replace")
        except pyrage.DecryptError as exc:
            what = f"the key of the epoch {epoch.id} is not encrypted to this machine's key, or was changed"
            hint = f"ask a teammate to run: {members.how_to_add(me)}"
            raise Blocked(what, code="key-list", hint=hint) from exc
        key = epoch_key(epoch.id, text)
        if key.recipient != epoch.recipient:
            what = f"the key of the epoch {epoch.id} is not the one that the member list names"
            raise Blocked(what, code="key-list", hint=members.HINT)
        return key

    def wrap(self, epoch: str, identity: str, member: Member) -> None:
        """Put an epoch's identity where its member finds it. What stands there is replaced: it may be of a member of the
        same name who left before. `Refused` (`bad-key`) for a key that nothing can be encrypted to.
        """
        text = f"# dorkyd: epoch {epoch}\n{identity}\n".encode()
        try:
            data = pyrage.encrypt(text, [recipient_of(member.recipient)])
        except Refused as exc:
            hint = f"dorkyctl team remove {member.name}"
            raise Refused(f"nothing can be encrypted to the key of {member.name}", code="bad-key", hint=hint) from exc
        key = members.key_of_identity(epoch, member.name)
        for _ in range(_TRIES):
            there = self.bucket.head(key)
            try:
                self.bucket.put(key, Bytes(data), replaces=there.version if there is not None else None, meta={})
            except Stale:
                continue
            return
        raise Transient(f"{key} keeps changing", code="contended", retry_after_s=1)
