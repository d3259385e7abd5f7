"""Two states of one file side by side: a version and the file that stands here, or two versions.

The bytes are held in memory up to what `core.differing` compares, and written nowhere. On the thread of whoever asks.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dorkyd.contents import Contents
from dorkyd.core.differing import MOST_BYTES, Compared, compare, compare_masked
from dorkyd.core.dotenv import is_env
from dorkyd.core.model import Digest, Local, Path
from dorkyd.core.past import Content, Difference, Side
from dorkyd.core.settings import Mode
from dorkyd.core.timeline import PathVersion
from dorkyd.decisions import checked
from dorkyd.engine import Engine
from dorkyd.errors import Refused
from dorkyd.restoring import Restoring
from dorkyd.secrecy import is_secret
from dorkyd.tables.changes import TableDifference
from dorkyd.tables.formats import format_of
from dorkyd.tables.looking import Tables, failed, named_table
from dorkyd.versions import States, Versions, wanted_of


@dataclass(frozen=True, slots=True)
class Diffing:
    """See the module."""

    engine: Engine
    tables: Tables | None = None
    """Compares tables; None: they are compared as other files are."""

    def diff(
        self, text: str, before: str | None, after: str | None, *, reveal: bool = False, key: Sequence[str] = ()
    ) -> Difference:
        """`before` None: the newest state that is not what stands here. `after` None: the file as it is here. Of what is a
        secret, by its name or since it is or was encrypted, no value is shown unless `reveal`. `key`: as `HistoryControl.diff`.
        """
        text, before = Restoring(self.engine).meant(text, before)
        path = checked(text)
        if key:
            named_table(path)
        found = Versions(self.engine).of(path)
        here = self.engine.folder.observe(path, None) if self.engine.project.mode is not Mode.BUCKET else None
        local = here if isinstance(here, Local) else None
        if not found.states and local is None:
            what = f"nothing is known of {text!r}" + (f"; {found.missing}" if found.missing else "")
            raise Refused(what, code="no-such-path", hint="check the spelling")
        newer = Versions(self.engine).choose(found, after) if after is not None else None
        standing = newer.digest if newer is not None else (local.digest if local is not None else None)
        older = self._older(found, before, standing)
        sides = _side(older), _side(newer) if newer is not None else _here(local)
        if sides[0].digest is not None and sides[0].digest == sides[1].digest:
            return Difference(path, *sides, Compared("same", ""))
        secret = not reveal and self._is_secret(path, [side.digest for side in sides])
        table = None if secret else self._table(path, older, newer, local, key)
        if table is not None and format_of(path) in {"parquet", "arrow"}:
            return Difference(path, *sides, Compared("table", ""), table)
        one = self._bytes(older) if older is not None else None
        two = self._bytes(newer) if newer is not None else self._local_bytes(path, local)
        if (older is not None and one is None) or (two is None and (newer is not None or local is not None)):
            return Difference(path, *sides, Compared("binary" if table is None else "table", ""), table)
        compared = (compare_masked if secret else compare)(path, (sides[0].label, sides[1].label), one, two)
        if table is not None:
            compared = Compared("table", compared.text)
        return Difference(path, *sides, compared, table)

    def _table(
        self, path: Path, older: PathVersion | None, newer: PathVersion | None, local: Local | None, key: Sequence[str]
    ) -> TableDifference | None:
        """How two tables differ; None: one of them is none, or is not there."""
        if self.tables is None or format_of(path) is None or older is None or (newer is None and local is None):
            return None
        try:
            before = self.tables.of_state(older)
            if newer is not None:
                return self.tables.compare(before, self.tables.of_state(newer), key)
            assert local is not None
            return self.tables.compare(before, self.tables.of_file(path, local), key)
        except Refused as exc:
            if key or not failed(exc):
                raise
            return None

    def beside(self, text: str, other: str, *, reveal: bool = False) -> Difference:
        """What stands at `other` compared with what stands at `text`, e.g. a conflict copy with what has the name. Each is the file
        here, or else its newest state. No value of a secret is shown unless `reveal`.
        """
        path, beside = checked(text), checked(other)
        older, newer = self._standing(beside), self._standing(path)
        sides = older.side, newer.side
        if older.side.there and older.side.digest is not None and older.side.digest == newer.side.digest:
            return Difference(path, *sides, Compared("same", ""))
        try:
            one, two = older.read(), newer.read()
        except _TooLargeError:
            return Difference(path, *sides, Compared("binary", ""))
        digests = [side.digest for side in sides]
        secret = not reveal and (self._is_secret(path, digests) or self._is_secret(beside, digests))
        show = compare_masked if secret else compare
        return Difference(path, *sides, show(path, (beside, path), one, two))

    def content(self, text: str, at: str, *, reveal: bool = False) -> Content:
        """The bytes of one state; `at` as for `diff`. `Refused` (`secret`) for what is masked in differences, unless `reveal`."""
        path = checked(text)
        versions = Versions(self.engine)
        state = versions.choose(versions.of(path), at)
        if not reveal and self._is_secret(path, [state.digest]):
            raise Refused(
                f"{path!r} may hold secrets, and is not shown",
                code="secret",
                hint=f"`dorkyctl restore {path} --at {at} --to PLACE` puts it into the folder",
            )
        contents = Contents(self.engine)
        brought = contents.bring(wanted_of(state))
        try:
            # Open it stays readable, and nothing of it is left behind whatever becomes of us.
            staged = self.engine.folder.open_staged(brought.staged)
        finally:
            contents.drop([brought.staged])
        return Content(path, brought.digest, os.fstat(staged.fileno()).st_size, state.version, staged)

    def _standing(self, path: Path) -> _Standing:
        here = self.engine.folder.observe(path, None) if self.engine.project.mode is not Mode.BUCKET else None
        if isinstance(here, Local):
            return _Standing(_here(here), lambda: self._local_bytes(path, here))
        found = Versions(self.engine).of(path)
        if not found.states:
            raise Refused(f"nothing is known of {path!r}", code="no-such-path", hint="check the spelling")
        return _Standing(_side(found.states[0]), lambda: self._bytes(found.states[0]))

    def _is_secret(self, path: Path, digests: Sequence[Digest | None]) -> bool:
        def known() -> bool:
            return is_secret(self.engine.journal, self.engine.keyring, path, digests)

        return is_env(path) or Contents(self.engine).ask(known)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _older(self, found: States, before: str | None, standing: Digest | None) -> PathVersion | None:
        if before is not None:
            return Versions(self.engine).choose(found, before)
        return next((state for state in found.states if standing is None or state.digest != standing), None)

    def _bytes(self, state: PathVersion) -> bytes | None:
        """Of a state; None: too many to compare."""
        if (state.size or 0) > MOST_BYTES:
            return None
        contents = Contents(self.engine)
        brought = contents.bring(wanted_of(state))
        try:
            with self.engine.folder.open_staged(brought.staged) as staged:
                data = staged.read(MOST_BYTES + 1)
        finally:
            contents.drop([brought.staged])
        return data if len(data) <= MOST_BYTES else None

    def _local_bytes(self, path: Path, local: Local | None) -> bytes | None:
        if local is None or local.size > MOST_BYTES:
            return None
        with self.engine.folder.open(path, local) as reading:
            return reading.read(MOST_BYTES + 1)


class _TooLargeError(Exception):
    """More than is compared."""


@dataclass(frozen=True, slots=True)
class _Standing:
    """What stands at a path."""

    side: Side
    bring: Callable[[], bytes | None]

    def read(self) -> bytes:
        data = self.bring()
        if data is None:
            raise _TooLargeError
        return data


def _side(state: PathVersion | None) -> Side:
    if state is None:
        return Side("nothing", None, None, None, there=False)
    return Side(f"version {state.version or state.digest}", state.digest, state.size, state.version)


def _here(local: Local | None) -> Side:
    if local is None:
        return Side("not here", None, None, None, there=False)
    return Side("the file here", local.digest, local.size, None)
