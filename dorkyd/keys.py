"""A person's own key, the identities of a project's epochs, and what this machine trusts. Files of mode 0600.

`<configuration>/keys/identity` is an ordinary age identity file (or a private SSH key), so that stock `age -d -i` opens what
dorkyd encrypted. From an age identity the key that signs the member list is derived; an SSH key of kind ed25519 signs itself,
one of kind RSA cannot. With a passphrase the file is an age file encrypted to it, and opened for the daemon's life by
`dorkyctl key unlock`, or at each start by the system's keyring where a person asked for that (`dorkyd.passphrases`).

`<configuration>/keys/trust/<project id>.json` remembers each project's fingerprint and the newest document of its member
list: a bucket that shows an older one is refused, even when the journal was lost.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from pyrage import DecryptError, IdentityError, RecipientError, passphrase, ssh, x25519

from dorkyd import passphrases
from dorkyd.core.members import HINT
from dorkyd.core.sealing import ContentKey
from dorkyd.durable import fsync
from dorkyd.errors import Blocked, Refused
from dorkyd.private import make_private

_SECRET = re.compile(r"AGE-SECRET-KEY-1[0-9A-Z]{50,100}")
_AGE_FILE = b"age-encryption.org/v1"
_TRUST = re.compile(r"[!-~]{1,128}")

Identity = Any
"""One of pyrage's, which has no types."""
Recipient = Any
"""As `Identity`."""


@dataclass(frozen=True, slots=True)
class OwnKey:
    """Whoever has it is the member with this recipient."""

    recipient: str
    sign_public: str
    """Base64; empty: it cannot sign."""
    identity: Identity = field(repr=False)
    _sign: Callable[[bytes], bytes] | None = field(repr=False)

    def sign(self, message: bytes) -> bytes:
        """Ed25519. `Refused` (`cannot-sign`) for a key that cannot."""
        if self._sign is None:
            raise Refused(
                "this key cannot sign, so it cannot change the member list",
                code="cannot-sign",
                hint="a member whose key is an age or ed25519 key can; or make one: dorkyctl key init --new",
            )
        return self._sign(message)

    @property
    def share(self) -> str:
        """As `Member.share`."""
        return f"{self.recipient}:{self.sign_public}" if self.recipient.startswith("age1") else self.recipient


@dataclass(frozen=True, slots=True)
class EpochKey:
    """An epoch's identity, opened."""

    id: str
    recipient: str
    identity: Identity = field(repr=False)
    content: ContentKey = field(repr=False)


def new_identity() -> str:
    """A new age identity, as its file says it."""
    return str(x25519.Identity.generate())


def epoch_key(epoch: str, text: str) -> EpochKey:
    """Read an epoch's identity. `Blocked` (`key-list`) for what is none."""
    found = _SECRET.search(text)
    try:
        identity = x25519.Identity.from_str(found[0] if found else "")
    except IdentityError as exc:
        raise Blocked(f"the identity of epoch {epoch} is no age identity", code="key-list", hint=HINT) from exc
    secret = _derived(str(identity), b"dorky content key 1")
    return EpochKey(epoch, str(identity.to_public()), identity, ContentKey(epoch, secret))


def recipient_of(text: str) -> Recipient:
    """What is encrypted to. `Refused` (`bad-key`) for what is no public key."""
    try:
        return ssh.Recipient.from_str(text) if text.startswith("ssh-") else x25519.Recipient.from_str(text)
    except RecipientError as exc:
        what = "that is no age recipient and no public SSH key"
        raise Refused(what, code="bad-key", hint="your teammate gets it from `dorkyctl key show`") from exc


def own_key(data: bytes) -> OwnKey:
    """Read an age identity or a private SSH key. `Refused` (`bad-key`) for what is neither."""
    text = data.decode("utf-8", "replace")
    found = _SECRET.search(text)
    if found is None:
        return _ssh_key(data)
    try:
        identity = x25519.Identity.from_str(found[0])
    except IdentityError as exc:
        raise Refused("that is no age identity", code="bad-key") from exc
    signing = Ed25519PrivateKey.from_private_bytes(_derived(found[0], b"dorky signing key 1"))
    return OwnKey(str(identity.to_public()), _public_of(signing), identity, signing.sign)


