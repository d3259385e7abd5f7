"""Facts in the bucket whose content nobody seems to need any more are removed: slow upkeep, by whichever device comes first.

Nothing is lost by it: who wants them looks at the file. So it goes by what this device remembers, and by age: facts stay for as
long as a copy of their content may be in a trash, and longer where any path here holds or held it. Any thread.
"""

from __future__ import annotations

from dataclasses import dataclass

from dorkyd.core.model import Digest
from dorkyd.errors import Stale
from dorkyd.ports import Bucket
from dorkyd.tables.kept import PLACE, digest_of

LEAST_DAYS = 30.0
REMOVALS = 1000
"""Of one run."""


@dataclass(frozen=True, slots=True)
class Known:
    """Contents that a device remembers."""

    plain: frozenset[Digest]
    """Of any path, now or before: their facts stay."""
    secret: frozenset[Digest]
    """Encrypted now, or at any time: should there be facts from before that, they go at once."""


def drop_facts(bucket: Bucket, contents: Known, *, now: int, days: float) -> int:
    """How many were removed. `now`: the latest LastModified known of this project, whole
    seconds; `days`: how long the bucket's trash keeps copies. Raises what the bucket raises.
    """
    removed = 0
    for page in bucket.list(PLACE):
        now = max([now, *(listed.modified for listed in page if listed.modified is not None)])
        too_old = now - max(LEAST_DAYS, days) * 86_400
        for listed in page:
            digest = digest_of(listed.key)
            if digest is None or digest in contents.plain:
                continue
            if digest not in contents.secret and (listed.modified is None or listed.modified > too_old):
                continue
            if removed == REMOVALS:
                return removed
            try:
                bucket.delete(listed.key, replaces=listed.version)
            except Stale:
                continue  # somebody was faster
            removed += 1
    return removed
