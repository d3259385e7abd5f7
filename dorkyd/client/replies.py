"""What single calls answer, however they were sent."""

from __future__ import annotations

from typing import Generic, TypeVar

from dorkyd.api import messages as m

T = TypeVar("T", bound=m.Answer)


class Reply(Generic[T]):
    """An answer: the body as it came, and the value it stands for (parsed when asked for)."""

    __slots__ = ("_answer", "body")

    def __init__(self, body: bytes, answer: type[T]) -> None:
        self.body = body
        self._answer = answer

    @property
    def value(self) -> T:
        """The body as its model."""
        return self._answer.model_validate_json(self.body)


def data_of(line: str) -> bytes:
    """The JSON of one line of either kind of stream; empty for lines that carry none."""
    if line.startswith("{"):
        return line.encode()
    return line[len("data: ") :].encode() if line.startswith("data: ") else b""