def _ssh_key(data: bytes) -> OwnKey:
    try:
        private = serialization.load_ssh_private_key(data, password=None)
        public = private.public_key()
        blob = public.public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH).decode()
        identity = ssh.Identity.from_buffer(data)
    except (ValueError, TypeError, UnsupportedAlgorithm, IdentityError) as exc:
        raise Refused(
            "that is neither an age identity nor a private SSH key (ed25519 or RSA) without a passphrase",
            code="bad-key",
            hint="dorkyctl key init makes one",
        ) from exc
    if isinstance(private, Ed25519PrivateKey):
        return OwnKey(blob, _public_of(private), identity, private.sign)
    return OwnKey(blob, "", identity, None)


def verify(public: str, signature: bytes, message: bytes) -> bool:
    """As `dorkyd.core.members.Verify`."""
    try:
        Ed25519PublicKey.from_public_bytes(base64.b64decode(public)).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _public_of(key: Ed25519PrivateKey) -> str:
    raw = key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    return base64.b64encode(raw).decode()


def _derived(secret: str, purpose: bytes) -> bytes:
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose).derive(secret.encode())


@dataclass(frozen=True, slots=True)
class Trust:
    """What this machine has seen of a project's member list."""

    fingerprint: str
    number: int = 0
    head: str = ""
    """As `MemberList.head`, of that number."""
    patterns: tuple[str, ...] = ()
    """What it encrypts: nothing of that leaves in plain although a later start cannot read the list."""


