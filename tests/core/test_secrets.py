"""What looks like a secret. No test holds a live one: all are made up here, in pieces that no scanner would stop at."""

from __future__ import annotations

import base64
import hashlib
import time

import pytest

from dorkyd.core.model import Path
from dorkyd.core.secrets import READ_BYTES, installed_mode, is_private, suspicion


def noise(length: int, alphabet: str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") -> str:
    """Characters in no order, the same in every run."""
    digest = b"".join(hashlib.sha256(f"{n}".encode()).digest() for n in range(8))
    return "".join(alphabet[byte % len(alphabet)] for byte in digest)[:length]


def block(kind: str) -> str:
    """What a key's file looks like."""
    body = base64.encodebytes(noise(120).encode()).decode()
    return f"-----BEGIN {kind}-----\n{body}-----END {kind}-----\n"


UPPER = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
SECRETS = {
    "rsa": block("RSA PRIVATE " + "KEY"),
    "openssh": block("OPENSSH PRIVATE " + "KEY"),
    "pkcs8 in an env": "KEY=" + repr(block("PRIVATE " + "KEY")),
    "pgp": block("PGP PRIVATE " + "KEY BLOCK"),
    "legacy": block("RSA PRIVATE " + "KEY").replace("-----\n", "-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES\n\n", 1),
    "age": "AGE-SECRET-" + "KEY-1" + noise(58, UPPER),
    "aws": "key = " + "AK" + "IA" + noise(16, UPPER),
    "google": "AI" + "za" + noise(35),
    "github": "gh" + "s_" + noise(36),
    "gitlab": "glp" + "at-" + noise(20),
    "slack": "xo" + f"xb-274509386152-{noise(24)}",
    "stripe": "sk_" + "live_" + noise(24),
    "npm": "//registry/:_authToken=np" + "m_" + noise(36),
    "azure": "Account" + "Key=" + noise(86) + "==",
    "named": f'  "client_secret": "{noise(40)}",',
    "password": f"DB_PASSWORD={noise(24)}\n",
    "url": f"DATABASE_URL=postgres://app:{noise(20)}@db.internal/app\n",
}
PLAIN = {
    "a program that names a header": 'HEADER = b"-----BEGIN RSA PRIVATE ' + 'KEY-----"\nif data.startswith(HEADER):\n',
    "a public key": block("PUBLIC KEY"),
    "a certificate": block("CERTIFICATE"),
    "an example": "AK" + "IAIOSFODNN7EXAMPLE",
    "words": "password = get_password_from_the_keyring_of_2024_11\nSECRET_KEY_BASE = settings.secret_key_base_1_2\n",
    "a call": 'token = hashlib.sha256(b"1234").hexdigest()\n',
    "an environment": "API_KEY=${API_KEY_FROM_ELSEWHERE_1_2_3}\n",
    "a placeholder": "API_KEY=your-api-key-goes-here-1234567890\nSECRET=xxxxxxxxxxxxxxxxxxxxxxxx\n",
    "short": "PASSWORD=hunter2\nDEBUG=1\n",
    "a digest": f"file: sha256:{hashlib.sha256(b'x').hexdigest()}\n",
    "a page's token": f'"nextToken": "{noise(40)}"\n',
    "binary": "\0" + "gh" + "p_" + noise(36),
    "nothing": "",
}


@pytest.mark.parametrize("name", SECRETS)
def test_it_is_found_with_its_line(name: str) -> None:
    """Whatever stands around it, and nothing of it is told."""
    text = SECRETS[name]
    found = suspicion(Path("some.txt"), b"# words\n\n" + text.encode() + b"\n# more\n")
    assert found is not None
    assert found.line >= 3
    assert not any(word in found.what for word in text.split() if len(word) > 8)


@pytest.mark.parametrize("name", PLAIN)
def test_it_is_passed_over(name: str) -> None:
    """What has a secret's name and none of its form."""
    assert suspicion(Path("some.txt"), PLAIN[name].encode()) is None


@pytest.mark.parametrize("path", ["id_rsa", "d/.netrc", "store.p12", "k/id_ed25519", "X.KDBX", ".pgpass"])
def test_some_names_say_it(path: str) -> None:
    """Binary or not, and in a conflict copy too."""
    assert suspicion(Path(path), b"\0") is not None


@pytest.mark.parametrize("path", ["id_rsa.pub", ".env", "a.pem", "slides.key", "netrc"])
def test_others_do_not(path: str) -> None:
    """A `.pem` may be a certificate, a `.key` a presentation; an `.env` is what this is for."""
    assert suspicion(Path(path), b"A=1\n") is None


@pytest.mark.parametrize(
    "data",
    [
        b"secret" * (READ_BYTES // 6),
        b"a" * READ_BYTES + b"secret",
        b"secret" + b"a" * READ_BYTES,
        b"-----BEGIN PRIVATE KEY-----\n" * 37000,
        b"://" + b"a" * READ_BYTES,
        b"token = " * (READ_BYTES // 8),
        b"a:b" * (READ_BYTES // 3),
        b"ghp_" * (READ_BYTES // 4),
    ],
    ids=lambda data: data[:12].decode(),
)
def test_no_file_makes_it_slow(data: bytes) -> None:
    """A teammate may write any file, and the engine waits for this."""
    began = time.thread_time()
    suspicion(Path("some.txt"), data)
    assert time.thread_time() - began < 3.0


@pytest.mark.parametrize(
    ("path", "mode", "expected"),
    [
        (".env", 0o644, 0o600),
        ("d/.env.local", 0o755, 0o700),
        (".env", None, 0o600),
        ("a.pem", 0o440, 0o400),
        ("a.txt", 0o644, 0o644),
        ("a.txt", None, None),
        (".env (conflict ann 20260101-000000 abcdef)", 0o644, 0o600),
    ],
)
def test_what_a_private_file_may_have(path: str, mode: int | None, expected: int | None) -> None:
    """The owner's bits alone; other files keep theirs."""
    assert installed_mode(Path(path), mode) == expected
    assert is_private(Path(path)) is (path != "a.txt")
