"""The bucket as the engine sees it: is it still this project's, what is the news, and what does a listing show.

Keeps the log's cursor and the dirty marks that news makes in one transaction. Used from the engine's thread only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from operator import attrgetter

from dorkyd.batch_rows import PASSED_AT
from dorkyd.core import metadata, paths
from dorkyd.core.logbook import (
    ENTRY_CHANGES,
    LAST_NUMBER,
    Change,
    Entry,
    ProjectDocument,
    approvals,
    encode_entry,
)
from dorkyd.core.model import Base, Digest, Path, Problem, Remote, ReplicaId, Version
from dorkyd.core.sealing import KEYED, claims_content, keyed_of
from dorkyd.core.settings import TrashLimits
from dorkyd.errors import Stale
from dorkyd.journal import Journal
from dorkyd.keyring import Keyring
from dorkyd.ledger import Intent
from dorkyd.news import Bytes, Logged, News
from dorkyd.ports import Clock, Listed

STALE_S = 86_400.0
"""A log that was not read for so long may have been shortened: it is listed before its next entry is asked for, and
nothing is written to it.
"""
BEHIND = 1000
"""Entries that are read one by one. A device that is further behind lists the bucket instead, and goes on from the last."""
READ_AT_ONCE = 100
"""Entries read in one cycle."""
_COMPARED = 100_000
"""Paths kept to compare what a listing found with what the log told."""
_STRANGE = 10_000
"""Keys that can never be files here of which a listing tells; there may be any number."""
_PASSED = "log_passed"
"""Where the journal keeps the number up to which entries were passed over unread."""
_SAID = "log_said"
"""Where the journal keeps what tells the last entry read from any other, by its content; None: it was not read."""
_SHOWN = attrgetter("key", "version", "modified")
_RACES = 50
"""How often an announcement yields to entries of others before it waits for the next cycle."""


@dataclass(frozen=True, slots=True)
class Emptied:
    """The bucket no longer holds the project's document."""

    detail: str


@dataclass(frozen=True, slots=True)
class Rewound:
    """The bucket's past is not the one this device has seen."""

    detail: str


@dataclass(frozen=True, slots=True)
class Deleted:
    """What the log told of a deletion."""

    device: str
    """Who did it."""
    version: Version | None
    """Of what; None: it was not said."""