@dataclass(slots=True)
class KeyHome:
    """The folder `keys`. From any thread; two that write the same at once leave one of the two."""

    folder: Path
    _unlocked: bytes | None = field(default=None, repr=False)
    """The identity file's text, while a passphrase protects it."""

    @property
    def file(self) -> Path:
        """The identity file."""
        return self.folder / "identity"

    @property
    def _in_keyring(self) -> Path:
        """It is there where a person asked that the system's keyring keeps the passphrase."""
        return self.folder / "in-keyring"

    def own(self) -> OwnKey | None:
        """None: this machine has no key. `Blocked` (`key-locked`) while a passphrase protects it, `key-file` when it makes
        no sense.
        """
        try:
            data = self.file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as exc:
            hint = "make it readable for the daemon's user, or: dorkyctl key import FILE"
            raise Blocked(f"{self.file} cannot be read: {exc.strerror}", code="key-file", hint=hint) from exc
        if data.startswith(_AGE_FILE):
            if self._unlocked is None:
                what = "this machine's key is protected by a passphrase"
                raise Blocked(what, code="key-locked", hint="dorkyctl key unlock")
            data = self._unlocked
        try:
            return own_key(data)
        except Refused as exc:
            raise Blocked(f"{self.file}: {exc}", code="key-file", hint="dorkyctl key import FILE") from exc

    def keep(self, data: bytes, *, phrase: str | None = None) -> OwnKey:
        """Make this the machine's key; the one of before stays beside it. `Refused` (`bad-key`)."""
        made = own_key(data)
        make_private(self.folder)
        with suppress(FileNotFoundError):
            # A copy, so that a key is there at every instant.
            write_private(self.folder / f"identity-{secrets.token_hex(4)}.before", self.file.read_bytes())
        self._unlocked = data if phrase else None
        self._in_keyring.unlink(missing_ok=True)  # that passphrase was of another key
        write_private(self.file, passphrase.encrypt(data, phrase) if phrase else data)
        return made

    def export(self) -> bytes:
        """The identity file as it is: with a passphrase, encrypted. `Refused` (`no-key`) when there is none."""
        try:
            return self.file.read_bytes()
        except FileNotFoundError as exc:
            raise Refused("this machine has no key", code="no-key", hint="dorkyctl key init") from exc

    def unlock(self, phrase: str) -> None:
        """Open the key for the daemon's life; one without a passphrase is open. `Refused` (`wrong-passphrase`, `no-key`)."""
        data = self.export()
        if not data.startswith(_AGE_FILE):
            return
        try:
            self._unlocked = passphrase.decrypt(data, phrase)
        except DecryptError as exc:
            what = "that is not the key's passphrase"
            raise Refused(
                what, code="wrong-passphrase", hint="dorkyctl key unlock, with the one it was made with"
            ) from exc

    def remember(self, phrase: str) -> None:
        """Open the key, and have the system's keyring keep the passphrase, so that each start opens it. `Refused` as for `unlock`
        and `passphrases.remember`.
        """
        self.unlock(phrase)
        if not self.export().startswith(_AGE_FILE):
            raise Refused("no passphrase protects this machine's key", code="no-passphrase")
        passphrases.remember(str(self.folder), phrase)
        write_private(self._in_keyring, b"")

    def forget(self) -> None:
        """The system's keyring keeps the passphrase no longer. `Refused` as for `passphrases.forget`."""
        # First: whatever becomes of the keyring, no start asks it any more.
        self._in_keyring.unlink(missing_ok=True)
        passphrases.forget(str(self.folder))

    def recall(self) -> bool:
        """Open the key with what the system's keyring keeps. False: nobody asked for that. `Refused` when it does not have it, or
        it fits no more.
        """
        if not self._in_keyring.exists():
            return False
        phrase = passphrases.recall(str(self.folder))
        if phrase is None:
            what = "the system's keyring does not have the passphrase of this machine's key"
            raise Refused(what, code="no-keyring", hint="dorkyctl key unlock --keyring")
        self.unlock(phrase)
        return True

    def recovery(self, project: str) -> tuple[str, Path]:
        """A recovery key that nobody was shown yet, for a project of this name: its text, and the file that keeps it until
        then. The same however often it is asked for, so that a try that was cut short does not end with one nobody has.
        """
        bare = re.sub(r"[^A-Za-z0-9._-]", "_", project)[:40]
        file = self.folder / f"recovery-{bare}-{hashlib.sha256(project.encode()).hexdigest()[:8]}.txt"
        try:
            found = _SECRET.search(file.read_text())
        except FileNotFoundError:
            found = None
        if found is not None:
            return found[0], file
        make_private(self.folder)
        made = new_identity()
        write_private(file, f"{made}\n".encode())
        return made, file

    # --- what is trusted ------------------------------------------------------------------------------------------

    def trust_of(self, project: str) -> Trust | None:
        """None: nobody said yet what to trust. `Blocked` (`key-file`) when it cannot be read."""
        try:
            words = json.loads(self.trust_file(project).read_text())
            patterns = tuple(str(pattern) for pattern in words["encrypt"])
            return Trust(str(words["fingerprint"]), int(words["number"]), str(words["head"]), patterns)
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as exc:
            what = f"{self.trust_file(project)}, what this machine trusts, cannot be read"
            hint = "compare the fingerprint with a teammate (dorkyctl team list), then: dorkyctl key trust FINGERPRINT"
            raise Blocked(what, code="key-file", hint=hint) from exc

    def trust(self, project: str, trusted: Trust) -> None:
        """From here on. `Blocked` (`key-file`) when that cannot be remembered."""
        words = {
            "fingerprint": trusted.fingerprint,
            "number": trusted.number,
            "head": trusted.head,
            "encrypt": list(trusted.patterns),
        }
        with self._writing("what this machine trusts"):
            make_private(self.folder / "trust")
            write_private(self.trust_file(project), json.dumps(words).encode())

    def trust_file(self, project: str) -> Path:
        """Where it stands what is trusted of a project."""
        return self.folder / "trust" / f"{hashlib.sha256(project.encode()).hexdigest()[:32]}.json"

    # --- names of conflict copies ---------------------------------------------------------------------------------

    def blinded(self, digest: str) -> str:
        """Digits for the name of a conflict copy of a secret: the same on this machine whenever it is asked, and nothing
        that tells others of the content.
        """
        file = self.folder / "names"
        try:
            secret = file.read_bytes()
        except FileNotFoundError:
            secret = secrets.token_bytes(32)
            with self._writing("a secret for the names of conflict copies"):
                write_private(file, secret)
        return hmac.new(secret, digest.encode(), hashlib.sha256).hexdigest()

    @contextmanager
    def _writing(self, what: str) -> Iterator[None]:
        try:
            make_private(self.folder)
            yield
        except OSError as exc:
            raise Blocked(
                f"{what} cannot be written down in {self.folder}: {exc.strerror}",
                code="key-file",
                hint="make room there, or make it writable for the daemon's user; sync goes on by itself then",
            ) from exc


def write_private(file: Path, data: bytes) -> None:
    """Replace a file, 0600, atomically and durably."""
    name = file.with_name(f".{file.name}-{secrets.token_hex(4)}")
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as out:
            out.write(data)
            out.flush()
            fsync(out.fileno())
        os.replace(name, file)
    except BaseException:
        os.unlink(name)
        raise
    folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fsync(folder)
    finally:
        os.close(folder)
