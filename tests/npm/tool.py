"""The npm tool `dorky` as far as its traces go: what it leaves in a folder and in a bucket, byte for byte.

Written after reading version 4.1 (`bin/index.js`, `lib/helpers.js`); the tool itself is no dependency. Documents are
`JSON.stringify(value, null, 2)`, without a closing line end; a push's id is the beginning of an MD5 over the list of files.
"""

from __future__ import annotations

import hashlib
import json
import posixpath
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Nobody's: a test looks for the second one where no secret may be.
KEY_ID = "AKIAFAKEFAKEFAKE7KQX"
SECRET = "npm-tools-secret-for-tests-only/abcdefgh"


@dataclass
class NpmTool:
    """Run in `root`. `put` and `delete` are its requests to the bucket, by whole key."""

    root: Path
    put: Callable[[str, bytes], None]
    delete: Callable[[str], None] = field(default=lambda _key: None)
    clock: Iterator[int] = field(default_factory=lambda: iter(range(10_000)))

    def init(self, bucket: str = "acme", storage: str = "aws") -> None:
        """`dorky --init`."""
        (self.root / ".dorky").mkdir(parents=True)
        self._write("metadata.json", {"stage-1-files": {}, "uploaded-files": {}})
        self._write("history.json", [])
        (self.root / ".dorkyignore").write_text("")
        if storage == "aws":
            account = {"storage": "aws", "accessKey": KEY_ID, "secretKey": SECRET, "awsRegion": "us-east-1"}
            self._write("credentials.json", {**account, "bucket": bucket})
        else:
            token = {"access_token": SECRET, "refresh_token": SECRET, "expiry_date": 1}
            self._write("credentials.json", {"storage": storage, **token})

    def add(self, *names: str) -> None:
        """`dorky --add`."""
        meta = self._read("metadata.json")
        for name in names:
            content = (self.root / name).read_bytes()
            hashed = hashlib.md5(content, usedforsecurity=False).hexdigest()
            meta["stage-1-files"][name] = {"mime-type": "application/octet-stream", "hash": hashed}
        self._write("metadata.json", meta)

    def remove(self, *names: str) -> None:
        """`dorky --rm`."""
        meta = self._read("metadata.json")
        for name in names:
            del meta["stage-1-files"][name]
        self._write("metadata.json", meta)

    def push(self) -> str:
        """`dorky --push`; the id it prints."""
        meta, history = self._read("metadata.json"), self._read("history.json")
        staged, uploaded = meta["stage-1-files"], meta["uploaded-files"]
        text = json.dumps(staged, separators=(",", ":"), ensure_ascii=False)
        id_ = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()[:8]
        for name, told in staged.items():
            if uploaded.get(name, {}).get("hash") != told["hash"]:
                self.put(posixpath.join(self.root.name, posixpath.normpath(name)), (self.root / name).read_bytes())
        for name in uploaded:
            if name not in staged:
                self.delete(posixpath.join(self.root.name, name))
        meta["uploaded-files"] = dict(staged)
        self._write("metadata.json", meta)
        history.append({"id": id_, "timestamp": f"2026-04-22T18:30:{next(self.clock):02}.819Z", "files": dict(staged)})
        self._write("history.json", history)
        for name in staged:
            key = posixpath.join(self.root.name, ".dorky-history", id_, posixpath.normpath(name))
            self.put(key, (self.root / name).read_bytes())
        return id_

    def pull(self, name: str, content: bytes) -> None:
        """`dorky --pull` of one object: its bytes are read as text."""
        (self.root / name).write_text(content.decode("utf-8", "replace"), newline="")

    def texts(self) -> list[str]:
        """Its three documents."""
        names = ("metadata.json", "history.json", "credentials.json")
        return [(self.root / ".dorky" / name).read_text() for name in names]

    def _read(self, name: str) -> Any:
        return json.loads((self.root / ".dorky" / name).read_text())

    def _write(self, name: str, document: Any) -> None:
        (self.root / ".dorky" / name).write_text(json.dumps(document, indent=2, ensure_ascii=False))


def in_directory(root: Path, bucket: Path) -> NpmTool:
    """Its bucket is a directory."""

    def put(key: str, content: bytes) -> None:
        (bucket / key).parent.mkdir(parents=True, exist_ok=True)
        (bucket / key).write_bytes(content)

    return NpmTool(root, put, lambda key: (bucket / key).unlink())


def tree_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Every file below, with its bytes and permission bits."""
    return {
        str(file.relative_to(folder)): (file.read_bytes(), file.stat().st_mode & 0o7777)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@contextmanager
def nothing_changes(*folders: Path) -> Iterator[None]:
    """Fail when a file below was changed, made or removed."""
    before = [tree_of(folder) for folder in folders]
    yield
    assert [tree_of(folder) for folder in folders] == before
