"""Downloads that are about to begin: good once, and not for long."""

from __future__ import annotations

from http.client import HTTPConnection, HTTPResponse
from typing import cast

from dorkyd.ui.tickets import MOST_TICKETS, TICKET_S, Held, Tickets


class Closable:
    """Stands for a connection, or an answer."""

    closed = False

    def close(self) -> None:
        self.closed = True


def held() -> tuple[Held, Closable]:
    """One, and what tells whether it was let go."""
    connection = Closable()
    return Held(cast("HTTPConnection", connection), cast("HTTPResponse", Closable()), "f"), connection


def test_it_is_good_once() -> None:
    """Whoever takes it has it; a name that is none leads nowhere."""
    tickets = Tickets()
    one, connection = held()
    name = tickets.put(one)
    assert tickets.take("nothing") is None
    assert tickets.take(name) is one
    assert tickets.take(name) is None
    assert not connection.closed


def test_nobody_is_waited_for() -> None:
    """After a while the daemon is let go, without anybody asking for anything; and at the end all are."""
    now = [0.0]
    tickets = Tickets(lambda: now[0])
    one, connection = held()
    name = tickets.put(one)
    tickets.sweep()
    assert not connection.closed
    now[0] = TICKET_S + 1
    tickets.sweep()
    assert connection.closed
    assert tickets.take(name) is None
    other, still = held()
    tickets.put(other)
    tickets.sweep(all_=True)
    assert still.closed


def test_few_are_held() -> None:
    """However many are asked for; the oldest are let go."""
    tickets = Tickets()
    ours = [held() for _ in range(2 * MOST_TICKETS)]
    names = [tickets.put(one) for one, _ in ours]
    assert [connection.closed for _, connection in ours] == [True] * MOST_TICKETS + [False] * MOST_TICKETS
    assert tickets.take(names[0]) is None
    assert tickets.take(names[-1]) is ours[-1][0]
