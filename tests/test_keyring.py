"""The keyring over a bucket, without an engine: what is believed, what is covered, and members who change the list at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyrage
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa

from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.core import members, model
from dorkyd.core.members import Member, MemberList
from dorkyd.errors import Blocked, Denied, Refused, Stale, Transient
from dorkyd.keyring import Keyring
from dorkyd.keys import KeyHome, OwnKey, new_identity, own_key
from dorkyd.news import Bytes
from tests.devices import SimClock

PROJECT = "0123456789abcdef"
RECOVERY = own_key(new_identity().encode())
ENV = model.Path(".env")


def ssh_key(kind: str) -> tuple[bytes, str]:
    """A private SSH key's file, and its public line."""
    made = ed25519.Ed25519PrivateKey.generate() if kind == "ed25519" else rsa.generate_private_key(65537, 2048)
    private = made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    public = made.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return private, f"{public.decode()} somebody@somewhere"


class Team:
    """Persons with a machine each, over one bucket."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.store = MemoryBucket()
        self.at: Callable[[str, str, str], Fault | None] = lambda _who, _verb, _key: None
        """Called before each request; may tell what becomes of it."""

    def ring(self, name: str, key: bytes | None = None, *, pinned: str | None = None, **more: object) -> Keyring:
        """A machine's keyring, with a key of its own."""
        home = KeyHome(self.base / name)
        if not home.file.exists():
            home.keep(key if key is not None else new_identity().encode())

        def ask(verb: str, key: str) -> Fault | None:
            return self.at(name, verb, key)

        made = Keyring(
            self.store.client(faults=ask),
            home,
            SimClock(name),
            pinned=lambda: pinned,
            **more,  # type: ignore[arg-type]
        )
        made.met(PROJECT, 0)
        return made

    def founded(self, name: str = "ann", **more: object) -> Keyring:
        """The first member's."""
        made = self.ring(name, **more)  # type: ignore[arg-type]
        made.begin(name, RECOVERY.share, ())
        return made

    def joined(self, first: Keyring, name: str, key: bytes | None = None) -> Keyring:
        """A member's, who compared the fingerprint."""
        made = self.ring(name, key)
        first.add(members.member_of(name, own(made).share))
        made.trust(first.keys.fingerprint)
        return made

    def document(self, number: int) -> bytes:
        found = self.store.client().read(members.key_of_document(number))
        assert found is not None
        return found[1]

    def put(self, key: str, data: bytes) -> None:
        """Somebody who can write the bucket replaces an object."""
        bucket = self.store.client()
        there = bucket.head(key)
        bucket.put(key, Bytes(data), replaces=there.version if there is not None else None, meta={})

    def there(self) -> set[str]:
        return {listed.key for page in self.store.client().list() for listed in page}


def own(ring: Keyring) -> OwnKey:
    """A machine's own key."""
    found = ring.home.own()
    assert found is not None
    return found


def names(ring: Keyring) -> set[str]:
    """Who is on the list, as a machine sees it now."""
    ring.look()
    return {member.name for member in ring.keys.listed.members}


def why(ring: Keyring) -> str:
    """Why nothing is encrypted on a machine, as it sees it now; empty: it is."""
    ring.look()
    found = ring.keys.why
    assert found is None or found.hint, found
    return "" if found is None else found.code


@pytest.fixture
def team(tmp_path: Path) -> Team:
    """See `Team`."""
    return Team(tmp_path)


# --- what is covered --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("patterns", [["!.env*"], ["!*"], [" !.env", ".env\n!.env"]])
def test_no_document_that_is_not_believed_uncovers_anything(team: Team, patterns: list[str]) -> None:
    """A pattern that takes others back, in a document that anybody wrote, lets nothing out in plain: neither of what the
    settings cover, nor of what the list does.
    """
    ann = team.founded(patterns=("*.pem",))
    ann.encrypt((".env*",))
    forged = json.dumps({"body": json.dumps({"encrypt": patterns}), "signature": ""})
    team.put(members.key_of_document(3), forged.encode())
    for ring in (ann, team.ring("ann", patterns=("*.pem",)), team.ring("eve", patterns=("*.pem",))):
        assert why(ring) in {"key-list", "key-untrusted"}
        assert ring.covers(ENV)
        assert ring.covers(model.Path("a.pem"))