@dataclass(slots=True)
class RemoteSide:
    """See the module."""

    news: News
    journal: Journal
    clock: Clock
    device: str
    replica: ReplicaId
    read_only: bool = False
    """`mode: pull`: nothing is ever written there."""
    author: str = ""
    """Who works here, for people; empty: nobody said."""
    trash: TrashLimits = field(default_factory=TrashLimits)
    """The bucket's, where this device begins the project."""
    deleted_by: dict[Path, Deleted] = field(default_factory=dict)
    """Who announced a deletion of what both sides agreed on, until it is carried out here or something else is agreed on."""
    journal_lost: bool = False
    """Nobody knows what this folder was in sync with: a file that was deleted elsewhere meanwhile goes up again."""
    buried: dict[Path, str] = field(default_factory=dict)
    """Then: what the log's last entries tell of as deleted, and by whom."""
    told_modes: dict[Path, int] = field(default_factory=dict)
    """Then: the permission bits that they tell of. A listing tells of none."""
    store_told: Callable[[int | None], None] = lambda _modified: None
    """Hears of every LastModified."""
    keyring: Keyring | None = None
    """Follows the project's keys with every meeting. None: nothing is encrypted here."""
    keys_told: int = 0
    """The highest number of the member list that the log told of."""
    unsure: bool = False
    """An entry made no sense, so that only a listing can tell."""
    reading: bool = False
    """The log goes on after what was read of it."""
    _read_at: tuple[float, int] | None = None
    """When the log was last read to its end: monotonic seconds and wall clock nanoseconds. None: not since the start."""
    _highest: int = 0
    """The highest number of the log that a look at it told of: what is free below it was removed."""
    _recalled: bool = False
    """`recall` has been done."""
    _told: set[Path] = field(default_factory=set)
    """What the log told of since the listing before began."""
    _told_before: set[Path] = field(default_factory=set)
    _unexplained: set[Path] | None = None
    """What the last complete listing found changed and the log has not told of yet; None: nothing to judge by."""
    _differed: set[Path] = field(default_factory=set)
    """What the listing under way found changed."""
    _listing: Iterator[Sequence[Listed]] | None = None
    listed_from_ns: int = 0
    """The folder's file system time before the last listing began; 0: not known."""
    _began: int = 0
    _strange: list[Problem] = field(default_factory=list)

    # --- identity -----------------------------------------------------------------------------------------------

    def meet(self) -> str | Emptied | Rewound:
        """The project's id, by its document; written if this prefix never was a project as far as we know. Empty while
        nobody wrote one and we may not (`mode: pull`): what lies there is synced all the same.
        """
        document = self.news.project()
        known = self.journal.get("project_id")
        if document is None:
            if known is not None:
                return Emptied("the project's document .dorky/project.json is gone from the bucket")
            if self.read_only:
                return ""
            document = self._found(self.clock.random_id())
        if known is not None and known != document.project_id:
            return Rewound("the bucket prefix now belongs to another project")
        if known is None:
            with self.journal.atomic():
                self.journal.put("project_id", document.project_id)
        if self.keyring is not None:
            told = max(document.keys, self.keys_told)
            self.keyring.met(document.project_id, told, promised=document.keys > 0)
        return document.project_id

    def is_back(self) -> bool:
        """A bucket that was `Emptied` holds the project again, with the past that this device has read: it was away."""
        document = self.news.project()
        known = self.journal.get("project_id")
        return document is not None and document.project_id == known and self.catch_up() is None

    def found_again(self, project_id: str | None) -> None:
        """Write the project's document anew if it is gone, after a person decided about the bucket."""
        if self.news.project() is None and not self.read_only:
            # What compaction removed before stays explained.
            first = next((page[0].number for page in self.news.log_pages()), 1)
            self._found(project_id or self.clock.random_id(), floor=max(1, first))

    def _found(self, project_id: str, *, floor: int = 1) -> ProjectDocument:
        document = ProjectDocument(project_id, floor=floor, trash=self.trash)
        try:
            self.news.create_project(document)
        except Stale:
            there = self.news.project()
            if there is None:
                raise
            return there
        return document

    # --- the log ------------------------------------------------------------------------------------------------

    @property
    def cursor(self) -> int:
        """The number of the last entry read; 0: none."""
        return int(self.journal.get("log_cursor") or 0)

    @property
    def full(self) -> bool:
        """The log holds the last number there is, so that nothing more can be told by it."""
        return self.cursor >= LAST_NUMBER

    def reset(self) -> None:
        """Forget what was read of the log and known of the bucket. In a transaction of the caller's."""
        self.journal.put("project_id", None)
        self.journal.put("log_cursor", None)
        self.journal.put("log_version", None)
        self.journal.put(_SAID, None)
        self.journal.put(_PASSED, None)
        self.journal.put("listed", None)
        self.journal.drop_all_remotes()
        self._highest = 0

    @property
    def out_of_touch(self) -> bool:
        """Too long ago, or never since the start, was the log read to its end. By both clocks: the one that only rises may
        stand still while a machine sleeps. Until `catch_up`, no entry is asked for or written.
        """
        if self._read_at is None:
            return True
        monotonic, wall_ns = self._read_at
        asleep_s = (self.clock.time_ns() - wall_ns) / 1e9
        return self.clock.monotonic() - monotonic > STALE_S or not -STALE_S < asleep_s < STALE_S

    def catch_up(self) -> Rewound | None:
        """List the log after the last number: find entries that compaction left a gap before, and notice a bucket
        whose past changed. Where entries are passed over, `unsure` asks for the full listing that makes up for them.
        """
        cursor = self.cursor
        state = self.news.log_from(cursor)
        self.store_told(state.highest.modified if state.highest is not None else None)
        self._highest = state.highest.number if state.highest is not None else 0
        if cursor == 0:
            # Everything up to here is covered by the full listing that follows.
            if state.highest is not None:
                if self.journal_lost:
                    self._learn_from_last(state.highest.number)
                self._pass_over(state.highest)
            self._in_touch()
            return None
        known, there = self.journal.get("log_version"), state.at(cursor)
        if there is not None and known is not None and self._said_so(there, known):
            known = there.version
        if there is None or (known is not None and there.version != known):
            # Asked only now: the floor is raised before anything below it is removed.
            document = self.news.project() if there is None else None
            if document is None or cursor >= document.floor:
                what = "is gone" if there is None else "has changed"
                return Rewound(f"entry {cursor} of the bucket's log, which this device has read, {what}")
        following = [entry.number for entry in state.first if entry.number > cursor][:1]
        if state.highest is None:
            # Nothing at all from here on: a number below the floor has entries after it, since the last is never removed.
            return Rewound(f"the bucket's log ends before entry {cursor}, which this device has read")
        if following not in ([], [cursor + 1]) or there is None or state.highest.number > cursor + BEHIND:
            self._pass_over(state.highest)
        self._in_touch()
        return None

    def _said_so(self, there: Logged, known: str) -> bool:
        """The last entry read says what it said then, though a copy of the bucket gave it another version."""
        same, before = there.version == known, self.journal.get(_SAID)
        if (same and before is not None) or (not same and not before):
            return same
        found = self.news.entry(there.number)
        if found is None or found[1] != there.version or (not same and _said(found[0]) != before):
            return same
        with self.journal.atomic():
            self._advance(there.number, there.version, found[0])
        return True

    def _learn_from_last(self, last: int) -> None:
        for number in range(max(1, last - READ_AT_ONCE + 1), last + 1):
            found = self.news.entry(number)
            if found is None:
                continue
            entry, _ = found
            for change in entry.changes:
                self.buried.pop(change.path, None)
                self.told_modes.pop(change.path, None)
                if change.digest is not None and change.digest.startswith(KEYED):
                    # A file of this name goes up again encrypted, though its object may be gone.
                    self.journal.keep_sealed(change.path, None)
                if change.verb == "delete":
                    self.buried[change.path] = entry.device
                elif change.mode is not None:
                    self.told_modes[change.path] = change.mode

    def _pass_over(self, last: Logged) -> None:
        """Go on from the log's last entry without having read what is before it."""
        self.unsure = True
        with self.journal.atomic():
            self._advance(last.number, last.version)
            self.journal.put(_PASSED, str(last.number))
            self.journal.put(PASSED_AT, str(last.modified) if last.modified is not None else None)

    def _in_touch(self) -> None:
        self._read_at = (self.clock.monotonic(), self.clock.time_ns())

    def poll(self) -> bool:
        """Read entries until there is none: one request when there is no news. True: there may be more."""
        for _ in range(READ_AT_ONCE):
            found = self.news.entry(self.cursor + 1)
            if found is None:
                if self.cursor < self._highest:
                    self._read_at = None  # compacted just now: list the log again
                else:
                    self._in_touch()
                self.reading = False
                return False
            entry, version = found
            self.unsure |= not entry.whole
            self._take(entry, version)
        self.reading = True
        return True

    def try_keys_again(self) -> None:
        """As `Keyring.try_again`."""
        if self.keyring is not None:
            self.keyring.try_again()

    def _take(self, entry: Entry, version: Version) -> None:
        ledger = self.journal.ledger
        ours = {i.op for i in ledger.announcements(-1)} if entry.replica == self.replica else set()
        theirs = [change for change in entry.changes if change.op not in ours]
        with self.journal.atomic():
            ledger.announced(change.op for change in entry.changes if change.op in ours)
            ledger.approve(approvals(theirs))
            for change in theirs:
                if change.verb != "delete":
                    ledger.unapprove(change.path, all_but=change.version)
            self.journal.mark([change.path for change in theirs], remote=True)
            self._complete(entry)
            self._advance(self.cursor + 1, version, entry)
        if entry.keys > self.keys_told:
            self.keys_told = entry.keys
            if self.keyring is not None:
                self.keyring.told(entry.keys)
        self._tell(change.path for change in entry.changes)
        for change in theirs:
            if change.verb == "delete":
                self.deleted_by[change.path] = Deleted(entry.device, change.replaces)
            elif (before := self.deleted_by.get(change.path)) is not None and before.version != change.version:
                # It came back since. (Equal: what was deleted is told of late.)
                del self.deleted_by[change.path]
        while len(self.deleted_by) > _COMPARED:
            del self.deleted_by[next(iter(self.deleted_by))]

    def _complete(self, entry: Entry) -> None:
        """The entry names a batch that is complete: what waits for that is decided again. In a transaction."""
        if entry.batch is not None:
            paths = [change.path for change in entry.changes]
            self.journal.batches.complete(entry.batch, paths, self.clock.time_ns())
            self.journal.mark([row.path for row in self.journal.dirty_rows(paths)])

    def read_back(self) -> None:
        """Some of the log was passed over, and something waits for a batch that is not known to be complete: an entry that
        was not read may name it. The last ones are read, once.
        """
        last = int(self.journal.get(_PASSED) or 0)
        for number in range(last, max(0, last - READ_AT_ONCE), -1):
            found = self.news.entry(number)
            if found is None:
                break
            with self.journal.atomic():
                self._complete(found[0])
        with self.journal.atomic():
            self.journal.put(_PASSED, None)

    def recall(self) -> None:
        """Learn, once after a start, which deletions the log's last entries tell of that were read before and not carried out
        here: of exactly what both sides agreed on.
        """
        if self._recalled:
            return
        last = self.cursor
        for number in range(max(1, last - READ_AT_ONCE + 1), last + 1):
            found = self.news.entry(number)
            if found is None or found[0].replica == self.replica:
                continue
            for change in found[0].changes:
                base = self.journal.base(change.path) if change.verb == "delete" else None
                if base is not None and base.version is not None and base.version == change.replaces:
                    self.deleted_by.setdefault(change.path, Deleted(found[0].device, change.replaces))
        self._recalled = True

    @property
    def passed_over(self) -> bool:
        """Entries of the log were not read."""
        return self.journal.get(_PASSED) is not None

    def _tell(self, told: Iterable[Path]) -> None:
        if len(self._told) > _COMPARED:
            self._told.clear()  # what is forgotten may seem untold: listings are then as frequent as ever
        self._told.update(told)
        if self._unexplained:
            self._unexplained -= self._told

    def _advance(self, number: int, version: Version, entry: Entry | None = None) -> None:
        self.journal.put("log_cursor", str(number))
        self.journal.put("log_version", version)
        self.journal.put(_SAID, None if entry is None else _said(entry))

    @property
    def keys_untold(self) -> bool:
        """This device changed the member list, and the log does not say so yet."""
        return self.keyring is not None and self.keyring.made > 0

    def announce(self) -> int:
        """Put recorded changes into the log. Returns how many are still to be announced (more than fit an entry, or
        others kept taking the number).
        """
        ledger = self.journal.ledger
        pending = ledger.next_entry(ENTRY_CHANGES)
        if not pending and not self.keys_untold:
            return 0
        for _ in range(_RACES):
            if self.full:
                self._give_up_telling()
                return 0
            number = self.cursor + 1
            try:
                entry = self._entry(pending)
                version = self._create(number, entry)
            except Stale:
                before = self.cursor
                self.poll()
                if self.cursor == before:
                    break
                pending = ledger.next_entry(ENTRY_CHANGES)
                if not pending and not self.keys_untold:
                    return 0
                continue
            with self.journal.atomic():
                ledger.announced(intent.op for intent in pending)
                self._complete(entry)
                self._advance(number, version, entry)
            self._tell(intent.path for intent in pending)
            if self.keyring is not None and entry.keys >= self.keyring.made:
                self.keyring.made = 0
            break
        return ledger.announcement_count()

    def _give_up_telling(self) -> None:
        """Somebody wrote the last number there is. What waits would wait for ever: listings find it."""
        ledger = self.journal.ledger
        with self.journal.atomic():
            ledger.announced([intent.op for intent in ledger.announcements(-1)])

    def _create(self, number: int, entry: Entry) -> Version:
        if number <= self._highest:
            raise Stale(f"entry {number} of the log is another's, or was removed")
        return self.news.create(number, entry)

    def _entry(self, intents: Sequence[Intent]) -> Entry:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.clock.time_ns() // 1_000_000_000))
        changes = tuple(self._change(intent) for intent in intents)
        keys = self.keyring.keys.listed.number if self.keyring is not None else 0
        batch = intents[0].batch if intents else None
        return Entry(self.replica, self.device, stamp, changes, batch=batch, keys=keys, author=self.author)

    def _change(self, i: Intent) -> Change:
        """What is told of it. Of encrypted content neither digest nor size: its keyed digest, where that is known. Where
        something is encrypted nothing of a state that is no longer known: it may have been encrypted.
        """
        digest, size = i.digest, i.size
        remote = self.journal.remote(i.path)
        sealed = remote.sealed if remote is not None else None
        same = remote is not None and remote.version == i.version
        keyring = self.keyring
        unsure = keyring is not None and (keyring.hides(i.path) or (keyring.in_use and not same))
        if sealed is not None or unsure:
            digest, size = Digest(keyed_of(sealed)) if same and sealed is not None else None, None
        return Change(i.path, i.verb, i.op, i.version, digest, size, i.mode, i.replaces, i.approved)

    # --- the listing --------------------------------------------------------------------------------------------

    @property
    def tells_more(self) -> bool:
        """There is more to be asked of the bucket: the rest of the log or of a listing, or what an entry passed over told."""
        return self.listing or self.unsure or self.reading

    @property
    def listing(self) -> bool:
        """A full listing is under way."""
        return self._listing is not None

    @property
    def unexplained(self) -> bool | None:
        """The last complete listing found changes which the log has not told of. None: none was complete since this was
        last asked for by `begin_listing`, or it was the first of all.
        """
        return None if self._unexplained is None else bool(self._unexplained)

    def begin_listing(self, at_ns: int = 0) -> None:
        """Start a full listing, which finds what other tools wrote and any lost hint. `at_ns`: as `listed_from_ns`."""
        self.unsure = False
        self.listed_from_ns = at_ns
        self._unexplained, self._differed = None, set()
        self._told_before, self._told = self._told, set()
        self._began = self.journal.listing_begins()
        self._listing = self.news.pages(self._middle())
        self._strange = []

    def _middle(self) -> str | None:
        over = self.news.paging.in_two_over
        return self.journal.middle_object() if over is not None and self.journal.remote_count() > over else None

    def abandon_listing(self) -> None:
        """A page failed: what was seen so far proves nothing about the rest."""
        self._listing = None

    def step_listing(self) -> tuple[list[Path], list[Problem]] | None:
        """Take one page in. None: there is more. At the end: known objects it did not show, whose absence still needs
        proof, and keys that can never be files here.
        """
        assert self._listing is not None
        page = next(self._listing, None)
        if page is None:
            self._listing = None
            lost = self.journal.listing_ends(self._began)
            if self.journal.get("listed") is not None:
                self._unexplained = {*self._differed, *lost} - self._told - self._told_before
            return lost, self._strange
        shown = page if paths.are_plain([listed.key for listed in page]) else list(self._speakable(page))
        self.store_told(max([listed.modified or 0 for listed in shown], default=None))
        with self.journal.atomic():
            differ = set(self.journal.listing_shows(self._began, list(map(_SHOWN, shown))))
            changed = self.journal.listing_page(
                self._began, [(Path(listed.key), _remote(listed)) for listed in shown if listed.key in differ]
            )
            if self.journal.get("listed") is not None and len(self._differed) < _COMPARED:
                self._differed.update(changed)
            self.mark_clashes(changed)
        return None

    def _speakable(self, page: Iterable[Listed]) -> Iterator[Listed]:
        """Those that are files here; why the others never can be is kept."""
        for listed in page:
            if paths.is_folder_marker(listed.key):
                continue
            problem = paths.key_problem(listed.key)
            if problem is None:
                yield listed
            elif len(self._strange) < _STRANGE:
                self._strange.append(problem)

    # --- rows ---------------------------------------------------------------------------------------------------

    def learn(self, path: Path, looked: Remote | None) -> Remote | None:
        """Take in what a look told. A new version under an unchanged op is another tool's write that kept our
        metadata: its digest claim is void, now and at every later look. In a transaction of the caller's.
        """
        before = self.journal.remote(path)
        if looked is not None:
            looked = judged(looked, before, self.journal.base(path))
            if before is not None and looked.sealed == before.sealed and claims_content(looked):
                # The same content, whatever else changed: what is known of it stands.
                looked = replace(looked, digest=before.digest, size=before.size)
        self.store_told(looked.modified if looked is not None else None)
        self.journal.set_remote(path, looked)
        if looked is not None:
            self.deleted_by.pop(path, None)
        if (before is None) != (looked is None):
            self.mark_clashes([path])
        return looked

    def judge(self, path: Path) -> Callable[[Remote], Remote]:
        """`judged` by what is known of the path now. The answer is for any thread."""
        before, base = self.journal.remote(path), self.journal.base(path)
        return lambda looked: judged(looked, before, base)

    def mark_clashes(self, changed: Sequence[Path]) -> None:
        """A change to a path marks every path it clashes with. In a transaction of the caller's."""
        if changed:
            self.journal.mark_clashing(changed, {folder for path in changed for folder in paths.ancestors(path)})


