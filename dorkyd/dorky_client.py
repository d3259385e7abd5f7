"""Installed as the top-level module `dorky_client` too, the name by which the predecessor's programs import the client.

It lies in here because the repository's top level has no place for modules; `pyproject.toml` maps it (`force-include`, which
an editable install copies as well).
"""

from __future__ import annotations

from dorkyd.client import AsyncDorkyClient, DorkyClient

__all__ = ["AsyncDorkyClient", "DorkyClient"]