def test_what_the_store_does_not_let_be_read_is_no_absence(team: Team) -> None:
    """Nobody knows what the project encrypts: a machine that never saw its list meets no bucket, one that did goes by that;
    and neither asks for ten thousand documents.
    """
    ann = team.founded()
    ann.encrypt((".env*",))
    asked: list[str] = []

    def shut(_who: str, _verb: str, key: str) -> None:
        asked.append(key)
        if key.startswith(members.KEYS):
            raise Denied("403", hint="ask who owns the bucket")

    team.at = shut
    with pytest.raises(Denied):
        team.ring("new")
    again = team.ring("ann")
    assert why(again) == "denied"
    assert again.covers(ENV)
    assert len(asked) < 20


def test_what_is_asked_for_last_counts(team: Team) -> None:
    """Where a pattern takes others back, one of them that is asked for again is in force again."""
    ann = team.founded()
    ann.encrypt((".env*", "!.env"))
    assert not ann.covers(ENV)
    ann.encrypt((".env*",))
    assert ann.covers(ENV)


def test_settings_are_not_taken_back_by_the_list(team: Team) -> None:
    """Each says what it covers."""
    ann = team.founded(patterns=(".env*",))
    ann.encrypt(("!.env*", "a"))
    assert ann.covers(ENV)


def test_a_pattern_that_is_not_understood_covers_everything(team: Team) -> None:
    """A newer dorkyd may know what it means."""
    ann = team.founded()
    forward(ann, lambda now: members.with_patterns(now, ("[[:digit:]]",)))
    assert why(ann) == ""
    assert ann.covers(model.Path("anything"))


# --- what is believed -------------------------------------------------------------------------------------------------


def forward(ring: Keyring, change: Callable[[MemberList], MemberList], signer: OwnKey | None = None) -> None:
    """A member puts the next document by other means than ours."""
    before = ring.keys.listed
    body = members.body_of(change(before), before, PROJECT)
    document = members.signed(body, (signer or own(ring)).sign(body))
    ring.bucket.put(members.key_of_document(before.number + 1), Bytes(document), replaces=None, meta={})


def test_another_end_of_the_list_is_refused(team: Team) -> None:
    """A fork: a valid document in the place of the one that was seen. While the daemon runs the next one does not follow; after
    a start this one is not the one that was seen.
    """
    ann = team.founded()
    bob = team.joined(ann, "bob")
    seen = bob.keys.listed
    fork = team.ring("ann")
    before = fork.keys.listed
    assert before.number == 2
    bucket = team.store.client()
    first = members.follow(members.NOBODY, team.document(1), PROJECT, lambda *_: True)
    body = members.body_of(members.with_patterns(first, ("fork",)), first, PROJECT)
    team.put(members.key_of_document(2), members.signed(body, own(ann).sign(body)))
    assert why(team.ring("bob")) == "key-list"
    assert bob.keys.listed == seen
    other = members.follow(first, team.document(2), PROJECT, lambda *_: True)
    body = members.body_of(members.with_patterns(other, ("more",)), other, PROJECT)
    bucket.put(members.key_of_document(3), Bytes(members.signed(body, own(ann).sign(body))), replaces=None, meta={})
    assert why(bob) == "key-list"
    assert bob.keys.listed == seen


def test_a_list_that_comes_back_right_is_believed_again(team: Team) -> None:
    """Nothing that was refused on the way stays."""
    ann = team.founded()
    bob = team.joined(ann, "bob")
    right = team.document(2)
    bob.encrypt((".env",))
    team.put(members.key_of_document(3), b"{}")
    again = team.ring("bob")
    assert why(again) == "key-list"
    with pytest.raises(Blocked):
        again.writing()
    assert team.document(2) == right
    bob.bucket.delete(members.key_of_document(3), replaces=head(team, members.key_of_document(3)))
    assert why(again) == "key-list-rewound"
    ann.encrypt((".env",))
    assert why(team.ring("ann")) == ""