def judged(looked: Remote, before: Remote | None, base: Base | None) -> Remote:
    """How much of what an object says of itself may be believed, by what is known of the state before it (`RemoteSide.learn`)
    and of the base.
    """
    if before is None:
        return looked
    if before.ancestry[:1] == (metadata.UNKNOWN_OP,):
        return _after_unknown(looked, before, base)
    if _kept_our_op(before, looked):
        return metadata.disowned(looked, before.digest if before.version == looked.version else None)
    if before.foreign and looked.version == before.version:
        # Its bytes were read: nothing in what it says of itself tells their digest.
        return replace(looked, digest=looked.digest or before.digest)
    return looked


def _after_unknown(looked: Remote, before: Remote, base: Base | None) -> Remote:
    """The first look at an object that was agreed on by its listing. In another state than that one, the digest of that
    one is what a tool would claim that kept our metadata: only the bytes can tell.
    """
    if before.proved and before.version == looked.version:
        # These very bytes are known, whatever older state the metadata may be of.
        return looked if looked.digest in {None, before.digest} else metadata.disowned(looked, before.digest)
    if base is not None and base.digest != looked.digest:
        return looked
    return metadata.disowned(looked, None)


def _said(entry: Entry) -> str:
    """Empty for one that makes no sense: nothing tells it from another."""
    return Bytes(encode_entry(entry)).digest if entry.whole else ""


def _remote(listed: Listed) -> Remote:
    return Remote(listed.version, listed.size, modified=listed.modified, looked=False, md5=listed.md5)


def _kept_our_op(before: Remote, looked: Remote) -> bool:
    """The state claims an op that made an earlier one."""
    if looked.op is None:
        return False
    if before.op is None:
        return before.ancestry[:1] == (looked.op,)
    return looked.op == before.op and looked.version != before.version
