"""A project's keys on this device: the member list that is believed, and the epochs that it opens here.

`follow` reads the list from where it was last read on, checks every document (`dorkyd.core.members`), remembers the newest,
and opens the epochs' identities with this machine's own key. The engine's thread calls it with every meeting of the bucket;
whoever encrypts asks `fresh` first, so that nothing is written to an epoch that somebody left. From any thread.

Without patterns and without a list in the bucket this costs one request a start.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import RLock

import pyrage

from dorkyd.core import members
from dorkyd.core.ignore import Patterns, check
from dorkyd.core.members import NOBODY, Epoch, Member, MemberList
from dorkyd.core.model import Digest, Path, Problem, Remote
from dorkyd.core.sealing import ContentKey
from dorkyd.errors import Blocked, Refused, Stale, Transient
from dorkyd.keys import EpochKey, KeyHome, OwnKey, Trust, epoch_key, new_identity, recipient_of, verify
from dorkyd.news import Bytes
from dorkyd.ports import Bucket, Clock

FRESH_S = 1.0
"""How long an answer that the list has not changed is good for who encrypts."""
KEY_PROBLEMS = frozenset(
    {"no-key", "key-untrusted", "key-locked", "key-file", "key-list", "key-list-rewound", "no-list"}
)
"""Problems of paths that end when the keys are here."""
_TRIES = 20
_IDENTITY_BYTES = 64 * 1024
_FIRST_KEY = "dorkyctl key init"


@dataclass(frozen=True, slots=True)
class Why:
    """Why nothing is encrypted or decrypted here."""

    code: str
    detail: str
    hint: str


@dataclass(frozen=True, slots=True)
class Keys:
    """What this device holds, at one time."""

    listed: MemberList = NOBODY
    fingerprint: str = ""
    opened: Mapping[str, EpochKey] = field(default_factory=dict)
    """By epoch."""
    me: Member | None = None
    why: Why | None = None
    """None: whatever this project encrypts can be read and written here."""

    @property
    def current(self) -> EpochKey | None:
        """What is written with. None: see `why`."""
        epoch = self.listed.current
        return self.opened.get(epoch.id) if epoch is not None and self.why is None else None

    @property
    def contents(self) -> dict[str, ContentKey]:
        """The keys of content, by epoch."""
        return {name: key.content for name, key in self.opened.items()}


@dataclass(slots=True)
class Keyring:
    """For one project, over its bucket as it is (not as `dorkyd.sealing` shows it)."""

    bucket: Bucket
    home: KeyHome
    clock: Clock
    patterns: tuple[str, ...] = ()
    """This device's own, beside the project's."""
    pinned: Callable[[], str | None] = lambda: None
    """The fingerprint that the team's git repository tells."""
    keys: Keys = field(default_factory=Keys)
    made: int = 0
    """The number of a change that was made here and is to be told of; 0: none is."""
    project: str = ""
    """Its id; empty until the bucket was met."""
    _chosen: Patterns = field(default_factory=Patterns)
    _number: int = 0
    """The highest number of the list that anybody told of."""
    _checked: float = float("-inf")
    _lock: RLock = field(default_factory=RLock)

    def __post_init__(self) -> None:
        self._chosen = Patterns(self.patterns)

    # --- asking -------------------------------------------------------------------------------------------------

    @property
    def in_use(self) -> bool:
        """Something is to be encrypted, or there is a list."""
        return bool(self._chosen.texts) or self.keys.listed.number > 0 or self._number > 0

    @property
    def chosen(self) -> tuple[str, ...]:
        """All patterns in force."""
        return self._chosen.texts

    def opens(self, project: str) -> None:
        """The folder is this project's, by its marker, and its bucket was not met yet."""
        with self._lock:
            if project != self.project:
                self.project, self.keys, self._number = project, Keys(), 0
            self._number = max(self._number, 1 if project and self.home_knows() else 0)

    def covers(self, path: Path) -> bool:
        """It may leave this machine encrypted only."""
        return self._chosen.picks(path)

    def hides(self, path: Path) -> bool:
        """Neither digest nor size of what it holds may be told. Where the list was not read yet, of nothing."""
        return self.covers(path) or (self.in_use and self.keys.listed.number == 0)

    def blinded(self, digest: Digest) -> Digest:
        """What the name of a conflict copy may tell of its content: with secrets about, only this machine can tell that it is
        the same.
        """
        return Digest(f"blinded:{self.home.blinded(digest)}") if self.in_use else digest

    def problem(self, path: Path, remote: Remote | None) -> Problem | None:
        """Why this path cannot sync here. None: it is plain, or its keys are here."""
        sealed = remote is not None and remote.sealed is not None
        if not sealed and not self.covers(path):
            return None
        keys = self.keys
        why = keys.why or (None if keys.current is not None else self._no_list())
        if why is None and remote is not None and remote.epoch is not None and remote.epoch not in keys.opened:
            what = f"it is encrypted to the epoch {remote.epoch}, whose key this machine has not got"
            why = Why("no-key", what, "ask a teammate to run: dorkyctl team list")
        return None if why is None else Problem(path, why.code, why.detail, why.hint)

    def writing(self) -> EpochKey:
        """What to encrypt to, as the list is now. `Blocked` why that cannot be done."""
        self.fresh()
        keys = self.keys
        if keys.current is not None:
            return keys.current
        why = keys.why or self._no_list()
        raise Blocked(why.detail, code=why.code, hint=why.hint)

    def reading(self, epoch: str) -> EpochKey:
        """What opens an epoch's objects. `Blocked` (`no-key`)."""
        if epoch not in self.keys.opened:
            self.fresh(at_once=True)
        found = self.keys.opened.get(epoch)
        if found is not None:
            return found
        why = self.keys.why or Why("no-key", f"this machine has no key of the epoch {epoch}", "dorkyctl key show")
        raise Blocked(why.detail, code=why.code, hint=why.hint)

    @staticmethod
    def _no_list() -> Why:
        return Why("no-key", "it is to be encrypted, and the project has no keys yet", _FIRST_KEY)

    # --- following ----------------------------------------------------------------------------------------------

    def met(self, project: str, number: int) -> None:
        """The bucket is this project's, and its document says that the list has so many changes. Raises what the bucket
        raises; what is wrong with the list stands in `keys.why`.
        """
        with self._lock:
            self.opens(project)
            self._number = max(self._number, number, 1 if self.pinned() is not None else 0)
            if self.in_use or self._checked == float("-inf"):
                # Once in any case: what the project encrypts must be known before its first file leaves here.
                self.follow()

    def home_knows(self) -> bool:
        """This machine saw a list of this project."""
        try:
            return self.home.trust_of(self.project) is not None
        except Blocked:
            return True

    def fresh(self, *, at_once: bool = False) -> None:
        """Look whether the list changed, unless that was asked just now."""
        with self._lock:
            if self.project and (at_once or self.clock.monotonic() - self._checked > FRESH_S):
                self.follow()

    def look(self) -> None:
        """Look at the list, though nobody may have told that there is one."""
        with self._lock:
            if self.project:
                self.follow()

    def told(self, number: int) -> None:
        """The log tells of a change of the list."""
        with self._lock:
            if number > self.keys.listed.number:
                self._number = max(self._number, number)
                self.follow()

    def follow(self) -> None:
        """Read what is new of the list and open what it gives us."""
        with self._lock:
            claimed: tuple[str, ...] = ()
            try:
                listed, print_ = self._read()
            except Blocked as exc:
                # What was believed before is not thrown away, and nothing is done with it. What is covered may be said by
                # a list that is not believed: to keep too much back betrays nothing.
                self.keys = replace(self.keys, why=Why(exc.code, str(exc), exc.hint))
                claimed = self._claimed()
            else:
                try:
                    self.keys = self._opened(listed, print_)
                except Blocked as exc:
                    why = Why(exc.code, str(exc), exc.hint)
                    self.keys = Keys(listed, print_, self.keys.opened, self.keys.me, why)
            self._chosen = Patterns(tuple(dict.fromkeys((*self.patterns, *self.keys.listed.patterns, *claimed))))
            self._checked = self.clock.monotonic()

    def _claimed(self) -> tuple[str, ...]:
        """Every pattern that this machine saw in a list of the project, or that the bucket's documents tell of now."""
        try:
            trusted = self.home.trust_of(self.project)
        except Blocked:
            trusted = None
        found = list(trusted.patterns) if trusted is not None else []
        for number in range(1, members.MOST_DOCUMENTS):
            try:
                document = self._document(number)
            except Blocked:
                continue
            if document is None:
                break
            found += members.claimed_patterns(document)
        return tuple(dict.fromkeys(pattern for pattern in found if not check(pattern)))

    def _read(self) -> tuple[MemberList, str]:
        """The newest list that follows from what is trusted, and its fingerprint."""
        trusted = self.home.trust_of(self.project)
        listed, print_ = self.keys.listed, self.keys.fingerprint
        if listed is NOBODY or trusted is None:
            listed, print_ = self._from_the_first(trusted)
        if listed is NOBODY:
            return NOBODY, ""
        for _ in range(members.MOST_DOCUMENTS):
            document = self._document(listed.number + 1)
            if document is None:
                break
            listed = members.follow(listed, document, self.project, verify)
        seen = self.home.trust_of(self.project)
        if seen is not None and listed.number < seen.number:
            raise _rewound(seen.number, listed.number)
        if seen is None or listed.number > seen.number:
            self.home.trust(self.project, Trust(print_, listed.number, listed.head, listed.patterns))
        self._number = max(self._number, listed.number)
        return listed, print_

    def _from_the_first(self, trusted: Trust | None) -> tuple[MemberList, str]:
        """The whole chain, as far as is trusted. It is short: one document for each change of the team."""
        first = self._document(1)
        if first is None:
            if trusted is not None and trusted.number:
                raise _rewound(trusted.number, 0)
            return NOBODY, ""
        print_ = members.fingerprint(first)
        expected = trusted.fingerprint if trusted is not None else self.pinned()
        if expected is None:
            raise Blocked(
                f"nobody said yet whether this project's keys are your team's: their fingerprint is {print_}",
                code="key-untrusted",
                hint=f"compare it with a teammate (dorkyctl team list), then: dorkyctl key trust {print_}",
            )
        if not members.same_fingerprint(expected, print_):
            raise Blocked(
                f"the bucket's member list has the fingerprint {print_}, and {expected} is trusted here",
                code="key-list",
                hint=members.HINT,
            )
        listed = members.follow(NOBODY, first, self.project, verify)
        while trusted is not None and listed.number < trusted.number:
            document = self._document(listed.number + 1)
            if document is None:
                raise _rewound(trusted.number, listed.number)
            listed = members.follow(listed, document, self.project, verify)
        if trusted is not None and trusted.number == listed.number and trusted.head != listed.head:
            raise Blocked(
                "the bucket's member list is another than this device has seen", code="key-list", hint=members.HINT
            )
        return listed, print_

    def _document(self, number: int) -> bytes | None:
        try:
            found = self.bucket.read(members.key_of_document(number), limit=members.DOCUMENT_BYTES)
        except Blocked as exc:
            if exc.code != "too-large":
                raise
            what = f"document {number} of the bucket's member list is none"
            raise Blocked(what, code="key-list", hint=members.HINT) from exc
        return None if found is None else found[1]

    def _opened(self, listed: MemberList, print_: str) -> Keys:
        if listed is NOBODY:
            return Keys()
        own = self.home.own()
        me = listed.member(own.recipient) if own is not None else None
        if own is None or me is None:
            what = "this machine's key is not on the project's member list"
            if own is None:
                what = "this machine has no key, and the project's files are encrypted"
            hint = "dorkyctl key init, then give a teammate what `dorkyctl key show` says, who runs: dorkyctl team add"
            return Keys(listed, print_, self.keys.opened, me, Why("no-key", what, hint))
        opened = {epoch.id: key for epoch in listed.epochs if (key := self.keys.opened.get(epoch.id)) is not None}
        why = None
        for epoch in listed.epochs:
            if epoch.id in opened:
                continue
            key = self._identity(epoch, me, own)
            if key is not None:
                opened[epoch.id] = key
            elif epoch is listed.current:
                what = f"the key of the epoch {epoch.id} is not there for {me.name}"
                why = Why("no-key", what, f"ask a teammate to run: dorkyctl team add {me.name} again")
        return Keys(listed, print_, opened, me, why)

    def _identity(self, epoch: Epoch, me: Member, own: OwnKey) -> EpochKey | None:
        """`Blocked` (`key-list`) for one that the list does not know: somebody put it there."""
        found = self.bucket.read(members.key_of_identity(epoch.id, me.name), limit=_IDENTITY_BYTES)
        if found is None:
            return None
        try:
            text = pyrage.decrypt(found[1], [own.identity]).decode("utf-8", "replace")
        except pyrage.DecryptError as exc:
            what = f"the key of the epoch {epoch.id} is not encrypted to this machine's key, or was changed"
            raise Blocked(what, code="key-list", hint=members.HINT) from exc
        key = epoch_key(epoch.id, text)
        if key.recipient != epoch.recipient:
            what = f"the key of the epoch {epoch.id} is not the one that the member list names"
            raise Blocked(what, code="key-list", hint=members.HINT)
        return key

    # --- changing (threads of the API) --------------------------------------------------------------------------

    def begin(self, name: str, recovery: str, patterns: tuple[str, ...]) -> Keys:
        """Make the project's first list: this machine's key and the recovery key are its members. `Refused` (`keys-exist`)
        when there is one.
        """
        own = self._own()
        with self._lock:
            self._number = max(self._number, 1)
            if self._document(1) is not None:
                raise Refused(
                    "the project has keys already",
                    code="keys-exist",
                    hint="give a teammate what `dorkyctl key show` says, who runs: dorkyctl team add",
                )
            identity = new_identity()
            key = epoch_key(self._new_epoch(1), identity)
            me = replace(members.member_of(name, own.share), name=name)
            people = (me, members.member_of(members.RECOVERY, recovery))
            made = MemberList(1, "", people, (Epoch(key.id, key.recipient),), patterns, name, self._now())
            for member in people:
                self._wrap(key.id, identity, member)
            document = self._signed(made, NOBODY, own)
            try:
                self._create(1, document)
            except Stale as exc:
                raise Refused("a teammate made keys at this moment", code="keys-exist", hint="run it again") from exc
            self.home.trust(self.project, Trust(members.fingerprint(document)))
            self.keys = Keys()
            self.follow()
            self.made = 1
            return self.keys

    def add(self, member: Member) -> Keys:
        """Let one more read everything. `Refused` as `members.with_member`."""

        def change(now: MemberList) -> MemberList:
            made = members.with_member(now, member)
            for key in self.keys.opened.values():
                self._wrap(key.id, str(key.identity), member)
            return made

        return self._change(change)

    def remove(self, name: str) -> Keys:
        """Take one off: a new epoch begins, that they cannot read. `Refused` as `members.without_member`."""

        def change(now: MemberList) -> MemberList:
            # Anew for each try: a teammate may take somebody off to whom the one of the try before is encrypted already.
            identity = new_identity()
            key = epoch_key(self._new_epoch(len(now.epochs) + 1), identity)
            made = members.without_member(now, name, Epoch(key.id, key.recipient))
            for member in made.members:
                self._wrap(key.id, identity, member)
            return made

        return self._change(change)

    def encrypt(self, more: tuple[str, ...], less: tuple[str, ...] = ()) -> Keys:
        """Change what is encrypted."""
        Patterns(more)
        return self._change(lambda now: members.with_patterns(now, more, less))

    def trust(self, print_: str) -> Keys:
        """A person compared the fingerprint. `Refused` (`other-fingerprint`) when it is another than the bucket's."""
        with self._lock:
            first = self._document(1)
            if first is None:
                raise Refused("the project has no keys yet", code="no-list", hint=_FIRST_KEY)
            found = members.fingerprint(first)
            if not members.same_fingerprint(found, print_):
                what = f"the bucket's member list has another fingerprint: {found}"
                raise Refused(what, code="other-fingerprint", hint="do not go on before you know why")
            known = self.home.trust_of(self.project)
            if known is None or not members.same_fingerprint(known.fingerprint, found):
                self.home.trust(self.project, Trust(found))
            self.keys = Keys()
            self.follow()
            return self.keys

    def _change(self, change: Callable[[MemberList], MemberList]) -> Keys:
        """On top of whatever others changed at the same time: a number that is taken is read, and the change made anew."""
        own = self._own()
        with self._lock:
            for _ in range(_TRIES):
                self.follow()
                keys = self.keys
                if keys.current is None or keys.me is None:
                    why = keys.why or Why("no-list", "the project has no keys yet", _FIRST_KEY)
                    raise Refused(why.detail, code=why.code, hint=why.hint)
                made = replace(change(keys.listed), by=keys.me.name, at=self._now())
                try:
                    self._create(keys.listed.number + 1, self._signed(made, keys.listed, own))
                except Stale:
                    continue
                self.made = keys.listed.number + 1
                self.follow()
                return self.keys
        raise Transient("others keep changing the member list", code="contended", retry_after_s=1)

    def _own(self) -> OwnKey:
        own = self.home.own()
        if own is None:
            raise Refused("this machine has no key", code="no-key", hint=_FIRST_KEY)
        if not self.project:
            raise Transient("the bucket has not been met yet", code="not-open", retry_after_s=1)
        return own

    def _signed(self, made: MemberList, before: MemberList, own: OwnKey) -> bytes:
        body = members.body_of(made, before, self.project)
        return members.signed(body, own.sign(body))

    def _create(self, number: int, document: bytes) -> None:
        self.bucket.put(members.key_of_document(number), Bytes(document), replaces=None, meta={})

    def _wrap(self, epoch: str, identity: str, member: Member) -> None:
        """Put an epoch's identity where its member finds it. What stands there is replaced: it may be of a member of the
        same name who left before.
        """
        data = pyrage.encrypt(f"# dorkyd: epoch {epoch}\n{identity}\n".encode(), [recipient_of(member.recipient)])
        key = members.key_of_identity(epoch, member.name)
        for _ in range(3):
            there = self.bucket.head(key)
            try:
                self.bucket.put(key, Bytes(data), replaces=there.version if there is not None else None, meta={})
            except Stale:
                continue
            return
        raise Transient(f"{key} keeps changing", code="contended", retry_after_s=1)

    def _new_epoch(self, number: int) -> str:
        return f"{number:04d}-{self.clock.random_id()[-8:]}"

    def _now(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.clock.time_ns() // 1_000_000_000))


def _rewound(seen: int, there: int) -> Blocked:
    return Blocked(
        f"the bucket's member list was rolled back: this device has seen change {seen}, and {there or 'nothing'} is there",
        code="key-list-rewound",
        hint="restore `.dorky/keys/members/` in the bucket from its versions or a backup; nothing was changed here",
    )
