"""What of a folder is better not synced, by the names in it: suggestions for a new project's `.dorkyignore`.

Only what a program makes again by itself, and what has a name that means nothing else. A person decides; what is built in
(`dorkyd.core.ignore`) need not be suggested.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dorkyd.core.model import Path
from dorkyd.core.paths import name, parent

FOLDERS: Mapping[str, tuple[str, frozenset[str]]] = {
    # The folder's name: who makes it, and the files one of which must lie beside it; none: the name is enough.
    "target": ("Rust and Maven build there", frozenset({"Cargo.toml", "pom.xml"})),
    "build": (
        "a build's output",
        frozenset({"build.gradle", "build.gradle.kts", "CMakeLists.txt", "setup.py", "package.json"}),
    ),
    "dist": ("a build's output", frozenset({"package.json", "pyproject.toml", "setup.py"})),
    "vendor": ("dependencies that a lock file names", frozenset({"composer.json", "go.mod", "Gemfile"})),
    "coverage": ("a test run's report", frozenset({"package.json"})),
    "venv": ("a Python environment", frozenset()),
    ".tox": ("Python environments of tox", frozenset()),
    ".nox": ("Python environments of nox", frozenset()),
    ".mypy_cache": ("a cache of mypy", frozenset()),
    ".pytest_cache": ("a cache of pytest", frozenset()),
    ".ruff_cache": ("a cache of ruff", frozenset()),
    ".ipynb_checkpoints": ("what Jupyter keeps by itself", frozenset()),
    ".gradle": ("a cache of Gradle", frozenset()),
    ".terraform": ("providers that Terraform fetches", frozenset()),
    ".next": ("a build of Next.js", frozenset()),
    ".nuxt": ("a build of Nuxt", frozenset()),
    ".svelte-kit": ("a build of SvelteKit", frozenset()),
    ".parcel-cache": ("a cache of Parcel", frozenset()),
    ".turbo": ("a cache of Turborepo", frozenset()),
    ".cache": ("a cache", frozenset()),
    ".dart_tool": ("a build of Dart", frozenset()),
    ".idea": ("an editor's settings for one machine", frozenset()),
}
ENDINGS: Mapping[str, str] = {
    ".log": "logs",
    ".pyc": "compiled Python",
    ".o": "compiled objects",
    ".class": "compiled Java",
    ".tmp": "temporary files",
    ".pid": "process numbers",
}


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One line for `.dorkyignore`."""

    pattern: str
    why: str
    files: int
    bytes: int


def suggestions(files: Iterable[tuple[Path, int]]) -> list[Suggestion]:
    """For these files and their sizes, the ones that save most first."""
    listed = list(files)
    beside: dict[str, set[str]] = {}
    """The files of each folder; of the root under an empty name."""
    for path, _ in listed:
        beside.setdefault(parent(path) or "", set()).add(name(path))
    found: dict[str, tuple[str, int, int]] = {}
    for path, size in listed:
        told = _of_folder(path, beside) or _of_ending(path)
        if told is not None:
            pattern, why = told
            _, count, total = found.get(pattern, (why, 0, 0))
            found[pattern] = (why, count + 1, total + size)
    made = [Suggestion(pattern, *of) for pattern, of in found.items()]
    return sorted(made, key=lambda one: (-one.bytes, one.pattern))


def _of_folder(path: Path, beside: Mapping[str, set[str]]) -> tuple[str, str] | None:
    """The outermost folder above it that is one of those."""
    parts = path.split("/")
    for depth, part in enumerate(parts[:-1]):
        known = FOLDERS.get(part)
        if known is None:
            continue
        why, wanted = known
        above = "/".join(parts[:depth])
        if not wanted:
            return f"{part}/", why
        if wanted & beside.get(above, set()):
            # Anchored: elsewhere a folder of this name may be somebody's work.
            return "/" + "/".join([*parts[:depth], part]) + "/", why
    return None


def _of_ending(path: Path) -> tuple[str, str] | None:
    last = name(path)
    dot = last.rfind(".")
    why = ENDINGS.get(last[dot:]) if dot > 0 else None
    return None if why is None else (f"*{last[dot:]}", why)