def head(team: Team, key: str) -> model.Version:
    """The version of an object."""
    found = team.store.client().head(key)
    assert found is not None
    return found.version


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda body: body.replace(b'"format":1', b'"format":2'), "newer dorkyd"),
        (lambda body: body.replace(b'"recipient":"age1', b'"recipient":"age2', 1), "kind that this dorkyd"),
        (lambda body: body.replace(b'"project":"0', b'"project":"1'), "does not follow"),
        (lambda body: body.replace(b'"number":2', b'"number":3'), "does not follow"),
        (lambda body: body.replace(b'"by":"ann"', b'"by":"eve"'), "signed by nobody"),
        (lambda body: body.replace(b'"by":"ann"', b'"by":"recovery"'), "signature of recovery"),
        (lambda body: body.replace(b'"previous":"', b'"previous":"0'), "does not follow"),
        (lambda body: body.replace(b'"members":[', b'"members":["ann",'), "makes no sense"),
        (lambda body: body.replace(b'"epochs":[', b'"epochs":[],"x":['), "takes epochs away"),
        (lambda _body: b"[]", "makes no sense"),
        (lambda _body: b"[" * 100_000, "makes no sense"),
    ],
)
def test_a_document_that_breaks_a_rule_is_named(team: Team, change: Callable[[bytes], bytes], word: str) -> None:
    """Though a member signed it; and what is to be done is said."""
    ann = team.founded()
    body = change(members.body_of(members.with_patterns(ann.keys.listed, (".env",)), ann.keys.listed, PROJECT))
    team.put(members.key_of_document(2), members.signed(body, own(ann).sign(body)))
    assert why(ann) == "key-list"
    assert ann.keys.why is not None
    assert word in ann.keys.why.detail
    assert ("update" in ann.keys.why.hint) == (word in {"newer dorkyd", "kind that this dorkyd"})


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b'{"body": 1, "signature": ""}', b"0" * 2_000_000])
def test_what_is_no_document_is_refused(team: Team, data: bytes) -> None:
    """Of whatever size."""
    ann = team.founded()
    team.put(members.key_of_document(2), data)
    assert why(ann) == "key-list"


def test_who_is_taken_off_without_a_new_epoch_is_not_off(team: Team) -> None:
    """Such a list is refused: they would read on."""
    ann = team.founded()
    team.joined(ann, "bob")
    forward(
        ann, lambda now: MemberList(0, "", now.members[:2], now.epochs, now.patterns, "ann", "2026-01-01T00:00:00Z")
    )
    assert why(ann) == "key-list"
    assert ann.keys.why is not None
    assert "takes bob off the list without a new key" in ann.keys.why.detail


def test_one_key_twice_is_refused(team: Team) -> None:
    """Under two names: taking one of them off would take nobody off."""
    ann = team.founded()
    again = Member("again", own(ann).recipient, own(ann).sign_public)
    forward(
        ann,
        lambda now: MemberList(0, "", (*now.members, again), now.epochs, now.patterns, "ann", "2026-01-01T00:00:00Z"),
    )
    assert why(ann) == "key-list"


@pytest.mark.parametrize("harm", ["truncated", "flipped", "empty", "of another epoch", "of another member"])
def test_a_wrapped_identity_that_is_not_right_is_refused(team: Team, harm: str) -> None:
    """And the teammate's command that mends it is named where it can."""
    ann = team.founded()
    bob = team.joined(ann, "bob")
    ann.remove("recovery")
    one, two = ann.keys.listed.epochs
    key = members.key_of_identity(two.id, "bob")
    found = team.store.client().read(key)
    assert found is not None
    data = bytearray(found[1])
    match harm:
        case "truncated":
            data = data[:-1]
        case "flipped":
            data[-1] ^= 1
        case "empty":
            data = bytearray()
        case "of another epoch":
            other = team.store.client().read(members.key_of_identity(one.id, "bob"))
            assert other is not None
            data = bytearray(other[1])
        case "of another member":
            other = team.store.client().read(members.key_of_identity(two.id, "ann"))
            assert other is not None
            data = bytearray(other[1])
    team.put(key, bytes(data))
    assert why(bob) == "key-list"
    with pytest.raises(Blocked):
        bob.writing()
    ann.add(members.member_of("bob", own(bob).share))
    assert why(bob) == ""
    assert bob.writing().id == two.id


