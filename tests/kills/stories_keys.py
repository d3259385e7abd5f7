"""Stories of keys: the first ones, what is encrypted, who is added and removed.

What a story calls secret is encrypted when it has come to rest, to the epoch in force, and everybody on the list reads it with
two steps of age. So the bucket is read as those who hold keys read it: with what lies in it and their own identity, and
nothing of dorkyd's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dorkyd.api import calls
from dorkyd.core import members
from dorkyd.keys import KeyHome, OwnKey, new_identity, own_key
from tests.agefiles import HEADER, identities, opened
from tests.daemons import RealDaemon
from tests.kills.stories import _SMALL, _ask, _story
from tests.kills.world import World


@dataclass(slots=True)
class Team:
    """Of one world, which outlives its rounds."""

    world: World
    raw: Callable[..., dict[str, bytes]]
    """What lies in the bucket."""
    recovery: OwnKey
    covered: Callable[[str], bool] = lambda _path: False
    """Which of the round's files are encrypted at the end."""

    def read(self, below: str = "") -> dict[str, bytes]:
        """As `Place.read`, with the recovery key, which is on every list. What should be encrypted is found to be so."""
        found = self.raw(below)
        live = below == f"{self.world.d}/"
        keys = self.identities(self.recovery) if any(data.startswith(HEADER) for data in found.values()) else {}
        if live:
            for key, data in found.items():
                secret = self.covered(key.removeprefix(below))
                assert data.startswith(HEADER) == secret, (key, "encrypted" if secret else "plain")
            keys = {epoch: key for epoch, key in keys.items() if epoch == self.epoch()}
        return {key: self._plain(key, data, keys) for key, data in found.items()}

    @staticmethod
    def _plain(key: str, data: bytes, keys: dict[str, Any]) -> bytes:
        if not data.startswith(HEADER):
            return data
        plain = opened(data, keys)
        assert plain is not None, key
        return plain

    def documents(self) -> list[dict[str, Any]]:
        """The list, change by change."""
        found = self.raw(members.MEMBERS)
        return [json.loads(json.loads(found[key])["body"]) for key in sorted(found)]

    def epoch(self) -> str:
        """The one in force."""
        return str(self.documents()[-1]["epochs"][-1]["id"])

    def identities(self, own: OwnKey) -> dict[str, Any]:
        """Every epoch that somebody can open with anything that lies in the bucket."""
        return identities(self.raw(members.KEYS), own)


def _key(daemon: RealDaemon) -> OwnKey:
    home = KeyHome(daemon.home / "keys")
    return home.own() or home.keep(new_identity().encode())


def _team(world: World) -> Team:
    """This world's, without keys in the bucket yet."""
    team: Team | None = world.known.get("team")
    if team is None:
        team = world.known["team"] = Team(world, world.place.read, own_key(new_identity().encode()))
        world.place.read = team.read
    team.covered = lambda path: "secret" in path
    return team


def _founded(world: World) -> Team:
    """Both devices are members."""
    team = _team(world)
    if not team.raw(members.MEMBERS):
        _key(world.a)
        with world.a.client() as client:
            client.send(calls.begin_keys("p", "ann", team.recovery.share))
            made = client.send(calls.add_member("p", "ben", _key(world.mate).share)).value
        with world.mate.client() as client:
            client.send(calls.trust("p", made.fingerprint))
    return team


# --- the first keys ---------------------------------------------------------------------------------------------------


def _plain(world: World) -> None:
    _team(world)
    _key(world.a)
    world.a.start()
    world.write(world.a, "secret", "known in plain")
    world.write(world.a, "f", "f")
    world.a.sync()


def _first_keys(world: World) -> None:
    with world.talking() as client:
        client.send(calls.begin_keys("p", "ann", world.known["team"].recovery.share))
    with world.talking() as client:
        client.send(calls.encrypt("p", ["secret*"]))
    world.write(world.a, "secret too", "never in plain")


