"""Which content may leave this machine encrypted only, though no pattern covers its name. Engine thread.

Encryption never falls away: not by a rename, a copy, a conflict, a restore, or an edit under the name of a secret that was
deleted. Every writer of objects asks here: the engine's uploads, the API's puts, pushes.
"""

from __future__ import annotations

from collections.abc import Sequence

from dorkyd.core.model import Digest, Path
from dorkyd.core.paths import without_conflict
from dorkyd.journal import Journal
from dorkyd.keyring import Keyring


def must_be_sealed(
    journal: Journal, keyring: Keyring | None, path: Path, digest: Digest, size: int, *, new: bool
) -> bool:
    """For what it is: content that is or ever was encrypted, or that stood here under a name which a pattern covers; the
    conflict copy of a file that is encrypted; what comes back (`new`: no object has the name) under the name of one that was.
    What replaces an encrypted object is encrypted for that (`dorkyd.sealing`). Empty content has no secret.

    A journal that was lost remembers none of that. What an encrypted object says of its content is compared then.
    """
    original = without_conflict(path)
    remote = journal.remote(original) if original != path else None
    if remote is not None and remote.sealed is not None:
        return True
    if new and journal.was_sealed(original):
        return True
    return size > 0 and (journal.is_sealed_content(digest) or (new and _told(journal, keyring, digest)))


def _told(journal: Journal, keyring: Keyring | None, digest: Digest) -> bool:
    """Some encrypted object that was never read here says that it holds this."""
    keys = keyring.keys.contents.values() if keyring is not None else ()
    return bool(keys) and journal.tells_of_sealed([key.word(digest) for key in keys])


def is_secret(journal: Journal | None, keyring: Keyring | None, path: Path, digests: Sequence[Digest | None]) -> bool:
    """Nothing of these contents, which stand or stood at this path, is shown unasked or kept anywhere else: it is encrypted by
    a pattern or as the object stands, or ever was.
    """
    if journal is None or (keyring is not None and keyring.hides(path)):
        return True  # without a journal nobody can say that it is not
    remote = journal.remote(path)
    sealed = remote is not None and remote.sealed is not None
    held = any(digest is not None and journal.is_sealed_content(digest) for digest in digests)
    return sealed or held or journal.was_sealed(without_conflict(path))