def test_the_git_repositorys_fingerprint_is_the_first_trust(team: Team) -> None:
    """However it is written; a wrong one trusts nothing, and none of both asks a person."""
    ann = team.founded()
    print_ = ann.keys.fingerprint
    bob = team.ring("bob", pinned=print_.replace("-", "").upper())
    assert why(bob) == "no-key"
    assert bob.keys.fingerprint == print_
    wrong = team.ring("cid", pinned=print_[:-1] + ("0" if print_[-1] != "0" else "1"))
    assert why(wrong) == "key-list"
    assert wrong.covers(model.Path("anything")), "what the team encrypts is unknown here"
    assert why(team.ring("dan")) == "key-untrusted"
    assert not team.ring("dan").covers(model.Path("anything"))
    with pytest.raises(Refused) as refused:
        wrong.trust("0" * 40)
    assert refused.value.code == "other-fingerprint"


def test_a_list_that_the_git_repository_promises_and_nobody_shows(team: Team) -> None:
    """Somebody took it away: who never saw it sends nothing at all, who did goes by what it said."""
    ann = team.founded()
    assert why(team.ring("ann", pinned="0" * 40)) == "", "who compared it goes by that"
    ann.encrypt((".env*",))
    for number in (1, 2):
        ann.bucket.delete(members.key_of_document(number), replaces=head(team, members.key_of_document(number)))
    new = team.ring("new", pinned=ann.keys.fingerprint)
    assert why(new) == "key-list"
    assert new.covers(model.Path("anything"))
    again = team.ring("ann", pinned=ann.keys.fingerprint)
    assert why(again) == "key-list-rewound"
    assert again.covers(ENV)
    assert not again.covers(model.Path("anything"))


def test_a_damaged_memory_of_what_is_trusted_is_mended_by_a_person(team: Team) -> None:
    """Nothing is trusted meanwhile, though the team's git repository names the right one."""
    ann = team.founded()
    (file,) = (ann.home.folder / "trust").iterdir()
    file.write_bytes(b"half")
    again = team.ring("ann", pinned=ann.keys.fingerprint)
    assert why(again) == "key-file"
    with pytest.raises(Refused):
        again.trust("0" * 40)
    assert why(again) == "key-file"
    again.trust(ann.keys.fingerprint)
    assert why(again) == ""


def test_a_machine_without_a_key_is_told_what_to_run(team: Team) -> None:
    """For the project's first keys, and to change them."""
    ring = team.ring("ann")
    ring.home.file.unlink()
    with pytest.raises(Refused) as refused:
        ring.begin("ann", RECOVERY.share, ())
    assert (refused.value.code, refused.value.hint) == ("no-key", "dorkyctl key init")
    ring.home.keep(new_identity().encode())
    with pytest.raises(Refused) as refused:
        ring.encrypt(("a",))
    assert (refused.value.code, refused.value.hint) == ("no-list", "dorkyctl key init")


# --- changing ---------------------------------------------------------------------------------------------------------


def between(team: Team, who: str, verb: str, part: str, act: Callable[[], object]) -> None:
    """Once, before somebody's request, somebody else acts."""
    left = [act]

    def at(name: str, kind: str, key: str) -> None:
        if (name, kind) == (who, verb) and part in key and left:
            left.pop()()

    team.at = at


MOMENTS = [("GET", "members/000003"), ("PUT", "members/000003"), ("HEAD", ".age"), ("PUT", ".age")]


