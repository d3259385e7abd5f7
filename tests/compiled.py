"""Compiles the tests once, before the processes begin that run them: each of them would compile all, at the same time.

Only what those find again is worth it: bytecode is written unless PYTHONDONTWRITEBYTECODE says not to.
"""

from __future__ import annotations

import compileall
import contextlib
import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest


class _Compiled(Exception):
    """Far enough."""


class _Unexecuted(ModuleType):
    """A module that ends its loading where its code would run in it."""

    @property
    def __dict__(self) -> dict[str, Any]:  # type: ignore[override]
        raise _Compiled


def pytest_sessionstart(session: pytest.Session) -> None:
    """In the process that starts the others."""
    config = session.config
    if sys.dont_write_bytecode or not getattr(config.option, "numprocesses", None) or hasattr(config, "workerinput"):
        return
    tests = Path(__file__).parent
    for folder in (tests.parent / "dorkyd", tests):
        # Test files have bytecode of pytest's own.
        compileall.compile_dir(folder, quiet=2, rx=_Not(config.getini("python_files")))
    hook = config.pluginmanager.rewrite_hook
    for file in sorted({*tests.rglob("test_*.py"), *tests.rglob("conftest.py")}):
        name = ".".join(file.relative_to(tests.parent).with_suffix("").parts)
        spec = importlib.util.spec_from_file_location(name, file, loader=hook)
        assert spec is not None
        module = _Unexecuted(name)
        module.__spec__ = spec
        with contextlib.suppress(_Compiled, SyntaxError):  # whoever collects it says what is wrong with it
            hook.exec_module(module)


class _Not:
    """What `compileall` leaves out: it asks for `search`."""

    def __init__(self, patterns: list[str]) -> None:
        self._patterns = patterns

    def search(self, file: str) -> bool:
        """Whether pytest compiles it."""
        return os.path.basename(file) == "conftest.py" or any(Path(file).match(one) for one in self._patterns)
