"""`python -m tests.gcs --port N`: the strict server as a process."""

from __future__ import annotations

import argparse

from tests.gcs.server import GcsServer

parser = argparse.ArgumentParser()
parser.add_argument("--port", type=int, required=True)
parser.add_argument("--rewrite-bytes", type=int, default=4 * 1024 * 1024)
arguments = parser.parse_args()
GcsServer(arguments.port, rewrite_bytes=arguments.rewrite_bytes).run()
