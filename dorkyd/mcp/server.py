"""The protocol: what each tool says of itself, errors as answers, and the process's life.

Hints (specification of the Model Context Protocol, tool annotations): *read only* changes nothing; *destructive* may
replace or take away what is there, though every such state can be restored; *idempotent*: the same call again changes
nothing more. The world is closed for all of them: one daemon and the team's bucket.
"""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp_types import ToolAnnotations

from dorkyd.api.failures import ApiError
from dorkyd.mcp.scope import Scope
from dorkyd.mcp.tools import Tools

P = ParamSpec("P")
R = TypeVar("R")

INSTRUCTIONS = """\
Files that a team keeps in sync through its own bucket: settings and secrets, data sets, binaries. What you put reaches every
teammate's folder. Get a file before you put it, and give its version as `replaces`; when that is refused somebody changed it
meanwhile: get it again, never put blindly. Values of secrets are masked; do not put a masked text back."""

LOOKING = ToolAnnotations(read_only_hint=True, open_world_hint=False)


def _changing(*, idempotent: bool) -> ToolAnnotations:
    return ToolAnnotations(
        read_only_hint=False, destructive_hint=True, idempotent_hint=idempotent, open_world_hint=False
    )


def server_of(scope: Scope, version: str, tools: Tools | None = None) -> MCPServer:
    """A server with the tools that the scope allows."""
    does = tools or Tools(scope)
    server: MCPServer[object] = MCPServer(
        name="dorky", title="dorkyd", instructions=INSTRUCTIONS, version=version, log_level="WARNING"
    )

    def add(name: str, title: str, tool: Callable[..., Awaitable[object]], annotations: ToolAnnotations) -> None:
        server.add_tool(_told(tool, ToolError), name=name, title=title, annotations=annotations)

    add("status", "Status of every project", does.status, LOOKING)
    add("list", "Files of a project", does.list_files, LOOKING)
    add("get", "Read a file", does.get, LOOKING)
    add("history", "States of a file", does.history, LOOKING)
    add("why", "Explain a path", does.why, LOOKING)
    add("conflicts", "Conflicts", does.conflicts, LOOKING)
    add("problems", "Problems", does.problems, LOOKING)
    if not scope.read_only:
        # The same put again names a version that is no longer there, and is refused.
        add("put", "Store a file", does.put, _changing(idempotent=True))
        # Without `at` the same restore again brings back what it had replaced.
        add("restore", "Restore a file or folder", does.restore, _changing(idempotent=False))
        add("resolve", "Settle a conflict", does.resolve, _changing(idempotent=False))
    server.resource(
        "dorky://{project}/{+path}", name="file", title="A text file of a project", description=does.read.__doc__
    )(_told(does.read, ResourceError))
    return server


def serve(scope: Scope, version: str) -> None:
    """Speak the protocol on standard input and output until the input ends."""
    server_of(scope, version).run("stdio")


def _told(tool: Callable[P, Awaitable[R]], kind: type[Exception]) -> Callable[P, Awaitable[R]]:
    """An error of the daemon's as an answer: what happened, what to do, and its code."""

    @functools.wraps(tool)
    async def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return await tool(*args, **kwargs)
        except ApiError as exc:
            raise kind("\n".join(part for part in (f"{exc} ({exc.code})", exc.hint) if part)) from exc

    return call
