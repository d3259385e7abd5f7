"""This machine's own key and what it trusts: files that are whole at every instant, and refusals that say what to do."""

from __future__ import annotations

import base64
import hmac
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import keyring
import pyrage
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from keyring.backends.fail import Keyring as FailKeyring

from dorkyd.core import members
from dorkyd.core.members import Member
from dorkyd.errors import Blocked, Refused
from dorkyd.keys import KeyHome, Trust, epoch_key, new_identity, own_key, recipient_of, verify
from tests.ring import FileRing
from tests.test_keyring import ssh_key

PHRASE = "open sesame"


@pytest.fixture
def home(tmp_path: Path) -> KeyHome:
    """No key yet."""
    return KeyHome(tmp_path / "keys")


def modes(folder: Path) -> set[str]:
    """Permission bits of every file in it."""
    return {oct(stat.S_IMODE(file.stat().st_mode)) for file in folder.rglob("*") if file.is_file()}


def test_a_key_is_a_file_of_its_owner_alone(home: KeyHome) -> None:
    """And what it replaces stays beside it, readable as before."""
    assert home.own() is None
    first, second = new_identity().encode(), new_identity().encode()
    home.keep(first)
    home.keep(second)
    assert home.export() == second
    (before,) = home.folder.glob("identity-*.before")
    assert before.read_bytes() == first
    assert modes(home.folder) == {"0o600"}
    assert stat.S_IMODE(home.folder.stat().st_mode) == 0o700


