"""A project's keys on this device: the member list that is believed, and the epochs that it opens here.

`follow` reads the list from where it was last read on (`dorkyd.key_chain` says what of it is believed) and opens the epochs'
identities with this machine's own key. The engine's thread calls it with every meeting of the bucket; whoever encrypts asks
`fresh` first, so that nothing is written to an epoch that somebody left. From any thread.

Without patterns and without a list in the bucket this costs one request a start, and one with a whole listing. While something is
wrong with the list it is read again at each poll.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from threading import RLock

from dorkyd.core import members
from dorkyd.core.cover import EVERYTHING, Cover
from dorkyd.core.ignore import Patterns
from dorkyd.core.members import NOBODY, Epoch, Member, MemberList
from dorkyd.core.model import Digest, Path, Problem, Remote
from dorkyd.core.sealing import ContentKey
from dorkyd.errors import Blocked, Refused, Stale, Transient
from dorkyd.key_chain import Chain
from dorkyd.key_store import KeyStore
from dorkyd.keys import EpochKey, KeyHome, OwnKey, epoch_key, new_identity, recipient_of
from dorkyd.ports import Bucket, Clock

FRESH_S = 1.0
"""How long an answer that the list has not changed is good for who encrypts."""
UNASKED_S = 600.0
"""How long it is good where nobody told of any list."""
KEY_PROBLEMS = frozenset(
    {"no-key", "key-untrusted", "key-locked", "key-file", "key-list", "key-list-rewound", "no-list"}
)
"""Problems of paths that end when the keys are here."""
_TRIES = 20
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
    store: KeyStore = field(init=False)
    _chain: Chain = field(init=False)
    _cover: Cover = field(init=False)
    _number: int = 0
    """The highest number of the list that anybody told of."""
    _promised: bool = False
    """The project's document tells of a list: it was there before that was written."""
    _checked: float = float("-inf")
    _failed: bool = False
    """The last look at the list did not come to its end."""
    _lock: RLock = field(default_factory=RLock)

    def __post_init__(self) -> None:
        self.store = KeyStore(self.bucket)
        self._chain = Chain(self.store, self.home, self.pinned)
        self._cover = Cover(Patterns(self.patterns))

    # --- asking -------------------------------------------------------------------------------------------------

    @property
    def in_use(self) -> bool:
        """Something is to be encrypted, or there is a list."""
        return bool(self._cover.texts) or self.keys.listed.number > 0 or self._number > 0

    @property
    def chosen(self) -> tuple[str, ...]:
        """All patterns in force."""
        return self._cover.texts

    def opens(self, project: str) -> None:
        """The folder is this project's, by its marker, and its bucket was not met yet."""
        with self._lock:
            if project != self.project:
                self.project, self.keys, self._number, self._promised = project, Keys(), 0, False
                self.store = KeyStore(self.bucket)
                self._chain = Chain(self.store, self.home, self.pinned)
                self._checked = float("-inf")
            self._number = max(self._number, 1 if project and self.home_knows() else 0)

    def covers(self, path: Path) -> bool:
        """It may leave this machine encrypted only."""
        return self._cover.picks(path)

    def names(self, path: Path) -> bool:
        """It holds a secret by a pattern, and not only since it is unknown what is covered: its content is to be remembered."""
        return self._cover.names(path)

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

    def met(self, project: str, number: int, *, promised: bool = False) -> None:
        """The bucket is this project's, and by its document (`promised`) or its log the list has so many changes. Raises what
        the bucket raises; what is wrong with the list stands in `keys.why`.
        """
        with self._lock:
            self.opens(project)
            self._promised = promised
            self._number = max(self._number, number, 1 if self.pinned() is not None else 0)
            if self.in_use or self.clock.monotonic() - self._checked > UNASKED_S:
                # Once in any case: what the project encrypts must be known before its first file leaves here. And again from
                # time to time: who made a list may have been cut short before telling of it.
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

    def try_again(self) -> None:
        """Look again if the last look failed, or found what a teammate or a person may have mended since: nobody tells of that."""
        with self._lock:
            if self.project and (self._failed or self.keys.why is not None):
                self.follow()

    def look(self) -> None:
        """Look at the list, though nobody may have told that there is one."""
        with self._lock:
            if self.project:
                self.follow()

    def told(self, number: int) -> None:
        """The log tells of a change of the list, or of a key that is there by now."""
        with self._lock:
            if number > self.keys.listed.number or (number and self.keys.why is not None):
                self._number = max(self._number, number)
                self.follow()

    def follow(self) -> None:
        """Read what is new of the list and open what it gives us."""
        with self._lock:
            self._failed = True
            heard: tuple[str, ...] = ()
            try:
                listed, print_ = self._chain.newest(self.project, self.keys.listed, self.keys.fingerprint)
                if listed is NOBODY:
                    self._check_none_promised()
            except Blocked as exc:
                if exc.code not in KEY_PROBLEMS and self.keys.listed is NOBODY and not self.home_knows():
                    # The store does not let us ask. What the project encrypts is unknown, so nothing may leave here.
                    raise
                # What was believed before is not thrown away, and nothing is done with it.
                self.keys = replace(self.keys, why=Why(exc.code, str(exc), exc.hint))
                heard = self._heard()
                if exc.code not in KEY_PROBLEMS and self._number > self.keys.listed.number:
                    # A change was told of that the store does not let us read: what it covers is unknown.
                    heard = EVERYTHING
            else:
                self._number = max(self._number, listed.number)
                self._cover = self._cover.given(listed.patterns, ())  # though its keys cannot be asked for
                try:
                    self.keys = self._opened(listed, print_)
                except Blocked as exc:
                    why = Why(exc.code, str(exc), exc.hint)
                    self.keys = Keys(listed, print_, self.keys.opened, self.keys.me, why)
            self._cover = self._cover.given(self.keys.listed.patterns, heard)
            self._checked = self.clock.monotonic()
            self._failed = False

    def _check_none_promised(self) -> None:
        if self._promised:
            what = "the bucket has no member list, and the project's document tells of one"
            raise Blocked(what, code="key-list", hint=members.HINT)

    def _heard(self) -> tuple[str, ...]:
        """Every pattern that this machine saw in a list of the project, or that the bucket's documents tell of. Everything,
        where there is a list by the team's word, and it was never seen here; or by the project's document, and there is none.
        """
        said = self.store.patterns_said()
        promised = self.pinned() is not None or (self._promised and not self.store.met_any)
        if self.keys.listed is NOBODY and promised and not self.home_knows():
            return EVERYTHING
        try:
            trusted = self.home.trust_of(self.project)
        except Blocked:
            trusted = None
        return (*(trusted.patterns if trusted is not None else ()), *said)

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
            key = self.store.identity(epoch, me, own)
            if key is not None:
                opened[epoch.id] = key
            elif epoch is listed.current:
                what = f"the key of the epoch {epoch.id} is not there for {me.name}"
                why = Why("no-key", what, f"ask a teammate to run: {members.how_to_add(me)}")
        return Keys(listed, print_, opened, me, why)

    # --- changing (threads of the API) --------------------------------------------------------------------------

    def begin(self, name: str, recovery: str, patterns: tuple[str, ...]) -> Keys:
        """Make the project's first list: this machine's key and the recovery key are its members. `Refused` (`keys-exist`)
        when there is one, but for one that an earlier try with the same keys made, whose answer was lost; `key-list-rewound`
        and `key-list` where there was one or is to be one: it would shut everybody out of what is encrypted already.
        """
        own = self._own()
        people = (members.member_of(name, own.share), members.member_of(members.RECOVERY, recovery))
        recipient_of(people[1].recipient)
        with self._lock:
            self._number = max(self._number, 1)
            first = self.store.document(1)
            if first is None:
                self._chain.check_new(self.project)
                self._check_none_promised()
                first = self._founded(own, people, patterns)
            elif not self._chain.made_here(self.project, first, people):
                raise Refused(
                    "the project has keys already",
                    code="keys-exist",
                    hint="give a teammate what `dorkyctl key show` says, who runs: dorkyctl team add",
                )
            self._chain.trust(self.project, members.fingerprint(first))
            self.keys = Keys()
            self.follow()
            self.made = self.keys.listed.number
            return self.keys

    def _founded(self, own: OwnKey, people: tuple[Member, ...], patterns: tuple[str, ...]) -> bytes:
        identity = new_identity()
        key = epoch_key(self._new_epoch(1), identity)
        made = MemberList(1, "", people, (Epoch(key.id, key.recipient),), patterns, people[0].name, self._now())
        for member in people:
            self.store.wrap(key.id, identity, member)
        document = self._signed(made, NOBODY, own)
        try:
            self.store.create(1, document)
        except Stale as exc:
            raise Refused("a teammate made keys at this moment", code="keys-exist", hint="run it again") from exc
        return document

    def add(self, member: Member) -> Keys:
        """Let one more read everything. May be repeated. `Refused` as `members.with_member`, and (`bad-key`) for a key that
        nothing can be encrypted to.

        The list comes first: nobody is given an identity who is not on it, as would be by the second of two members who give
        one name to two persons. Who is on it and was not given them yet is told so, and this is asked for again.
        """
        recipient_of(member.recipient)
        with self._lock:
            keys = self._change(lambda now: members.with_member(now, member))
            if keys.listed.named(member.name) != member:
                what = f"{member.name} was taken off the list at this moment"
                raise Refused(what, code="no-such-member", hint="see `dorkyctl team list`")
            for key in keys.opened.values():
                self.store.wrap(key.id, str(key.identity), member)
            return keys

    def remove(self, name: str) -> Keys:
        """Take one off: a new epoch begins, that they cannot read. `Refused` as `members.without_member`."""

        def change(now: MemberList) -> MemberList:
            # Anew for each try: a teammate may take somebody off to whom the one of the try before is encrypted already.
            identity = new_identity()
            key = epoch_key(self._new_epoch(len(now.epochs) + 1), identity)
            made = members.without_member(now, name, Epoch(key.id, key.recipient))
            for member in made.members:
                self.store.wrap(key.id, identity, member)
            return made

        return self._change(change)

    def encrypt(self, more: tuple[str, ...], less: tuple[str, ...] = ()) -> Keys:
        """Change what is encrypted. May be repeated."""
        Patterns(more)
        return self._change(lambda now: members.with_patterns(now, more, less))

    def trust(self, print_: str) -> Keys:
        """A person compared the fingerprint. `Refused` (`other-fingerprint`) when it is another than the bucket's."""
        with self._lock:
            first = self.store.document(1)
            if first is None:
                raise Refused("the project has no keys yet", code="no-list", hint=_FIRST_KEY)
            found = members.fingerprint(first)
            if not members.same_fingerprint(found, print_):
                what = f"the bucket's member list has another fingerprint: {found}"
                raise Refused(what, code="other-fingerprint", hint="do not go on before you know why")
            self._chain.trust(self.project, found)
            self.keys = Keys()
            self.follow()
            return self.keys

    def _change(self, change: Callable[[MemberList], MemberList]) -> Keys:
        """On top of whatever others changed at the same time: a number that is taken is read, and the change made anew. A
        change that changes nothing makes no document.
        """
        own = self._own()
        with self._lock:
            for _ in range(_TRIES):
                self.follow()
                keys = self.keys
                if keys.current is None or keys.me is None:
                    why = keys.why or Why("no-list", "the project has no keys yet", _FIRST_KEY)
                    raise Refused(why.detail, code=why.code, hint=why.hint)
                changed = change(keys.listed)
                if changed != keys.listed:
                    made = replace(changed, by=keys.me.name, at=self._now())
                    try:
                        self.store.create(keys.listed.number + 1, self._signed(made, keys.listed, own))
                    except Stale:
                        continue
                    self.follow()
                self.made = self.keys.listed.number
                return self.keys
        raise Transient("others keep changing the member list", code="contended", retry_after_s=1)

    def _own(self) -> OwnKey:
        """Whose changes these are. `Refused` (`no-key`, `cannot-sign`) before anything was done."""
        own = self.home.own()
        if own is None:
            raise Refused("this machine has no key", code="no-key", hint=_FIRST_KEY)
        own.sign(b"")
        if not self.project:
            raise Transient("the bucket has not been met yet", code="not-open", retry_after_s=1)
        return own

    def _signed(self, made: MemberList, before: MemberList, own: OwnKey) -> bytes:
        body = members.body_of(made, before, self.project)
        return members.signed(body, own.sign(body))

    def _new_epoch(self, number: int) -> str:
        return f"{number:04d}-{self.clock.random_id()[-8:]}"

    def _now(self) -> str:
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.clock.time_ns() // 1_000_000_000))
