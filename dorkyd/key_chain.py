"""What of a bucket's member list is believed: what follows, document by document, from what this machine trusts.

Trust begins with a fingerprint that a person compared or the team's git repository told, and goes on with the newest document
that was seen: a list that ends earlier, or is another, is refused. A list that is not believed is `Blocked`, and nothing of
what was believed before is forgotten. From any thread.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dorkyd.core import members
from dorkyd.core.members import NOBODY, Member, MemberList
from dorkyd.errors import Blocked
from dorkyd.key_store import KeyStore
from dorkyd.keys import KeyHome, Trust, verify


@dataclass(frozen=True, slots=True)
class Chain:
    """Of one project."""

    store: KeyStore
    home: KeyHome
    pinned: Callable[[], str | None]
    """The fingerprint that the team's git repository tells."""

    def newest(self, project: str, known: MemberList, print_: str) -> tuple[MemberList, str]:
        """The newest list, and its fingerprint, from one that is believed already on; `NOBODY`: the bucket has none.

        `Blocked`: `key-list` for one that does not verify, `key-untrusted` for one that nobody compared, `key-list-rewound` for
        one that is older than what was seen here.
        """
        trusted = self.home.trust_of(project)
        if known is NOBODY or trusted is None:
            known, print_ = self._from_the_first(project, trusted)
        if known is NOBODY:
            return NOBODY, ""
        for _ in range(members.MOST_DOCUMENTS):
            document = self.store.document(known.number + 1)
            if document is None:
                break
            known = members.follow(known, document, project, verify)
        seen = self.home.trust_of(project)
        if seen is not None and known.number < seen.number:
            raise _rewound(seen.number, known.number)
        if seen is None or known.number > seen.number:
            self.home.trust(project, Trust(print_, known.number, known.head, known.patterns))
        return known, print_

    def check_new(self, project: str) -> None:
        """The bucket shows no list: `Blocked` where this machine saw one, or the team's git repository names one."""
        trusted = self.home.trust_of(project)
        if trusted is not None and trusted.number:
            gone = _rewound(trusted.number, 0)
            lost = (
                f"{gone.hint}; lost for good, remove {self.home.trust_file(project)} on this machine and run it again"
            )
            raise Blocked(str(gone), code=gone.code, hint=lost)
        if (named := self.pinned()) is not None:
            raise _missing(named)

    def made_here(self, project: str, document: bytes, people: tuple[Member, ...]) -> bool:
        """The first document gives exactly these keys, whatever it calls them, and is signed with one of them: a try of this
        machine that was cut short made it, since nobody else has them.
        """
        try:
            found = members.follow(NOBODY, document, project, verify).members
        except Blocked:
            return False
        return [(one.recipient, one.sign) for one in found] == [(one.recipient, one.sign) for one in people]

    def trust(self, project: str, print_: str) -> None:
        """From here on; what was seen of the same list stays known, unless what remembers it cannot be read."""
        try:
            known = self.home.trust_of(project)
        except Blocked:
            known = None
        if known is None or not members.same_fingerprint(known.fingerprint, print_):
            self.home.trust(project, Trust(print_))

    def _from_the_first(self, project: str, trusted: Trust | None) -> tuple[MemberList, str]:
        """The whole chain, as far as is trusted. It is short: one document for each change of the team."""
        first = self.store.document(1)
        if first is None:
            if trusted is not None and trusted.number:
                raise _rewound(trusted.number, 0)
            if trusted is None and (named := self.pinned()) is not None:
                raise _missing(named)
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
                f"the bucket's member list has the fingerprint {print_}, and {expected[:80]} is trusted here",
                code="key-list",
                hint=members.HINT,
            )
        listed = members.follow(NOBODY, first, project, verify)
        while trusted is not None and listed.number < trusted.number:
            document = self.store.document(listed.number + 1)
            if document is None:
                raise _rewound(trusted.number, listed.number)
            listed = members.follow(listed, document, project, verify)
        if trusted is not None and trusted.number == listed.number and trusted.head != listed.head:
            what = "the bucket's member list is another than this device has seen"
            raise Blocked(what, code="key-list", hint=members.HINT)
        return listed, print_


def _rewound(seen: int, there: int) -> Blocked:
    return Blocked(
        f"the bucket's member list was rolled back: this device has seen change {seen}, and {there or 'nothing'} is there",
        code="key-list-rewound",
        hint="restore `.dorky/keys/members/` in the bucket from its versions or a backup; nothing was changed here",
    )


def _missing(named: str) -> Blocked:
    what = f"`.dorky.yaml` names the keys {named[:80]}, and the bucket has no member list"
    return Blocked(what, code="key-list", hint=members.HINT)
