"""Telling systemd how the daemon is (sd_notify(3)): one datagram to the socket it named in the environment.

Best effort by nature: where nobody listens nothing is sent, and a socket that fails never disturbs the daemon. What
systemd misses it answers itself, by the watchdog or the start's time limit.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Mapping

logger = logging.getLogger(__name__)


class Notifier:
    """The service manager's ear. Every method may be called from any thread, and none raises.

    `environment` is what the process was started with. Without NOTIFY_SOCKET every method does nothing.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        name = environment.get("NOTIFY_SOCKET", "")
        # sd_notify(3): a path, or `@` for a name in Linux's abstract namespace, spelled with a leading NUL.
        self._address = "\0" + name[1:] if name.startswith("@") else name
        self.watchdog_interval_s = _watchdog_interval_s(environment) if name else None
        """Call `watchdog` at least this often, seconds: half of what systemd waits. None: it does not watch us."""

    def ready(self) -> None:
        """Started, or done reloading."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Reading the configuration again; `ready` ends it."""
        # MONOTONIC_USEC is wanted by Type=notify-reload, and must be CLOCK_MONOTONIC's.
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        """The end has begun."""
        self._send("STOPPING=1")

    def watchdog(self) -> None:
        """Still alive."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`. Line breaks become spaces: each line would be an assignment of its own."""
        self._send("STATUS=" + " ".join(text.split()))

    def _send(self, message: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
                # A full queue must not hold the daemon up.
                sock.setblocking(False)
                sock.sendto(message.encode(errors="replace"), self._address)
        except (OSError, ValueError) as exc:  # ValueError: a NUL inside the path
            logger.debug("systemd was not told %s: %s", message.partition("=")[0], exc)


def _watchdog_interval_s(environment: Mapping[str, str]) -> float | None:
    """sd_watchdog_enabled(3): meant for us when WATCHDOG_PID is ours or missing; every half of the time is advised."""
    try:
        usec = int(environment.get("WATCHDOG_USEC", "0"))
        pid = int(environment.get("WATCHDOG_PID", os.getpid()))
    except ValueError:
        logger.debug("WATCHDOG_USEC or WATCHDOG_PID is no number")
        return None
    return usec / 2e6 if usec > 0 and pid == os.getpid() else None
