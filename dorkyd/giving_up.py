"""Large uploads that nothing wants any more are given up, so that the store keeps no parts of them."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection
from dataclasses import dataclass

from dorkyd.core.model import Path
from dorkyd.errors import AuthExpired, Blocked, Stale, Transient
from dorkyd.journal import Journal
from dorkyd.transfer import Transfer

_log = logging.getLogger("dorkyd.giving_up")

AGAIN_S = 300.0
"""How long after a failure a session that nothing wants is left alone."""


@dataclass(slots=True)
class GivingUp:
    """For one project; engine thread only."""

    journal: Journal
    transfer: Transfer
    warnings: dict[str, tuple[str, str]]
    """The engine's own."""
    _due: float = -math.inf
    """When a session is given up again, after a try that failed."""

    def run_due(self, busy: Collection[Path], now: float) -> None:
        """Give one up, those of paths in `busy` aside. Denied that, its parts stay until the bucket's lifecycle rule ends
        them: a cost, not a danger, and nothing that the project waits for. Raises what concerns the whole bucket.
        """
        useless = self.journal.sessions.useless(busy) if now >= self._due else []
        if not useless:
            return
        try:
            self.transfer.abandon(useless[0])
        except AuthExpired:
            raise
        except (Stale, Transient) as exc:
            if isinstance(exc, Transient) and exc.offline:
                raise
            self._due = now + AGAIN_S
            return
        except Blocked as exc:
            self.warnings["unfinished-uploads"] = (f"parts of a large upload could not be removed: {exc}", exc.hint)
        except Exception as exc:  # what nobody foresaw here would come again at every start
            _log.error("path=%r outcome=not-abandoned", useless[0].path, exc_info=exc)
            what = f"parts of a large upload could not be removed: unexpected {type(exc).__name__}"
            self.warnings["unfinished-uploads"] = (what, "the daemon's log has the details")
        with self.journal.atomic():
            self.journal.sessions.ended(useless[0].op)