@pytest.mark.parametrize(("verb", "key"), MOMENTS)
def test_two_who_are_added_at_once_are_both_there(team: Team, verb: str, key: str) -> None:
    """By two members, whatever the moment; both read."""
    ann = team.founded()
    bob = team.joined(ann, "bob")
    cid, dan = team.ring("cid"), team.ring("dan")
    between(team, "ann", verb, key, lambda: bob.add(members.member_of("dan", own(dan).share)))
    ann.add(members.member_of("cid", own(cid).share))
    assert names(ann) == names(bob) == {"ann", "bob", "cid", "dan", "recovery"}
    for new in (cid, dan):
        new.trust(ann.keys.fingerprint)
        assert why(new) == ""


@pytest.mark.parametrize(("verb", "key"), MOMENTS)
def test_one_name_is_one_persons(team: Team, verb: str, key: str) -> None:
    """Two members give it to two persons at once: the second is refused, the first can read, and nobody who is not on the
    list was given a key.
    """
    ann = team.founded()
    bob = team.joined(ann, "bob")
    one, two = team.ring("one"), team.ring("two")
    told: list[Refused] = []

    def gives(ring: Keyring, to: Keyring) -> None:
        try:
            ring.add(members.member_of("cid", own(to).share))
        except Refused as refused:
            told.append(refused)

    between(team, "ann", verb, key, lambda: gives(bob, two))
    gives(ann, one)
    assert [refused.code for refused in told] == ["member-exists"]
    assert "team remove cid" in told[0].hint
    listed = next(m for m in members_of(ann) if m.name == "cid")
    right, wrong = (one, two) if listed.recipient == own(one).recipient else (two, one)
    for new in (one, two):
        new.trust(ann.keys.fingerprint)
    assert why(right) == ""
    assert why(wrong) == "no-key"
    for data in wrapped(team):
        with pytest.raises(pyrage.DecryptError):
            pyrage.decrypt(data, [own(wrong).identity])


def members_of(ring: Keyring) -> tuple[Member, ...]:
    """As a machine sees them now."""
    ring.look()
    return ring.keys.listed.members


def wrapped(team: Team) -> list[bytes]:
    """Every identity in the bucket."""
    found = [team.store.client().read(key) for key in team.there() if key.endswith(".age")]
    return [one[1] for one in found if one is not None]


def test_an_addition_that_was_cut_short_is_asked_for_again(team: Team) -> None:
    """The list has the member, who was given nothing: they are told the command, and it gives them everything."""
    ann = team.founded()
    cid = team.ring("cid")
    new = members.member_of("cid", own(cid).share)

    def cut(_who: str, verb: str, key: str) -> None:
        if verb == "PUT" and key.endswith("/cid.age"):
            raise Transient("the line is cut")

    team.at = cut
    with pytest.raises(Transient):
        ann.add(new)
    team.at = lambda *_: None
    cid.trust(ann.keys.fingerprint)
    assert why(cid) == "no-key"
    assert cid.keys.why is not None
    assert members.how_to_add(new) in cid.keys.why.hint
    number = ann.keys.listed.number
    ann.add(new)
    assert ann.keys.listed.number == number, "nothing changed, so no document"
    cid.told(number)
    assert cid.keys.why is None


def test_who_is_removed_while_they_are_added_is_given_nothing(team: Team) -> None:
    """And who added them is told."""
    ann = team.founded()
    bob = team.joined(ann, "bob")
    cid = team.ring("cid")
    between(team, "ann", "GET", "members/000004", lambda: bob.remove("cid"))
    with pytest.raises(Refused) as refused:
        ann.add(members.member_of("cid", own(cid).share))
    assert refused.value.code == "no-such-member"
    for data in wrapped(team):
        with pytest.raises(pyrage.DecryptError):
            pyrage.decrypt(data, [own(cid).identity])


def test_a_reply_that_was_lost_is_no_refusal(team: Team) -> None:
    """A client library sends the request again and meets its own document: whoever asked is told that it is done."""
    ann = team.ring("ann")

    def met(_who: str, verb: str, key: str) -> Fault | None:
        if verb == "PUT" and key.startswith(members.MEMBERS):
            return Fault(Stale("412"), "after")
        return None

    team.at = met
    ann.begin("ann", RECOVERY.share, ())
    assert why(ann) == ""
    ann.remove("recovery")
    assert names(ann) == {"ann"}
    assert ann.keys.listed.number == 2