def _one_list(world: World) -> None:
    """Asking again made no second one, and both members read."""
    team: Team = world.known["team"]
    first, *more = team.documents()
    assert [member["name"] for member in first["members"]] == ["ann", "recovery"]
    assert [document["encrypt"] for document in more] == [["secret*"]]
    assert set(team.identities(_key(world.a))) >= {team.epoch()}


_story("the first keys", _plain, _first_keys, _first_keys, alone=True, check=_one_list)

# --- what is encrypted ------------------------------------------------------------------------------------------------


def _secret(world: World, daemon: RealDaemon, path: str, text: str | bytes) -> None:
    """With the bits that it arrives with everywhere."""
    world.write(daemon, path, text).chmod(0o600)


def _files(world: World) -> None:
    for name in ("secret", "secret gone", "secret moved"):
        _secret(world, world.a, name, name)
    _secret(world, world.a, "secret.bin", world.large("secret", world.known["kib"]))
    world.write(world.a, "f", "f")


def _in_plain(world: World) -> None:
    _founded(world).covered = lambda _path: False
    _files(world)
    assert world.rest()


def _encrypt(world: World) -> None:
    world.known["team"].covered = lambda path: "secret" in path
    with world.talking() as client:
        client.send(calls.encrypt("p", [f"/{world.d}/secret*"]))


_story("a pattern that encrypts", _in_plain, _encrypt, _encrypt, tune=_SMALL)


def _encrypted(world: World) -> None:
    _founded(world)
    with world.a.client() as client:
        client.send(calls.encrypt("p", [f"/{world.d}/secret*"]))
    _files(world)
    assert world.rest()


def _secrets_change(world: World) -> None:
    root = world.a.root / world.d
    world.write(world.a, "secret", "changed")
    (root / "secret gone").unlink()
    (root / "secret moved").rename(root / "secret moved too")
    _secret(world, world.mate, "secret theirs", "theirs")
    _secret(world, world.mate, "secret-theirs.bin", world.large("theirs", world.known["kib"]))
    world.mate.sync()
    world.nudge()
    world.until("theirs are here", (root / "secret-theirs.bin").exists)
    world.write(world.a, "secret.bin", world.large("changed", world.known["kib"] + 1))
    _ask(world, "GET", "secret-theirs.bin")


_story("secrets change", _encrypted, _secrets_change, tune=_SMALL)

# --- who may read -----------------------------------------------------------------------------------------------------


def _new_member(world: World) -> None:
    _encrypted(world)
    world.known["new"] = own_key(new_identity().encode())


def _add(world: World) -> None:
    with world.talking() as client:
        client.send(calls.add_member("p", f"new-{world.d}", world.known["new"].share))


def _reads_everything(world: World) -> None:
    """Whoever was added: every epoch, and what is secret."""
    team: Team = world.known["team"]
    keys = team.identities(world.known["new"])
    assert set(keys) >= {epoch["id"] for epoch in team.documents()[-1]["epochs"]}
    for data in team.raw(f"{world.d}/secret").values():
        assert opened(data, keys) is not None
    names = [member["name"] for member in team.documents()[-1]["members"]]
    assert names.count(f"new-{world.d}") == 1


_story("a member is added", _new_member, _add, _add, check=_reads_everything)


def _a_member(world: World) -> None:
    _new_member(world)
    with world.a.client() as client:
        client.send(calls.add_member("p", f"new-{world.d}", world.known["new"].share))
    world.known["before"] = len(world.known["team"].documents())


def _remove(world: World) -> None:
    with world.talking() as client:
        try:
            client.send(calls.remove_member("p", f"new-{world.d}"))
        except Exception as exc:  # the client's own kinds
            if getattr(exc, "code", "") != "no-such-member":
                raise  # else it was carried out before the kill


def _reads_nothing(world: World) -> None:
    """Whoever was removed: nothing of what lies there now; and it was done once."""
    team: Team = world.known["team"]
    keys = team.identities(world.known["new"])
    assert team.epoch() not in keys
    for key, data in team.raw(f"{world.d}/secret").items():
        assert opened(data, keys) is None, key
    assert len(team.documents()) == world.known["before"] + 1


_story("a member is removed", _a_member, _remove, _remove, tune=_SMALL, check=_reads_nothing)
