"""What routes are handed: the daemon, or the project that their target names."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Request

from dorkyd.control import DaemonControl, ProjectControl


async def _control(request: Request) -> DaemonControl:
    control: DaemonControl = request.app.state.control
    return control


Control = Annotated[DaemonControl, Depends(_control)]


async def _project(p: str, control: Control) -> ProjectControl:
    return control.project(p)


Project = Annotated[ProjectControl, Depends(_project)]
