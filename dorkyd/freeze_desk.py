"""A project's freeze for clients of the API. Every method may be called from any thread (`dorkyd.freezing` is the engine's)."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar, cast

from dorkyd.core.report import Freeze, Thawed
from dorkyd.core.settings import Mode
from dorkyd.engine import Engine
from dorkyd.errors import Refused, Transient

T = TypeVar("T")

ANSWER_S = 60.0
"""How long the engine's thread may take to answer."""
TOLD_S = 20.0
"""How long a release waits to be told of before it is asked for again."""
RETRY_S = 1.0
_TICK_S = 0.05


@dataclass(frozen=True, slots=True)
class FreezeDesk:
    """See the module."""

    engine: Engine

    def freeze(self, name: str, holder: str, *, lease_s: float, limit_s: float) -> Freeze:
        """As `FreezeControl.freeze`."""
        project = self.engine.project
        if project.mode not in {Mode.TWO_WAY, Mode.PUSH}:
            what = f"{project.name} has mode {project.mode.value}, in which nothing leaves by itself"
            raise Refused(what, code="mode", hint="write without freezing it")
        return self._of_engine(lambda: self.engine.ready().freezing.freeze(name, holder, lease_s, limit_s))

    def renew(self, name: str) -> Freeze:
        """As `FreezeControl.renew`, also while the bucket may not be written: a pause, a halt or an outage ends no freeze whose
        holder lives.
        """
        return self._of_engine(lambda: self._renewed(name))

    def release(self, name: str | None) -> Thawed:
        """As `FreezeControl.release`."""
        deadline = time.monotonic() + TOLD_S
        if name is None:
            frozen = self._of_engine(lambda: self.engine.ready().freezing.frozen)
            name = frozen.name if frozen is not None else None
        let_go = lambda: self.engine.ready().freezing.release(name)
        while True:
            done = self._of_engine(let_go)
            if done is not None:
                return done
            if time.monotonic() > deadline:
                raise Transient(
                    "it is released, and some of it is still on its way",
                    code="not-told-yet",
                    hint="it goes on by itself",
                    retry_after_s=RETRY_S,
                )
            time.sleep(_TICK_S)

    def _renewed(self, name: str) -> Freeze:
        opened = self.engine.opened
        if opened is None:
            project = self.engine.project.name
            raise Transient(f"the project {project} is being opened", code="not-open", retry_after_s=RETRY_S)
        return opened.freezing.renew(name)

    def _of_engine(self, request: Callable[[], T]) -> T:
        try:
            return cast("T", self.engine.call(request).result(timeout=ANSWER_S))
        except TimeoutError as exc:
            what = "the engine is busy and has not answered"
            raise Transient(what, code="busy", hint="try again", retry_after_s=RETRY_S) from exc
