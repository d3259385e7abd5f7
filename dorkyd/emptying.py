"""The trash of the folder and of the bucket: what they hold, and emptied when a person says so.

What is removed is gone for good, so each item is looked at once more: a file that was written to since it was put away becomes
a conflict copy instead, and a copy in the bucket whose original still stands is not the last state of anything yet. On
the thread of whoever asks; the folder's trash is emptied by the engine's thread, a slice at a time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dorkyd.bucket_trash import Kept, copies_below, copies_of, kept_of
from dorkyd.contents import Contents
from dorkyd.core.model import Path
from dorkyd.core.past import Emptied
from dorkyd.core.report import TrashItem
from dorkyd.core.settings import Mode
from dorkyd.decisions import checked
from dorkyd.engine import Engine
from dorkyd.errors import Refused, Stale
from dorkyd.reading import Reader
from dorkyd.reading_rows import rfc3339
from dorkyd.versions import Versions

SLICE = 100
"""So many are removed between two cycles."""
_SECOND_NS = 10**9
_EVER = 2**62
FOLDER, BUCKET = "folder", "bucket"


@dataclass(frozen=True, slots=True)
class Emptying:
    """See the module."""

    engine: Engine

    def items(self, where: str, path: str | None) -> list[TrashItem]:
        """What a trash holds, newest first; of a path, or with a closing `/` of all inside a folder, only that."""
        if where == BUCKET:
            return [_item(kept) for kept in reversed(self._copies(path))]
        reader = Reader(self.engine.open_journal(), self.engine.project, self.engine.device)
        return [item for item in reader.trash() if _is_meant(item.path, path)]

    def empty(self, where: str, path: str | None, older_than_s: float | None) -> Emptied:
        """Remove what is meant, of all or of what was put away longer ago than this. `Refused` (`versioned`) for a bucket that
        keeps versions by itself.
        """
        # Without a limit no clock is asked: one that was set back would keep what is newer than it.
        before_ns = _EVER if older_than_s is None else self.engine.clock.time_ns() - int(older_than_s * _SECOND_NS)
        return self._empty_bucket(path, before_ns) if where == BUCKET else self._empty_folder(path, before_ns)

    # --- inside ---------------------------------------------------------------------------------------------------

    def _empty_folder(self, path: str | None, before_ns: int) -> Emptied:
        before = rfc3339(before_ns)
        meant = [item for item in self.items(FOLDER, path) if item.at <= before]
        removed = freed = 0
        for start in range(0, len(meant), SLICE):
            names = [item.name for item in meant[start : start + SLICE]]
            gone = Contents(self.engine).ask(lambda names=names: self._removed(names))  # type: ignore[misc]
            removed += len(gone)
            freed += sum(item.size for item in meant[start : start + SLICE] if item.name in gone)
        return Emptied(removed, freed, len(meant) - removed)

    def _removed(self, names: Sequence[str]) -> set[str]:
        """Remove these from the folder's trash for good. Returns those that are gone; others were written to since. Engine thread."""
        if self.engine.opened is None or not self.engine.same_folder():
            raise Refused("the project is not open yet", code="not-open", hint="see `dorkyctl status`")
        return self.engine.opened.upkeep.empty(names)

    def _empty_bucket(self, path: str | None, before_ns: int) -> Emptied:
        project = self.engine.project
        if project.mode is Mode.PULL:
            what = f"{project.name} has mode: pull, which never writes the bucket"
            raise Refused(what, code="mode", hint="empty it on a device that may")
        bucket = Versions(self.engine).bucket()
        if bucket.versioned:
            what = "the bucket keeps versions by itself, and dorkyd puts nothing into a trash there"
            raise Refused(
                what,
                code="versioned",
                hint="a lifecycle rule of the bucket removes versions that are no longer current",
            )
        meant = [k for k in self._copies(path) if k.until_s is None or k.until_s * _SECOND_NS <= before_ns]
        removed = freed = 0
        standing: dict[Path, str | None] = {}
        for kept in meant:
            if kept.path not in standing:
                info = bucket.head(kept.path)
                standing[kept.path] = info.version if info is not None else None
            if standing[kept.path] == kept.of:
                continue  # its replacement is under way
            try:
                bucket.delete(kept.listed.key, replaces=kept.listed.version)
            except Stale:
                continue  # somebody was faster
            removed, freed = removed + 1, freed + kept.listed.size
        return Emptied(removed, freed, len(meant) - removed)

    def _copies(self, path: str | None) -> Sequence[Kept]:
        """Oldest first."""
        bucket = Versions(self.engine).bucket()
        if path is None or path.endswith("/"):
            found = copies_below(bucket, checked(path.rstrip("/")) if path else "")
        else:
            at = checked(path)
            found = [kept_of(at, version, listed) for version, listed in copies_of(bucket, at).items()]
        return sorted(found, key=lambda kept: (kept.until_s or 0, kept.listed.key))


def _is_meant(path: Path, asked: str | None) -> bool:
    if asked is None:
        return True
    return path.startswith(asked) if asked.endswith("/") else path == asked


def _item(kept: Kept) -> TrashItem:
    at = rfc3339(kept.until_s * _SECOND_NS) if kept.until_s is not None else rfc3339(0)
    return TrashItem(kept.listed.key, kept.path, kept.listed.size, at, None, kept.of)
