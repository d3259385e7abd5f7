"""A process that answers as the daemon would, over a fake: what `up` starts and `stop` ends in tests."""

from __future__ import annotations

import os
from pathlib import Path

from dorkyd.api.server import ApiServer
from tests.api.fakes import FakeDaemon


def main() -> None:
    """Serve until `stop`."""
    daemon = FakeDaemon()
    server = ApiServer(daemon, str(Path(os.environ["DORKY_HOME"]) / "run" / "dorkyd.sock"), os.getuid())
    server.start()
    daemon.stopped.wait(60)
    server.stop()


if __name__ == "__main__":
    main()
