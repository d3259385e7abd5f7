"""Every exception of dorkyd, sorted by what must happen next.

    DorkyError
    |-- Stale            look again: the world is no longer what was looked at. Never shown to a person.
    |   `-- SessionGone      the store does not know the upload (any more): it ended, or was removed
    |-- Transient        wait, then try again: the network, a busy store, a server restarting.
    |   `-- RateLimited  the store asked for fewer requests
    `-- Blocked          a person must act; `hint` names the command to run or the thing to change
        |-- Configuration    the configuration is wrong (exit code 78)
        |-- Denied           the store refuses this identity this action (exit code 8)
        |-- AuthExpired      credentials are missing, wrong or expired (exit code 8)
        |-- Integrity        bytes are not what their digest says (exit code 9)
        |-- UnsafeStore      the store ignores a condition that safety rests on (exit code 7)
        |-- PathProblem      one path cannot sync; others go on. Carries `path` and `code`
        |   `-- Unsupported  this bucket or file system cannot hold it
        |-- DiskFull         no space left where we must write
        |-- Busy             somebody else holds it: a second daemon, a lock
        |-- NewerSchema      the journal was written by a newer dorkyd
        `-- Refused          a request that makes no sense (exit code 2)

Foreign errors are converted at the adapter's edge, `from exc`; what is not known there is raised on. A message never
holds file contents, credentials or signed URLs.
"""

from __future__ import annotations


class DorkyError(Exception):
    """The root. `code` is stable for programs; `hint` says what to do and may be empty."""

    code = "error"

    def __init__(self, message: str, *, hint: str = "", code: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint
        if code is not None:
            self.code = code


class Stale(DorkyError):
    """A precondition no longer holds: mark the path dirty and look again."""

    code = "stale"


class SessionGone(Stale):
    """The store does not know the upload in several requests (any more): it ended as intended, or was removed."""

    code = "session-gone"


class Transient(DorkyError):
    """Will pass by itself. `retry_after_s` is the least wait the other side asked for, None when it said nothing.

    `offline` tells trouble that concerns the whole bucket (no connection) from trouble of one request.
    """

    code = "temporary"

    def __init__(
        self,
        message: str,
        *,
        hint: str = "",
        code: str | None = None,
        retry_after_s: float | None = None,
        offline: bool = False,
    ) -> None:
        super().__init__(message, hint=hint, code=code)
        self.retry_after_s = retry_after_s
        self.offline = offline


class RateLimited(Transient):
    """The store asked for fewer requests (503 SlowDown, 429)."""

    code = "rate-limited"


class Blocked(DorkyError):
    """A person must act."""

    code = "blocked"


class Configuration(Blocked):
    """The configuration is wrong: what is wrong and what would be right, with the file and line."""

    code = "configuration"


class Denied(Blocked):
    """The store refuses this identity this action. For a look it means *unknown*, never *missing*."""

    code = "denied"


class AuthExpired(Blocked):
    """Credentials are missing, wrong or expired."""

    code = "auth"


class Integrity(Blocked):
    """Bytes are not what their digest says."""

    code = "integrity"


class UnsafeStore(Blocked):
    """The store ignores a conditional header."""

    code = "unsafe-store"


class PathProblem(Blocked):
    """One path cannot sync. `code` is the problem's stable word."""

    code = "path"

    def __init__(self, path: str, message: str, *, code: str, hint: str = "") -> None:
        super().__init__(message, hint=hint, code=code)
        self.path = path


class Unsupported(PathProblem):
    """This bucket or file system cannot hold the path."""


class DiskFull(Blocked):
    """No space left where we must write."""

    code = "disk-full"


class Busy(Blocked):
    """Somebody else holds it."""

    code = "busy"


class NewerSchema(Blocked):
    """The journal was written by a newer dorkyd."""

    code = "newer-schema"


class Refused(Blocked):
    """A request that makes no sense."""

    code = "refused"
