"""The setting `listen`: where the API is served over TCP, which is this machine's loopback and nothing else."""

from __future__ import annotations

import ipaddress
import re

from dorkyd.config_nodes import Table
from dorkyd.core.settings import Listen

_MUST = "`listen` must be ADDRESS:PORT with an address of this machine alone, such as 127.0.0.1:3000"
_FORM = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<name>[^\[\]:]+)):(?P<port>[0-9]{1,5})", re.ASCII)


def listen_of(table: Table) -> Listen | None:
    """None: it is not set. Raises `Configuration` for another network than the loopback.

    A name other than `localhost` is refused, whatever it means now: another resolver may tell another address.
    """
    if "listen" not in table.values:
        return None
    found = _FORM.fullmatch(table.text("listen") or "")
    if found is None or not 1 <= int(found["port"]) <= 65_535:
        raise table.wrong("listen", _MUST)
    host = found["six"] or found["name"]
    try:
        address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise table.wrong("listen", _MUST) from None
    if not address.is_loopback or (found["six"] is None) != (address.version == 4):
        said = f"{_MUST}: other machines must not reach it; let them come through ssh -L"
        raise table.wrong("listen", said)
    return Listen(str(address), int(found["port"]))
