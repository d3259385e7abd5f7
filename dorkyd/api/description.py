"""The OpenAPI document, where the framework's own would not tell the truth."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from dorkyd.api.messages import Problem
from dorkyd.api.problems import MEDIA_TYPE

PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {"model": Problem, "description": "Refused: a problem document says why, and what to do."},
    "5XX": {
        "model": Problem,
        "description": "Not done. With 503, `Retry-After` says in how many seconds to try again.",
    },
}
"""What every route may answer beside its own."""


class Described(FastAPI):
    """An application whose errors are problem documents, in its description as well."""

    def openapi(self) -> dict[str, Any]:
        """The document; made on first use."""
        if self.openapi_schema is None:
            document = super().openapi()
            for operation in (each for methods in document["paths"].values() for each in methods.values()):
                for code in PROBLEMS:
                    # The framework knows one media type for a whole route; an error has another.
                    content = operation["responses"][str(code)]["content"]
                    ((_, told),) = content.items()
                    operation["responses"][str(code)]["content"] = {MEDIA_TYPE: told}
        assert self.openapi_schema is not None
        return self.openapi_schema
