"""The passphrase of this machine's key in the system's keyring, where a person asked for that and nowhere else.

The keyring is that of the desktop (Secret Service, macOS Keychain), reached by the package `keyring`, which is an extra. Any thread;
it may wait for a person who is asked to open it.
"""

from __future__ import annotations

from typing import Any

from dorkyd.errors import Refused

_SERVICE = "dorkyd"


def remember(account: str, phrase: str) -> None:
    """Keep it. `Refused` (`no-keyring`) where there is no keyring, or it refuses."""
    ring = _ring()
    try:
        ring.set_password(_SERVICE, account, phrase)
    except ring.errors.KeyringError as exc:
        raise _refused(exc) from exc


def recall(account: str) -> str | None:
    """What was kept; None: nothing. `Refused` as for `remember`."""
    ring = _ring()
    try:
        found: str | None = ring.get_password(_SERVICE, account)
    except ring.errors.KeyringError as exc:
        raise _refused(exc) from exc
    return found


def forget(account: str) -> None:
    """Keep it no longer; nothing kept is fine. `Refused` as for `remember`."""
    ring = _ring()
    try:
        ring.delete_password(_SERVICE, account)
    except ring.errors.PasswordDeleteError:
        return
    except ring.errors.KeyringError as exc:
        raise _refused(exc) from exc


def _ring() -> Any:
    try:
        import keyring  # noqa: PLC0415  an extra, of no use to most
        import keyring.errors  # noqa: PLC0415
    except ImportError as exc:
        raise Refused(
            "the package `keyring` is not installed", code="no-keyring", hint="pip install 'dorkyd[keyring]'"
        ) from exc
    return keyring


def _refused(exc: Exception) -> Refused:
    # The kind alone: what a keyring says of a failure is its own affair, and may name what it holds.
    return Refused(
        f"the system's keyring did not do it ({type(exc).__name__})",
        code="no-keyring",
        hint="see that a keyring runs in your session and is open; or give the passphrase: dorkyctl key unlock",
    )
