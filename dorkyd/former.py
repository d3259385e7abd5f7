"""A state that stood at a path before, for clients that read it: brought whole from the cheapest place that still has it
(`dorkyd.contents`), verified, and kept for a moment (`dorkyd.wholes`), so that a reader of its parts brings it once.

On the thread of whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import BinaryIO

from dorkyd.contents import Contents
from dorkyd.core.artifact import Artifact, artifact_of
from dorkyd.core.model import Path, Version
from dorkyd.core.timeline import PathVersion
from dorkyd.engine import Engine
from dorkyd.errors import Refused
from dorkyd.ports import Chunk, ObjectInfo, Reading
from dorkyd.versions import Versions, wanted_of
from dorkyd.wholes import Whole, Wholes

CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Staged:
    """Bytes that were brought, as a reading."""

    info: ObjectInfo
    _stream: BinaryIO

    def __iter__(self) -> Iterator[Chunk]:
        while chunk := self._stream.read(CHUNK_BYTES):
            yield chunk


@dataclass(frozen=True, slots=True)
class Former:
    """See the module."""

    engine: Engine
    wholes: Wholes

    @contextmanager
    def open(self, path: Path, name: str) -> Iterator[tuple[Artifact, Whole]]:
        """The state whose version or digest is exactly `name`. `Refused` (`no-such-version`, `content-gone`)."""
        version = Version(name)
        with self.wholes.use(path, version, lambda: self._bring(path, version)) as whole:
            yield self._artifact(path, version, whole), whole

    def _bring(self, path: Path, version: Version) -> AbstractContextManager[Reading]:
        return self._brought(self._state(path, version), version)

    @contextmanager
    def _brought(self, state: PathVersion, version: Version) -> Iterator[Reading]:
        contents = Contents(self.engine)
        brought = contents.bring(wanted_of(state))
        try:
            with self.engine.folder.open_staged(brought.staged) as stream:
                yield _Staged(ObjectInfo(version, state.size or 0, None, {}), stream)
        finally:
            contents.drop([brought.staged])

    def _state(self, path: Path, version: Version) -> PathVersion:
        found = Versions(self.engine).of(path)
        # Only by its whole name: what the beginning of one means may change, and what is kept goes by it.
        state = next((each for each in found.states if each.has_version(version) or str(each.digest) == version), None)
        if state is None:
            what = f"{path!r} has no state {version!r}" + (f"; {found.missing}" if found.missing else "")
            hint = f"`dorkyctl history {path}` lists them; write a version or digest in full"
            raise Refused(what, code="no-such-version", hint=hint)
        return state

    @staticmethod
    def _artifact(path: Path, version: Version, whole: Whole) -> Artifact:
        """Of its metadata nothing is told: the copies that are kept differ in what they have of it."""
        told = artifact_of(path, version, whole.size, None, {})
        return Artifact(
            path, whole.digest, told.size, version, told.media_type, told.updated_at, told.device, told.own, None
        )
