"""Print the OpenAPI document: `python -m dorkyd.api > docs/openapi.json` writes the one that is checked in."""

from __future__ import annotations

import json
import sys

from dorkyd import __version__
from dorkyd.api.routes import described

if __name__ == "__main__":
    json.dump(described(__version__).openapi(), sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")
