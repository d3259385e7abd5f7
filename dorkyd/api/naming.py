"""How a route takes an artifact's path out of a target: every character of it.

Starlette's own `path` is `.*` before a `$`: it takes no line break, and silently drops one at the end, so that `a%0A` would
be the artifact `a`. https://docs.python.org/3/library/re.html#regular-expression-syntax
"""

from __future__ import annotations

from typing import ClassVar

from starlette.convertors import Convertor, register_url_convertor


class _Text(Convertor[str]):
    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


class WholePath(_Text):
    """All that is left of the target."""

    regex: ClassVar[str] = r"(?s:.*)"


class PathBefore(_Text):
    """All before the last word, which ends the target: a line break behind it makes it a part of a name."""

    regex: ClassVar[str] = r"(?s:.*)(?=/[a-z]+\Z)"


WHOLE, BEFORE = "artifact", "artifact_of"
"""Their names in routes."""
register_url_convertor(WHOLE, WholePath())
register_url_convertor(BEFORE, PathBefore())