def test_a_name_that_is_free_again_may_be_given_again(team: Team) -> None:
    """Who left and who comes then have nothing in common."""
    ann = team.founded()
    one, two = team.joined(ann, "cid"), team.ring("two")
    ann.remove("cid")
    ann.add(members.member_of("cid", own(two).share))
    two.trust(ann.keys.fingerprint)
    assert why(two) == ""
    assert why(one) == "no-key"


@pytest.mark.parametrize("key", ["age1" + "q" * 58, "ssh-ed25519 " + "A" * 68, "ssh-rsa " + "A" * 300])
def test_what_nothing_can_be_encrypted_to_gets_on_no_list(team: Team, key: str) -> None:
    """Else the next removal could not be carried out."""
    ann = team.founded()
    with pytest.raises(Refused) as refused:
        ann.add(Member("cid", key, ""))
    assert refused.value.code == "bad-key"
    assert names(ann) == {"ann", "recovery"}


def test_a_member_that_nothing_can_be_encrypted_to_can_be_taken_off(team: Team) -> None:
    """Whoever put them on the list; until then other changes name them."""
    ann = team.founded()
    bad = Member("bad", "age1" + "q" * 58, "")
    forward(
        ann,
        lambda now: MemberList(0, "", (*now.members, bad), now.epochs, now.patterns, "ann", "2026-01-01T00:00:00Z"),
    )
    with pytest.raises(Refused) as refused:
        ann.remove("recovery")
    assert refused.value.hint == "dorkyctl team remove bad"
    ann.remove("bad")
    ann.remove("recovery")
    assert names(ann) == {"ann"}


@pytest.mark.parametrize("kind", ["ed25519", "rsa"])
def test_a_member_with_an_ssh_key(team: Team, kind: str) -> None:
    """Reads everything. An ed25519 key changes the list as well; an RSA key cannot sign: it changes nothing, and says why."""
    ann = team.founded()
    private, public = ssh_key(kind)
    bob = team.ring("bob", private)
    ann.add(members.member_of("bob", public))
    bob.trust(ann.keys.fingerprint)
    assert why(bob) == ""
    assert bob.writing().id == ann.writing().id
    cid = own_key(new_identity().encode())
    before = team.there()
    if kind == "ed25519":
        bob.add(members.member_of("cid", cid.share))
        ann.look()
        assert ann.keys.listed.by == "bob"
    else:
        for change in (
            lambda: bob.add(members.member_of("cid", cid.share)),
            lambda: bob.remove("recovery"),
            lambda: bob.encrypt(("a",)),
            lambda: bob.begin("bob", RECOVERY.share, ()),
        ):
            with pytest.raises(Refused) as refused:
                change()
            assert refused.value.code == "cannot-sign"
            assert "key init --new" in refused.value.hint
        assert team.there() == before
    ann.remove("bob")
    assert why(bob) == "no-key"
    assert ann.writing().id not in bob.keys.opened


def test_only_readers_are_no_team(team: Team) -> None:
    """The last one who can change the list stays on it."""
    ann = team.founded()
    ann.add(members.member_of("reader", ssh_key("rsa")[1]))
    ann.remove("recovery")
    with pytest.raises(Refused) as refused:
        ann.remove("ann")
    assert refused.value.code == "last-member"
    assert refused.value.hint


# --- the first keys ---------------------------------------------------------------------------------------------------


def test_keys_whose_making_was_cut_short_are_made_again(team: Team) -> None:
    """At any request: asked again with the same recovery key it ends as if nothing had been, and without a second list."""
    for at in range(1, 30):
        other = Team(team.base / f"at{at}")
        ring = other.ring("ann")
        left = [at]

        def cut(_who: str, _verb: str, _key: str, left: list[int] = left) -> None:
            left[0] -= 1
            if left[0] == 0:
                raise Transient("the line is cut")

        other.at = cut
        try:
            ring.begin("ann", RECOVERY.share, ())
        except Transient:
            pass
        else:
            assert at > 5
            break
        other.at = lambda *_: None
        again = other.ring("ann")
        again.begin("anna", RECOVERY.share, ())
        assert why(again) == ""
        assert len(again.keys.listed.members) == 2
        assert members.key_of_document(2) not in other.there()
    else:
        pytest.fail("it never ended")


