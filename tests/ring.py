"""A keyring for tests, in the file that `DORKY_TEST_RING` names: what a desktop's would keep. Selected as keyrings are, by
`PYTHON_KEYRING_BACKEND=tests.ring.FileRing`.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

from keyring.backend import KeyringBackend
from keyring.errors import PasswordDeleteError


class FileRing(KeyringBackend):
    """See the module."""

    priority = 1

    def get_password(self, service: str, username: str) -> str | None:
        """As keyring's."""
        return self._kept().get(f"{service} {username}")

    def set_password(self, service: str, username: str, password: str) -> None:
        """As keyring's."""
        self._file.write_text(json.dumps({**self._kept(), f"{service} {username}": password}))

    def delete_password(self, service: str, username: str) -> None:
        """As keyring's."""
        kept = self._kept()
        if kept.pop(f"{service} {username}", None) is None:
            raise PasswordDeleteError
        self._file.write_text(json.dumps(kept))

    @property
    def _file(self) -> Path:
        return Path(os.environ["DORKY_TEST_RING"])

    def _kept(self) -> dict[str, str]:
        return dict(json.loads(self._file.read_text())) if self._file.exists() else {}