def test_there_is_a_whole_key_at_every_instant(home: KeyHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another one takes its place: whatever step is the last one, the old or the new one can be read."""
    first, second = new_identity().encode(), new_identity().encode()
    home.keep(first)
    steps: list[bytes] = []
    for name in ("replace", "unlink", "rename", "link"):
        real = getattr(os, name)

        def step(*args: object, real: object = real) -> None:
            real(*args)  # type: ignore[operator]
            steps.append(home.file.read_bytes())

        monkeypatch.setattr(os, name, step)
    home.keep(second)
    assert steps
    assert set(steps) <= {first, second}
    assert steps[-1] == second


def test_a_file_that_cannot_be_written_leaves_the_old_one(home: KeyHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing half beside it."""
    home.keep(new_identity().encode())
    before = home.export()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("dorkyd.keys.fsync", full)
    with pytest.raises(OSError, match="No space"):
        home.keep(new_identity().encode())
    assert home.export() == before
    assert [file.name for file in home.folder.iterdir()] == ["identity"]


def shut(data: bytes, phrase: str, log_n: int = 6) -> bytes:
    """An age file under a passphrase, by age's specification (C2SP age.md), with less work to guess it than age itself asks for:
    three seconds a try are too long for a test.
    """

    def bare(raw: bytes) -> bytes:
        return base64.b64encode(raw).rstrip(b"=")

    key, salt, nonce = os.urandom(16), os.urandom(16), os.urandom(16)
    wrap = Scrypt(salt=b"age-encryption.org/v1/scrypt" + salt, length=32, n=1 << log_n, r=8, p=1).derive(
        phrase.encode()
    )
    stanza = b"-> scrypt %b %d\n%b\n" % (bare(salt), log_n, bare(ChaCha20Poly1305(wrap).encrypt(bytes(12), key, None)))
    header = b"age-encryption.org/v1\n" + stanza + b"---"
    mac = hmac.digest(HKDF(hashes.SHA256(), 32, salt=None, info=b"header").derive(key), header, "sha256")
    payload = HKDF(hashes.SHA256(), 32, salt=nonce, info=b"payload").derive(key)
    return header + b" " + bare(mac) + b"\n" + nonce + ChaCha20Poly1305(payload).encrypt(bytes(11) + b"\1", data, None)


def test_a_passphrase_keeps_it_shut(home: KeyHome) -> None:
    """After a start; a wrong one opens nothing, and is in no message."""
    text = new_identity().encode()
    home.folder.mkdir()
    home.file.write_bytes(shut(text, PHRASE))
    with pytest.raises(Blocked) as blocked:
        home.own()
    assert (blocked.value.code, blocked.value.hint) == ("key-locked", "dorkyctl key unlock")
    with pytest.raises(Refused) as refused:
        home.unlock("not the phrase")
    assert refused.value.code == "wrong-passphrase"
    assert "not the phrase" not in str(refused.value)
    with pytest.raises(Blocked):
        home.own()
    home.unlock(PHRASE)
    found = home.own()
    assert found is not None
    assert found.recipient == own_key(text).recipient
    assert text not in home.export()
    assert text.decode() not in repr(home)


@pytest.fixture
def ring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A keyring, and the file that has what it keeps."""
    monkeypatch.setenv("DORKY_TEST_RING", str(tmp_path / "ring"))
    before = keyring.get_keyring()
    keyring.set_keyring(FileRing())
    yield tmp_path / "ring"
    keyring.set_keyring(before)


def test_the_keyring_opens_it_where_a_person_asked(home: KeyHome, ring: Path) -> None:
    """At the next start, until it is told not to; what does not open the key is not kept, and nothing is unasked."""
    home.folder.mkdir()
    home.file.write_bytes(shut(new_identity().encode(), PHRASE))
    assert not home.recall()
    with pytest.raises(Refused, match="not the key's passphrase"):
        home.remember("not the phrase")
    home.unlock(PHRASE)
    assert not ring.exists()
    home.remember(PHRASE)
    again = KeyHome(home.folder)
    assert again.recall()
    assert again.own() is not None
    assert PHRASE.encode() not in b"".join(file.read_bytes() for file in home.folder.iterdir() if file.is_file())
    again.forget()
    assert PHRASE not in ring.read_text()
    assert not KeyHome(home.folder).recall()


def test_a_keyring_that_is_gone_is_asked_no_more(home: KeyHome, ring: Path) -> None:
    """Told to keep it no longer where the keyring cannot be reached: that is refused, and no start asks it all the same."""
    home.folder.mkdir()
    home.file.write_bytes(shut(new_identity().encode(), PHRASE))
    home.remember(PHRASE)
    keyring.set_keyring(FailKeyring())
    with pytest.raises(Refused, match="keyring"):
        home.forget()
    assert not KeyHome(home.folder).recall()


def test_a_keyring_that_fits_no_more(home: KeyHome, ring: Path) -> None:
    """It lost the passphrase, or the key is another: the key stays shut, and the way out is named."""
    home.folder.mkdir()
    home.file.write_bytes(shut(new_identity().encode(), PHRASE))
    home.remember(PHRASE)
    ring.unlink()
    with pytest.raises(Refused, match="does not have") as refused:
        KeyHome(home.folder).recall()
    assert (refused.value.code, refused.value.hint) == ("no-keyring", "dorkyctl key unlock --keyring")
    home.keep(new_identity().encode())
    assert not KeyHome(home.folder).recall()
    with pytest.raises(Refused, match="no passphrase"):
        home.remember(PHRASE)


def test_no_keyring_here(home: KeyHome) -> None:
    """The key is open all the same, and what was asked for is refused with what to do; the passphrase is in no message."""
    home.folder.mkdir()
    home.file.write_bytes(shut(new_identity().encode(), PHRASE))
    before = keyring.get_keyring()
    keyring.set_keyring(FailKeyring())
    try:
        with pytest.raises(Refused) as refused:
            home.remember(PHRASE)
    finally:
        keyring.set_keyring(before)
    assert refused.value.code == "no-keyring"
    assert PHRASE not in f"{refused.value} {refused.value.hint}"
    assert home.own() is not None
    assert not KeyHome(home.folder).recall()


def ecdsa() -> bytes:
    """A private key of a kind that age does not know."""
    made = ec.generate_private_key(ec.SECP256R1())
    return made.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )


@pytest.mark.parametrize(
    "data", [b"", b"words", b"AGE-SECRET-" + b"KEY-1" + b"A" * 58, b"\xff\xfe", ecdsa(), ssh_key("rsa")[1].encode()]
)
def test_what_is_no_key_is_refused(home: KeyHome, data: bytes) -> None:
    """Nothing is replaced; nothing of it is in the message; where it is the file itself, the file is named."""
    good = new_identity().encode()
    home.keep(good)
    with pytest.raises(Refused) as refused:
        home.keep(data)
    assert refused.value.code == "bad-key"
    assert home.export() == good
    home.file.write_bytes(data)
    with pytest.raises(Blocked) as blocked:
        home.own()
    assert blocked.value.code == "key-file"
    assert str(home.file) in str(blocked.value)
    assert "key import" in blocked.value.hint
    assert not data or len(data) > 3000 or data.decode("latin-1") not in str(blocked.value)


@pytest.mark.parametrize("kind", ["age", "ed25519", "rsa"])
def test_a_key_signs_or_says_that_it_cannot(kind: str) -> None:
    """The same on every machine that has it; another's signature, or one of other bytes, is none."""
    data = new_identity().encode() if kind == "age" else ssh_key(kind)[0]
    own = own_key(data)
    member = members.member_of("ann", own.share)
    assert (member.recipient, member.sign) == (own.recipient, own.sign_public)
    if kind == "rsa":
        with pytest.raises(Refused) as refused:
            own.sign(b"text")
        assert refused.value.code == "cannot-sign"
        assert refused.value.hint
        return
    signature = own_key(data).sign(b"text")
    assert verify(own.sign_public, signature, b"text")
    assert not verify(own.sign_public, signature, b"texts")
    assert not verify(own_key(new_identity().encode()).sign_public, signature, b"text")
    assert not verify("no key", signature, b"text")
    assert not verify(own.sign_public, b"", b"text")
    assert "PRIVATE" not in repr(own)
    assert "SECRET" not in repr(own)


def test_an_identity_of_an_epoch(home: KeyHome) -> None:
    """Opens what was encrypted to its recipient, has keys of content of its own, and is not shown."""
    text = new_identity()
    one, two = epoch_key("0001-aa", f"# words\n{text}\n"), epoch_key("0002-bb", new_identity())
    sealed = pyrage.encrypt(b"x", [recipient_of(one.recipient)])
    assert pyrage.decrypt(sealed, [one.identity]) == b"x"
    with pytest.raises(pyrage.DecryptError):
        pyrage.decrypt(sealed, [two.identity])
    assert one.content.secret != two.content.secret
    assert text not in repr(one)
    assert one.content.secret.hex() not in repr(one)
    with pytest.raises(Blocked):
        epoch_key("0001-aa", "no identity")


@pytest.mark.parametrize(
    "share",
    [
        "age1yubikey1" + "q" * 58,
        "age1" + "q" * 20,
        "ssh-dss AAAA",
        "ecdsa-sha2-nistp256 " + "A" * 100,
        "-----BEGIN PUBLIC KEY-----",
        "",
        "age1" + "q" * 58 + ":short",
        "age1" + "q" * 58 + ":" + base64.b64encode(b"x" * 31).decode(),
    ],
)
def test_unknown_kinds_of_public_keys_are_refused(share: str) -> None:
    """With the command that shows a right one, by what reads them or by what encrypts."""
    with pytest.raises(Refused) as refused:
        recipient_of(members.member_of("bob", share).recipient)
    assert refused.value.code == "bad-key"


@pytest.mark.parametrize("name", ["", "Bob", "b/ob", "..", "-b", "b" * 64, "bob\n", "ünal"])
def test_what_cannot_be_a_members_name(name: str) -> None:
    """It is part of keys in the bucket."""
    with pytest.raises(Refused) as refused:
        members.checked_name(name)
    assert refused.value.code == "bad-name"
    assert refused.value.hint


def test_a_comment_behind_an_ssh_key_is_no_part_of_it() -> None:
    """People paste the whole line."""
    line = ssh_key("ed25519")[1]
    assert members.member_of("bob", line) == members.member_of("bob", " ".join(line.split()[:2]))
    assert isinstance(members.member_of("bob", line), Member)


def test_what_is_trusted_outlives_the_journal(home: KeyHome) -> None:
    """By project; a file that makes no sense is no permission to trust anew."""
    trust = Trust("01234567", 3, "ab" * 32, (".env*",))
    home.trust("p1", trust)
    assert KeyHome(home.folder).trust_of("p1") == trust
    assert home.trust_of("p2") is None
    (file,) = (home.folder / "trust").iterdir()
    for data in (b"", b"{}", b"\xff", b'{"fingerprint": "x"}'):
        file.write_bytes(data)
        with pytest.raises(Blocked) as blocked:
            home.trust_of("p1")
        assert blocked.value.code == "key-file"
        assert blocked.value.hint
    assert modes(home.folder) == {"0o600"}


def test_a_recovery_key_waits_until_somebody_saw_it(home: KeyHome) -> None:
    """The same for one project however often, another for another, 0600."""
    text, file = home.recovery("p")
    assert home.recovery("p") == (text, file)
    assert home.recovery("P")[1] != file
    assert home.recovery("../p")[1].parent == home.folder
    assert modes(home.folder) == {"0o600"}
    file.unlink()
    assert home.recovery("p")[0] != text