def test_the_keys_of_another_are_not_taken_for_ones_own(team: Team) -> None:
    """Neither a teammate's, nor one's own of another recovery key, which nobody may have seen."""
    ann = team.founded()
    bob = team.ring("bob")
    another = own_key(new_identity().encode()).share
    for ring, name, recovery in ((bob, "bob", RECOVERY.share), (ann, "ann", another)):
        with pytest.raises(Refused) as refused:
            ring.begin(name, recovery, ())
        assert refused.value.code == "keys-exist"


def test_two_who_make_the_first_keys_at_once(team: Team) -> None:
    """One does, and the other is told."""
    ann, bob = team.ring("ann"), team.ring("bob")
    between(team, "ann", "PUT", "members/", lambda: bob.begin("bob", RECOVERY.share, ()))
    with pytest.raises(Refused) as refused:
        ann.begin("ann", RECOVERY.share, ())
    assert refused.value.code == "keys-exist"
    assert why(bob) == ""
    assert why(ann) == "key-untrusted"


@pytest.mark.parametrize("how", ["seen here", "named by git"])
def test_no_new_keys_take_the_place_of_a_list_that_is_gone(team: Team, how: str) -> None:
    """A bucket that was emptied of its documents, or is not the whole one, is mended by bringing them back: a new list in
    their place would be in the way of that, and nobody would have the keys of what is encrypted.
    """
    ann = team.founded()
    first, print_ = team.document(1), ann.keys.fingerprint
    bucket = team.store.client()
    info = bucket.head(members.key_of_document(1))
    assert info is not None
    bucket.delete(members.key_of_document(1), replaces=info.version)
    ring = team.ring("ann") if how == "seen here" else team.ring("new", pinned=print_)
    with pytest.raises(Blocked) as raised:
        ring.begin("me", RECOVERY.share, ())
    assert raised.value.code == ("key-list-rewound" if how == "seen here" else "key-list")
    team.put(members.key_of_document(1), first)
    ann.look()
    assert ann.keys.current is not None


def test_another_project_is_asked_for_its_list_at_once(team: Team) -> None:
    """The bucket's project was replaced while the daemon ran, and a person said that this is right."""
    ring = team.ring("bob")
    ann = team.ring("ann")
    ann.opens("fedcba9876543210")
    ann.begin("ann", RECOVERY.share, (".env*",))
    ring.met("fedcba9876543210", 0)
    assert ring.covers(ENV)


def test_what_a_list_covers_is_covered_before_its_keys_are_here(team: Team) -> None:
    """The connection is lost between the two."""
    ann = team.founded()
    bob = team.joined(ann, "bob")
    ann.encrypt((".env*",))
    ann.remove("recovery")
    team.at = lambda who, verb, key: (
        Fault(Transient("the connection is lost")) if (who, verb) == ("bob", "GET") and key.endswith(".age") else None
    )
    with pytest.raises(Transient):
        bob.look()
    assert bob.covers(ENV)


def test_a_list_that_the_projects_document_tells_of_and_nobody_shows(team: Team) -> None:
    """Somebody removed it by accident: a newcomer, who cannot know what it covers, sends nothing in plain, makes no other
    one, and goes on once it is back.
    """
    ann = team.founded()
    ann.encrypt((".env*",))
    kept = {number: team.document(number) for number in (1, 2)}
    for number in kept:
        key = members.key_of_document(number)
        ann.bucket.delete(key, replaces=head(team, key))
    new = team.ring("new")
    new.met(PROJECT, 2, promised=True)
    assert why(new) == "key-list"
    assert new.covers(model.Path("anything"))
    with pytest.raises(Blocked):
        new.begin("new", RECOVERY.share, ())
    for number, data in kept.items():
        team.put(members.key_of_document(number), data)
    new.try_again()
    assert why(new) == "key-untrusted"
    assert new.covers(ENV)
    assert not new.covers(model.Path("anything"))
