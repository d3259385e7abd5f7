"""Operations as plans: generators that yield what is to be done next, and are told how it went. No I/O over a network here.

A plan yields an `Ask` (send this) or a `Pause` (wait so long), gets the `Answer` back or has the `ApiError` thrown into it,
and returns the operation's result. So retries, resuming and waiting are written once, and a client of either kind only
carries out steps. Local files are read and written by the plans; the awaiting client advances a plan in a thread.
"""

from __future__ import annotations

import random
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar

from dorkyd.api.calls import ANSWER_S, Call, Query
from dorkyd.api.failures import ApiError, NotRunning
from dorkyd.api.messages import Answer as Message
from dorkyd.beside import Chunk

T = TypeVar("T")
M = TypeVar("M", bound=Message)

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 5.0


class Body(Protocol):
    """What is sent with a request."""

    @property
    def size(self) -> int | None:
        """Bytes; None: nobody knows before the end."""

    @property
    def repeatable(self) -> bool:
        """`chunks` may be called again, and gives the same."""

    def chunks(self) -> Iterator[bytes]:
        """All of it, from the beginning."""


class Sink(Protocol):
    """Where the body of an answer goes as it comes."""

    def begin(self, status: int, headers: Mapping[str, str]) -> None:
        """An answer that is no error has begun."""

    def write(self, data: Chunk) -> None:
        """Some of its body, in memory that stays as it is while anything refers to it."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Send one request."""

    method: str
    path: str
    """Percent-encoded."""
    query: Query = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    document: Mapping[str, Any] | None = None
    """A JSON body."""
    body: Body | None = None
    sink: Sink | None = None
    """None: the answer's body is read whole."""
    patience_s: float | None = ANSWER_S
    """How long to wait for anything to come; None: as long as it takes."""

    @property
    def repeatable(self) -> bool:
        """It can be sent again."""
        return self.body is None or self.body.repeatable


@dataclass(frozen=True, slots=True)
class Pause:
    """Do nothing for so long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: never an error, which is raised."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    """Empty when it went to a sink."""


@dataclass(frozen=True, slots=True)
class Done(Generic[T]):
    """A plan has ended."""

    value: T


Step = Ask | Pause
Plan = Generator[Step, Answer | None, T]


def advance(plan: Plan[T], outcome: Answer | ApiError | None) -> Step | Done[T]:
    """Tell a plan how its last step went (None: it is new, or was a pause), and get the next."""
    try:
        if isinstance(outcome, ApiError):
            return plan.throw(outcome)
        return plan.send(outcome)
    except StopIteration as ended:
        return Done(ended.value)


def once(ask: Ask) -> Plan[Answer]:
    """Send it, and do not send it again."""
    answer = yield ask
    assert answer is not None
    return answer


def call(what: Call[M]) -> Plan[M]:
    """A call that only reads, tried again like everything else here."""
    answer = yield from once(Ask(what.method, what.path, what.query, document=what.body, patience_s=what.patience_s))
    return what.answer.model_validate_json(answer.body)


class Patience:
    """How long one operation goes on trying. Used up as it is: make one for each operation."""

    def __init__(self, for_s: float) -> None:
        self._left_s = for_s
        """Of waiting; what the requests themselves take does not count."""
        self._tries = 0

    def next_pause(self, exc: ApiError) -> float:
        """How long to wait before the request is sent again. Raises `exc` when it is not to be."""
        passing = exc.retry_after_s is not None or (isinstance(exc, NotRunning) and self._comes_back(exc))
        wait = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * float(2**self._tries)) * random.uniform(0.7, 1.0)  # noqa: S311 - no secret
        wait = max(wait, exc.retry_after_s or 0.0)
        if not passing or wait > self._left_s:
            raise exc
        self._left_s -= wait
        self._tries += 1
        return wait

    def _comes_back(self, exc: ApiError) -> bool:
        """A daemon that was there a moment ago may be starting anew; one that never answered is not running."""
        return exc.code == "connection-lost" or self._tries > 0


def persistently(ask: Ask, patience: Patience) -> Plan[Answer]:
    """Send it until it is answered: again after a lost connection, and when the daemon says how soon.

    Only for what may arrive twice: it reads, or it carries an idempotency key.
    """
    while True:
        try:
            return (yield from once(ask))
        except ApiError as exc:
            if not ask.repeatable:
                raise
            wait = patience.next_pause(exc)
        yield Pause(wait)
