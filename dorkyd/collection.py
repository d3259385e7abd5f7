"""Collecting garbage: commits past their retention go, then the contents that no commit needs. By explicit request alone.

`dorkyd.core.garbage` has the rules that make it safe beside any number of committers and collections; this follows them. It
may break off anywhere, and the next one, of any device, goes on from what is in the bucket. From any thread.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import takewhile

from dorkyd.commit_store import CommitStore, Condemned, Standing
from dorkyd.core.committed import Collected
from dorkyd.core.garbage import CONDEMNED_S, DOCUMENT_NAMES, Aged, Kept, encode_condemned, past_retention, unreferenced
from dorkyd.core.metadata import hex_of
from dorkyd.errors import Integrity, Stale, Transient
from dorkyd.news import Bytes
from dorkyd.ports import Clock, Listed

RELIST_S = 600
"""What was seen of the commits counts so long, wall clock: then they are looked at again before more is removed."""
_AT_A_TIME = 256
"""Objects removed between two looks at the clock."""


@dataclass(slots=True)
class Collection:
    """One run."""

    store: CommitStore
    clock: Clock
    device: str
    kept: Kept = field(default_factory=Kept)
    _needed: dict[int, frozenset[str]] = field(default_factory=dict, init=False, repr=False)
    """By commit."""
    _listed_ns: int = field(default=0, init=False)
    """When the commits were last listed, wall clock."""

    def dry_run(self) -> Collected:
        """What a run would do now. Touches nothing."""
        documents = self.store.condemned()
        standing = self.store.standing()
        now = self._guessed_now([*standing, *documents])
        going = {one.seq for one in self._going(standing, now)}
        self._look_at([one for one in standing if one.seq not in going])
        candidates, due = self._judge(documents, now)
        return _told(sorted(going), candidates, due, timeless=now is None)

    def run(self, *, time: str) -> Collected:
        """Do it. `Integrity` where a commit cannot be read: nobody knows what it needs, and nothing is removed. `time`: for
        people. Raises what the bucket raises, having done a part.
        """
        # Its age is what tells the time, so that it comes first, naming nothing yet.
        own = self.store.condemn((), name=self.clock.random_id(), device=self.device, time=time)
        now = own.modified
        documents = [one for one in self.store.condemned() if one.key != own.key]
        gone = self._retire(now)
        self._look_at(self.store.standing())
        candidates, due = self._judge(documents, now)
        own = self._condemn(own, candidates, time)
        removed = self._remove(due)
        for one in documents:
            if _is_old(one, now) and one.names is not None:
                with suppress(Stale):  # somebody was faster
                    self.store.bucket.delete(one.key, replaces=one.version)
        if not candidates:
            with suppress(Stale):
                self.store.bucket.delete(own.key, replaces=own.version)
        return _told(gone, candidates, removed, timeless=now is None)

    # --- inside -------------------------------------------------------------------------------------------------

    def _retire(self, now: int | None) -> list[int]:
        """Remove the commits past their retention, oldest first, so that what stays is always the end of the chain."""
        gone = []
        for one in self._going(self.store.standing(), now):
            try:
                self.store.remove(one)
            except Stale:
                continue  # somebody was faster
            gone.append(one.seq)
        return gone

    def _going(self, standing: Sequence[Standing], now: int | None) -> list[Standing]:
        """Those past their retention, up to the first that a push still rests on: its plain paths get their contents from it."""
        by_seq = {one.seq: one for one in standing}
        old = [by_seq[one.seq] for one in past_retention(_aged(standing), self.kept, now)]
        planned = self.store.planned() if old else frozenset()
        return list(takewhile(lambda one: one.seq not in planned or not self._is_under_way(one), old))

    def _is_under_way(self, standing: Standing) -> bool:
        try:
            (named,) = self.store.headers([standing])
        except (Stale, Integrity):
            return False  # it is gone, or no commit: nobody carries it out
        return self.store.is_under_way(named.header)

    def _look_at(self, standing: Sequence[Standing]) -> None:
        """Take in what these commits need. Those that went since they were listed need nothing."""
        self._listed_ns = self.clock.time_ns()
        there = {one.seq for one in standing}
        self._needed = {seq: digests for seq, digests in self._needed.items() if seq in there}
        new = [one for one in standing if one.seq not in self._needed]
        self._needed |= {seq: digests for seq, digests in self.store.each(self._needs, new) if digests is not None}

    def _needs(self, standing: Standing) -> tuple[int, frozenset[str] | None]:
        try:
            _, commit = self.store.read(standing)
        except Stale:
            return standing.seq, None
        return standing.seq, frozenset(hex_of(file.digest) for file in commit.files)

    def _judge(self, documents: Sequence[Condemned], now: int | None) -> tuple[list[Listed], list[Listed]]:
        """What no commit needs, and what of it was condemned long enough ago."""
        objects = {listed.key: listed for listed in self.store.objects()}
        candidates = unreferenced(objects, frozenset().union(*self._needed.values()))
        old: set[str] = set()
        for one in documents:
            if _is_old(one, now):
                old |= one.names or frozenset()
        in_order = [objects[key] for key in sorted(candidates)]
        return in_order, [listed for listed in in_order if listed.key in old]

    def _condemn(self, own: Condemned, candidates: Sequence[Listed], time: str) -> Condemned:
        """Name them all, also what is about to go: a name stays dead for a while after its object."""
        names = [listed.key for listed in candidates]
        for start in range(DOCUMENT_NAMES, len(names), DOCUMENT_NAMES):
            part = names[start : start + DOCUMENT_NAMES]
            self.store.condemn(part, name=self.clock.random_id(), device=self.device, time=time)
        if not names:
            return own
        text = encode_condemned(names[:DOCUMENT_NAMES], device=self.device, time=time)
        written = self.store.bucket.put(own.key, Bytes(text), replaces=own.version, meta={})
        return Condemned(own.key, written.version, own.modified, frozenset(names[:DOCUMENT_NAMES]))

    def _remove(self, due: Sequence[Listed]) -> list[Listed]:
        removed: list[Listed] = []
        for start in range(0, len(due), _AT_A_TIME):
            if start == 0 or self._seen_long_ago():
                # After the names stood in our own document, too: who commits from here on keeps away from them.
                self._look_at(self.store.standing())
            part = due[start : start + _AT_A_TIME]
            still = unreferenced([listed.key for listed in part], frozenset().union(*self._needed.values()))
            going = [listed for listed in part if listed.key in still]
            gone = self.store.each(self._remove_one, going)
            removed += [listed for listed, was in zip(going, gone, strict=True) if was]
        return removed

    def _seen_long_ago(self) -> bool:
        return abs(self.clock.time_ns() - self._listed_ns) > RELIST_S * 10**9

    def _remove_one(self, listed: Listed) -> bool:
        if self._seen_long_ago():
            return False  # this machine slept: the next collection goes on
        try:
            self.store.bucket.delete(listed.key, replaces=listed.version)
        except Stale:
            return False  # somebody was faster
        except Transient:
            if self.store.bucket.head(listed.key) is not None:
                raise
        return True

    def _guessed_now(self, seen: Iterable[Standing | Condemned]) -> int | None:
        """The store's time, without writing anything: this machine's, where the store tells times at all."""
        told = [one.modified for one in seen if one.modified is not None]
        return max([self.clock.time_ns() // 10**9, *told]) if told else None


def _aged(standing: Iterable[Standing]) -> list[Aged]:
    return [Aged(one.seq, one.modified) for one in standing]


def _is_old(one: Condemned, now: int | None) -> bool:
    return now is not None and one.modified is not None and now - one.modified >= CONDEMNED_S


def _told(gone: Iterable[int], candidates: Sequence[Listed], removed: Sequence[Listed], *, timeless: bool) -> Collected:
    went = {listed.key for listed in removed}
    stay = [listed for listed in candidates if listed.key not in went]
    return Collected(
        commits=tuple(gone),
        condemned=len(stay),
        condemned_bytes=sum(listed.size for listed in stay),
        removed=len(removed),
        removed_bytes=sum(listed.size for listed in removed),
        timeless=timeless,
    )
