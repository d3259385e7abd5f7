"""Stories in which every file is encrypted: all devices are one member's, and age is one that tells the same each time.

Its ciphertext is the header and the bytes turned round, so that a story is the same however often it is told. What real age
does is tested elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from dorkyd.keyring import Keyring
from dorkyd.keys import KeyHome, new_identity, own_key
from tests.devices import Device, SimClock

PATTERNS = ("*",)
OWNER = 0o700
"""Bits that downloaded secrets keep."""
_HEADER = b"age-encryption.org/v1\n"


class TurningAge:
    """In the place of pyrage where files are encrypted."""

    @staticmethod
    def encrypt_io(source: BinaryIO, sink: BinaryIO, _recipients: Sequence[Any]) -> None:
        """As pyrage's."""
        sink.write(_HEADER + source.read(2**30)[::-1])

    @staticmethod
    def decrypt_io(source: BinaryIO, sink: BinaryIO, _identities: Sequence[Any]) -> None:
        """As pyrage's."""
        whole = b""
        while piece := source.read(2**20):
            whole += piece
        if not whole.startswith(_HEADER):
            raise ValueError("no age file")
        sink.write(opened(whole))


def opened(data: bytes) -> bytes:
    """What an object holds, encrypted or not."""
    return data.removeprefix(_HEADER)[::-1] if data.startswith(_HEADER) else data


def key_home(base: Path) -> KeyHome:
    """Of all devices of a story, with a key of its own unless one lies there."""
    home = KeyHome(base / "keys")
    if not home.file.exists():
        home.keep(new_identity().encode())
        (home.folder / "names").write_bytes(b"the same in every telling of it.")
    return home


def found(device: Device) -> None:
    """Make the project's keys."""
    keyring: Keyring = device.keyring
    keyring.clock = SimClock("keys")
    keyring.begin("one", own_key(new_identity().encode()).share, ())
    keyring.made = 0
    keyring.clock = device.clock
