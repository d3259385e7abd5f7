"""Large uploads that nothing wants any more are given up, so that the store keeps no parts of them."""

from __future__ import annotations

import logging
import math
from collections.abc import Collection
from dataclasses import dataclass, field

from dorkyd.core.model import Op, Path
from dorkyd.errors import AuthExpired, Blocked, Stale, Transient
from dorkyd.journal import Journal
from dorkyd.sessions import BegunUpload
from dorkyd.transfer import Transfer

_log = logging.getLogger("dorkyd.giving_up")

AGAIN_S = 300.0
"""How long after a failure a session that nothing wants is left alone."""
REFUSED_S = 3600.0
"""How long one is left alone whose end was refused: only a person, or the store's own rule, changes that."""
_WARNING = "unfinished-uploads"
_STORE = "sessions_of"
"""Where the journal keeps which bucket its sessions were begun in."""


@dataclass(slots=True)
class GivingUp:
    """For one project; engine thread only."""

    journal: Journal
    transfer: Transfer
    warnings: dict[str, tuple[str, str]]
    """The engine's own."""
    _due: float = -math.inf
    """When a session is given up again, after a try that failed."""
    _refused: dict[Op, float] = field(default_factory=dict)
    """Sessions whose end was refused, and when each is tried again. Forgotten with the process."""

    def at_start(self, store: str) -> None:
        """Forget the sessions of another bucket than `store`: what is left of them there no session here can end, and going
        on with one could write there.
        """
        known = self.journal.get(_STORE)
        if known == store:
            return
        former = self.journal.sessions.all() if known is not None else []
        with self.journal.atomic():
            for begun in former:
                self.journal.sessions.ended(begun.op)
            self.journal.put(_STORE, store)
        for begun in former:
            _log.warning("path=%r outcome=not-abandoned reason=former-bucket", begun.path)

    def run_due(self, busy: Collection[Path], now: float) -> None:
        """Give one up, those of paths in `busy` aside. Denied that, its parts stay until the bucket's lifecycle rule ends
        them, and it is tried again now and then: a cost, not a danger, and nothing that the project waits for. Raises what
        concerns the whole bucket.
        """
        begun = self.next(busy, now)
        if begun is None:
            return
        try:
            self.transfer.abandon(begun)
        except AuthExpired:
            raise
        except (Stale, Transient) as exc:
            if isinstance(exc, Transient) and exc.offline:
                raise
            self._due = now + AGAIN_S
            return
        except Blocked as exc:
            self._refuse(begun, f"{exc}", exc.hint, now)
            return
        except Exception as exc:  # what nobody foresaw here would come again at every start
            _log.error("path=%r outcome=not-abandoned", begun.path, exc_info=exc)
            self._refuse(begun, f"unexpected {type(exc).__name__}", "the daemon's log has the details", now)
            return
        with self.journal.atomic():
            self.journal.sessions.ended(begun.op)
        self._refused.pop(begun.op, None)
        if not self._refused:
            self.warnings.pop(_WARNING, None)

    def next(self, busy: Collection[Path], now: float) -> BegunUpload | None:
        """The one whose turn it is; None: there is none to be given up now."""
        useless = self.journal.sessions.useless(busy) if now >= self._due else []
        return next((row for row in useless if self._refused.get(row.op, now) <= now), None)

    def _refuse(self, begun: BegunUpload, why: str, hint: str, now: float) -> None:
        self._refused[begun.op] = now + REFUSED_S
        self.warnings[_WARNING] = (f"parts of a large upload could not be removed: {why}", hint)
