"""The routes of the daemon's own log. What was done to files is in each project's `log`."""

from __future__ import annotations

from fastapi import APIRouter

from dorkyd.api.depending import Control
from dorkyd.api.description import PROBLEMS
from dorkyd.api.log_messages import LevelRequest, Logging
from dorkyd.control import DaemonControl

router = APIRouter(prefix="/v1", responses=PROBLEMS)


@router.get("/logging")
async def logging(control: Control) -> Logging:
    """Where the daemon's log goes, and how much of it is written."""
    return _logging(control)


@router.post("/logging")
async def set_level(body: LevelRequest, control: Control) -> Logging:
    """Write more of it, or less, until the daemon ends."""
    control.logs.set_level(body.level)
    return _logging(control)


def _logging(control: DaemonControl) -> Logging:
    return Logging.model_validate(control.logs)
