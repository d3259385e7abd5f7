"""A project's keys for clients of the API: who may read, what is encrypted. Every method may be called from any thread.

The member list in the bucket is changed at once, by whoever asks (`dorkyd.keyring`); the engine follows: it looks at what is
to be encrypted anew, and tells the other devices by the log. The project's document repeats what is in force, for people.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import cast

from dorkyd.core import members, report
from dorkyd.engine import Engine
from dorkyd.errors import Refused, Stale, Transient
from dorkyd.keyring import Keyring
from dorkyd.news import News

ANSWER_S = 60.0
"""How long the engine's thread may take to answer."""
OPENS_S = 10.0
"""How long is waited for a project that begins and has no trouble."""
_LOOK_S = 0.05
_TRIES = 5


@dataclass(frozen=True, slots=True)
class TeamDesk:
    """See the module."""

    engine: Engine

    def list(self) -> report.Team:
        """As `TeamControl.list`."""
        keyring = self._keyring()
        keyring.look()
        return self._told(keyring)

    def begin(self, member: str, recovery: str) -> report.Team:
        """As `TeamControl.begin`."""
        keyring = self._keyring()
        keyring.begin(members.checked_name(member), recovery, ())
        return self._changed(keyring)

    def add(self, member: str, key: str) -> report.Team:
        """As `TeamControl.add`."""
        keyring = self._keyring()
        keyring.add(members.member_of(member, key))
        return self._changed(keyring)

    def remove(self, member: str) -> report.Team:
        """As `TeamControl.remove`."""
        keyring = self._keyring()
        could_read = self._of_engine(self._sealed)
        keyring.remove(member)
        return self._changed(keyring, rotate=cast("Sequence[str]", could_read))

    def trust(self, fingerprint: str) -> report.Team:
        """As `TeamControl.trust`."""
        keyring = self._keyring()
        keyring.trust(fingerprint)
        self.engine.call(self.engine.look_again)
        return self._told(keyring)

    def encrypt(self, more: Sequence[str], less: Sequence[str]) -> report.Team:
        """As `TeamControl.encrypt`."""
        keyring = self._keyring()
        keyring.encrypt(tuple(more), tuple(less))
        return self._changed(keyring)

    # --- inside -------------------------------------------------------------------------------------------------

    def _keyring(self) -> Keyring:
        """Of a project that begins, once it has met its bucket: a daemon answers before it has."""
        until = time.monotonic() + OPENS_S
        while True:
            found = self.engine.keyring
            if found is not None and found.project:
                return found
            if self.engine.trouble is not None or self.engine.held is not None or time.monotonic() > until:
                raise Transient("the project is not open yet", code="not-open", retry_after_s=1)
            time.sleep(_LOOK_S)

    def _changed(self, keyring: Keyring, rotate: Sequence[str] = ()) -> report.Team:
        self._write_down(keyring)
        self.engine.call(self.engine.look_again)
        return self._told(keyring, rotate)

    def _write_down(self, keyring: Keyring) -> None:
        """In the project's document. Not in one try of many: the next change does it, and devices go by the list."""
        listed, news = keyring.keys.listed, News(keyring.bucket)
        epoch = listed.current.id if listed.current is not None else ""
        for _ in range(_TRIES):
            with suppress(Stale):
                news.tell_encryption(
                    keys=listed.number, patterns=listed.patterns, epoch=epoch, project_id=keyring.project
                )
                return

    def _told(self, keyring: Keyring, rotate: Sequence[str] = ()) -> report.Team:
        keys = keyring.keys
        epoch = keys.listed.current.id if keys.listed.current is not None else ""
        people = tuple(report.TeamMember(m.name, m.share, bool(m.sign), m == keys.me) for m in keys.listed.members)
        pending = cast("int", self._of_engine(lambda: self._pending(epoch))) if epoch else 0
        return report.Team(
            fingerprint=keys.fingerprint,
            number=keys.listed.number,
            epoch=epoch,
            members=people,
            patterns=keyring.chosen,
            pending=pending,
            trouble=keys.why.detail if keys.why is not None else "",
            hint=keys.why.hint if keys.why is not None else "",
            rotate=tuple(rotate),
        )

    def _pending(self, epoch: str) -> int:
        journal = self.engine.journal
        return len(journal.sealed_otherwise(epoch)) if journal is not None else 0

    def _sealed(self) -> Sequence[str]:
        journal = self.engine.journal
        if journal is None:
            raise Refused("the project is not open", code="not-open", hint="see `dorkyctl status`")
        return sorted(journal.sealed_otherwise(""))

    def _of_engine(self, request: object) -> object:
        answer: Future[object] = self.engine.call(request)  # type: ignore[arg-type]
        try:
            return answer.result(timeout=ANSWER_S)
        except TimeoutError as exc:
            raise Transient("the engine is busy and has not answered", code="busy", retry_after_s=5) from exc
