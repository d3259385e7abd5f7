"""What this device can tell of the encrypted files of commits, with the keys that it has. From any thread.

A commit names them by keyed digests, each made with the key of its epoch. With that key the content that stands here is
compared by computing; the contents of two epochs have to be known, from what this device remembers or by reading one of them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dorkyd.commit_store import CommitStore
from dorkyd.contents import Contents
from dorkyd.core import metadata
from dorkyd.core.commits import CommitFile, Difference
from dorkyd.core.model import Digest, Local
from dorkyd.core.sealing import ContentKey
from dorkyd.engine import Engine
from dorkyd.errors import Blocked, Integrity
from dorkyd.ports import Body
from dorkyd.transfer import FileBody


def is_content(engine: Engine, file: CommitFile, digest: Digest) -> bool:
    """A content is the file's. `Blocked` (`no-key`) where that cannot be said here."""
    if file.epoch is None:
        return file.digest == digest
    return content_key(engine, file.epoch).word(digest) == file.sealed


def content_key(engine: Engine, epoch: str) -> ContentKey:
    """`Blocked` (`no-key`)."""
    key = keys_of(engine).get(epoch)
    if key is None:
        what = f"it is encrypted to the epoch {epoch}, whose key this machine has not got"
        raise Blocked(what, code="no-key", hint="ask a teammate to run: dorkyctl team list")
    return key


def keys_of(engine: Engine) -> Mapping[str, ContentKey]:
    """By epoch."""
    return engine.keyring.keys.contents if engine.keyring is not None else {}


def file_body(engine: Engine, file: CommitFile) -> Body | None:
    """The bytes of a file here, where it still holds what a commit says of it."""
    found = engine.folder.observe(file.path, None)
    if not isinstance(found, Local) or not is_content(engine, file, found.digest):
        return None
    return FileBody(engine.folder, file.path, found)


@dataclass(frozen=True, slots=True)
class Sameness:
    """Whether files whose digests are of different keys hold the same."""

    engine: Engine
    store: CommitStore

    def judged(self, found: Sequence[Difference]) -> tuple[Difference, ...]:
        """Without those that only are stored otherwise; of those that cannot be compared here, why (`Difference.waits`)."""
        unsure = [one for one in found if _unsure(one)]
        known = Contents(self.engine).ask(self._remembered) if unsure else []
        judged = {one.path: self._judge(one, known) for one in unsure}
        return tuple(made for one in found if (made := judged.get(one.path, one)) is not None)

    def _remembered(self) -> list[Digest]:
        return self.engine.journal.contents_here() if self.engine.journal is not None else []

    def _judge(self, one: Difference, known: Sequence[Digest]) -> Difference | None:
        """None: they are the same."""
        assert one.old is not None
        assert one.new is not None
        try:
            # The later one is likely to be here still.
            digest = self._digest(one.new, known)
            same = is_content(self.engine, one.old, digest)
        except (Blocked, Integrity) as exc:
            return replace(one, waits=str(exc))
        if not same:
            return one
        if None in (one.old.mode, one.new.mode) or one.old.mode == one.new.mode:
            return None
        return Difference(one.path, replace(one.old, digest=one.new.digest), one.new)

    def _digest(self, file: CommitFile, known: Sequence[Digest]) -> Digest:
        """The SHA-256 of its content."""
        if file.epoch is None:
            return file.digest
        key = content_key(self.engine, file.epoch)
        found = next((digest for digest in known if key.word(digest) == file.sealed), None)
        return found if found is not None else self._read(file)

    def _read(self, file: CommitFile) -> Digest:
        kept = self.store.kept_under(file.digest)
        if not kept:
            raise Integrity(f"the content of {file.path!r} is not in the bucket any more", code="content-missing")
        hashing = hashlib.sha256()
        with self.store.bucket.get(kept[0].key, if_match=kept[0].version) as reading:
            for chunk in reading:
                hashing.update(chunk)
        return metadata.sha256(hashing.hexdigest())


def _unsure(one: Difference) -> bool:
    return one.old is not None and one.new is not None and one.old.epoch != one.new.epoch
