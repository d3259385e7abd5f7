r"""The table: what to do about one path, from its three sides alone.

    local \\ remote | same as base | edited   | gone
    ---------------+--------------+----------+---------------------------
    same           | nothing      | Download | DeleteLocal
    edited         | Upload       | KeepBoth | Upload (must not exist)
    gone           | DeleteRemote | Download | Forget

Rules that hold throughout:

* Equal content first: whatever happened on the way, two sides that hold the same bytes agree (`Adopt`, no bytes move).
* Without a base, present reads as edited and absent as same.
* An edit beats a deletion.
* Permission bits are a second field with a three-way rule of their own (`merged_mode`); they never move bytes.
* Times are carried, never compared.

The caller vouches for what it passes: an absent side was *proven* absent, a present one was looked at. Where the object
is known from a listing alone the answer may be `Look`, where only its bytes can tell, `Fetch`; both are asked for only
when the decision depends on the answer.
"""

from __future__ import annotations

from dorkyd.core.model import (
    Action,
    Adopt,
    Base,
    DeleteLocal,
    DeleteRemote,
    Digest,
    Download,
    Fetch,
    Forget,
    KeepBoth,
    Local,
    Look,
    PatchMode,
    Path,
    Remote,
    SetMode,
    Upload,
)


def reconcile(path: Path, base: Base | None, local: Local | None, remote: Remote | None) -> Action | None:
    """Decide one path. None for a side means it is proven absent (base: the sides never agreed). None as the answer
    means that all three agree already.
    """
    action = _decide(path, base, local, remote)
    if remote is not None and remote.proved and _rests_on_bits(action, base):
        return Look(path)
    return action


def _rests_on_bits(action: Action | None, base: Base | None) -> bool:
    """The object's permission bits would go into what happens. Of a `proved` object they are not known; base has the
    file's own then, and a file whose bits changed since wins with them.
    """
    match action:
        case Download() | KeepBoth() | SetMode():
            return True
        case Upload():
            return base is None or action.local.mode == base.mode
        case _:
            return False


def _decide(path: Path, base: Base | None, local: Local | None, remote: Remote | None) -> Action | None:
    if remote is None:
        return _without_remote(path, base, local)

    content = content_of(remote, base)
    if content is None:
        return _ask(path, base, local, remote)
    if base is not None and _metadata_may_differ(base, remote):
        return Look(path)

    if local is None:
        if base is not None and content == base.digest:
            return DeleteRemote(path, replaces=remote.version, base=base)
        return Download(path, remote, replaces=None, mode=_mode_alone(base, remote))
    if local.digest == content:
        return _agree(path, base, local, remote)
    if base is not None and content == base.digest:
        return Upload(path, local, replaces=remote, mode=merged_mode(base, local, remote))
    mode = merged_mode(base, local, remote)
    if base is not None and local.digest == base.digest:
        return Download(path, remote, replaces=local, mode=mode)
    return KeepBoth(path, local, remote, mode=_mode_alone(base, remote))


def content_of(remote: Remote, base: Base | None) -> Digest | None:
    """The digest of what the object holds, by its own word or because it is the state base was made from."""
    if remote.digest is not None:
        return remote.digest
    if base is not None and base.version is not None and base.version == remote.version:
        return base.digest
    return None


def merged_mode(base: Base | None, local: Local, remote: Remote) -> int:
    """The permission bits both sides shall have. A side that changed alone wins; changed on both, or never agreed on,
    the object's win; an object that does not say reads as base.
    """
    agreed = base.mode if base is not None else None
    theirs = remote.mode if remote.mode is not None else agreed
    if theirs is None:
        return local.mode
    if agreed is not None and theirs == agreed:
        return local.mode
    return theirs


def _mode_alone(base: Base | None, remote: Remote) -> int | None:
    """The bits of a file that gets the object's content and whose own bits do not count."""
    if remote.mode is not None:
        return remote.mode
    return base.mode if base is not None else None


def _without_remote(path: Path, base: Base | None, local: Local | None) -> Action | None:
    if local is None:
        return Forget(path) if base is not None else None
    if base is not None and local.digest == base.digest:
        return DeleteLocal(path, replaces=local, base=base)
    return Upload(path, local, replaces=None, mode=local.mode)


def _ask(path: Path, base: Base | None, local: Local | None, remote: Remote) -> Action:
    """The object's content is unknown. One HEAD is worth it where metadata could spare the body: the file here may be
    equal, or the change may be one of metadata alone.
    """
    if not remote.looked and (base is not None or (local is not None and local.size == remote.size)):
        return Look(path)
    return Fetch(path, remote)


def _metadata_may_differ(base: Base, remote: Remote) -> bool:
    """A self-copy on S3 changes metadata and LastModified but keeps the ETag. Unknown matches anything."""
    if remote.looked or base.version != remote.version:
        return False
    return base.modified is not None and remote.modified is not None and base.modified != remote.modified


def _agree(path: Path, base: Base | None, local: Local, remote: Remote) -> Action | None:
    """Both hold the same bytes: settle the permission bits, and let base know."""
    mode = merged_mode(base, local, remote)
    if local.mode != mode:
        return SetMode(path, local, remote, mode)
    if remote.mode is not None and remote.mode != mode:
        return PatchMode(path, local, remote, mode)
    if remote.mode is None and base is not None and base.mode is not None and base.mode != mode:
        return PatchMode(path, local, remote, mode)
    settled = (
        base is not None
        and base.digest == local.digest
        and base.version == remote.version
        and base.mode == mode
        and (remote.modified is None or base.modified == remote.modified)
    )
    return None if settled else Adopt(path, local, remote, mode)
