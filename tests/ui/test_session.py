"""Who has a part in the page: once by the token, then by cookie and key."""

from __future__ import annotations

from dorkyd.ui.session import Session


def test_the_token_is_good_once() -> None:
    """The first who has it gets in; a wrong one spends nothing."""
    session = Session(80)
    assert not session.spend("x")
    assert not session.spent
    assert session.spend(session.token)
    assert session.spent
    assert not session.spend(session.token)


def test_secrets_are_of_their_own() -> None:
    """None stands for another, none is short, none is shown."""
    session = Session(80)
    secrets = {session.token, session.cookie, session.key, Session(80).token}
    assert len(secrets) == 4
    assert all(len(secret) >= 43 for secret in secrets)
    assert not [secret for secret in secrets if secret in repr(session)]


def test_the_cookie() -> None:
    """It is known among others, by this port's name alone; scripts and other sites do not get it."""
    session = Session(80)
    header = session.set_cookie()
    assert {"HttpOnly", "SameSite=Strict", "Path=/"} <= {part.strip() for part in header.split(";")}
    mine = header.partition(";")[0]
    assert session.knows(f"theme=dark; {mine}")
    for wrong in (
        None,
        "",
        "a=b",
        f"dorky-ui-81={session.cookie}",
        f"{mine}x",
        "dorky-ui-80=",
        "\0;;=",
        "dorky-ui-80=é",
    ):
        assert not session.knows(wrong), wrong


def test_the_key() -> None:
    """Exactly it."""
    session = Session(80)
    assert session.has_key(session.key)
    assert not [wrong for wrong in (None, "", session.token, session.key + "x", "é") if session.has_key(wrong)]


def test_the_cookie_among_those_of_others() -> None:
    """Whatever other servers of this machine gave the browser for the same host."""
    session = Session(80)
    mine = session.set_cookie().partition(";")[0]
    for other in ('prefs={"theme": "dark"}', "x=a b, c", "flag", 'x="', "n\xe4me=\xff", "dorky-ui-80=another"):
        assert session.knows(f"{other}; {mine}"), other
        assert session.knows(f"{mine}; {other}"), other
