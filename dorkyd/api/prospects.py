"""The routes that look at a bucket before a folder is paired with it, and tell a teammate of one."""

from __future__ import annotations

from fastapi import APIRouter

from dorkyd.api.depending import Control
from dorkyd.api.description import PROBLEMS
from dorkyd.api.prospect_messages import Invitation, Prospect, ProspectRequest
from dorkyd.control_prospect import Wish

router = APIRouter(prefix="/v1", responses=PROBLEMS)


@router.post("/prospect")
def prospect(body: ProspectRequest, control: Control) -> Prospect:
    """What is in a bucket, and (`try_it`) what may be done there. Nothing is paired; what is tried is removed again."""
    wish = Wish(**body.model_dump(exclude={"try_it"}))
    return Prospect.model_validate(control.prospects.look(wish, try_it=body.try_it))


@router.get("/projects/{p}/invitation")
def invitation(p: str, control: Control) -> Invitation:
    """What a teammate needs to join: bucket, project and fingerprint."""
    return Invitation.model_validate(control.prospects.invitation(p))
