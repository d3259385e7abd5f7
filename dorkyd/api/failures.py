"""What can go wrong with a call, as the client raises it. A kind is decided by what must happen next.

    ApiError
    |-- NotRunning       no daemon answers on the socket
    |-- NotFound         no such project, path, conflict, trash item or route
    |-- BadRequest       the request makes no sense
    |-- BadConfiguration the configuration is wrong, or would be
    |-- NotAllowed       credentials or permission at the store
    |-- GuardRefused     a safety guard said no
    |-- Conflict         not in this state of the project, the path or the object
    |-- Temporary        wait and try again; `retry_after_s`
    |-- BadBytes         bytes are not what their digest says
    `-- Failed           anything else a person must look at

The server names the kind in the problem document's `type`; this table is what both sides share. It imports nothing
heavy, so that a command line can name these classes without paying for an HTTP client.
"""

from __future__ import annotations

TYPE_PREFIX = "urn:dorky:problem:"


class ApiError(Exception):
    """The root. The message says what happened; `code` is stable for programs."""

    def __init__(
        self,
        message: str,
        *,
        code: str,
        hint: str = "",
        status: int | None = None,
        retry_after_s: float | None = None,
        body: bytes = b"",
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        if hint:
            self.add_note(hint)  # a traceback shows it below the message
        self.code = code
        self.hint = hint
        """What to do; may be empty."""
        self.status = status
        """HTTP status; None: there was no answer."""
        self.retry_after_s = retry_after_s
        """The least wait the daemon asked for; None: it said nothing."""
        self.body = body
        """The problem document as received; empty when there was no answer."""
        self.request_id = request_id
        """Of the request, as the daemon's log has it; empty: nothing was sent."""


class NotRunning(ApiError):
    """No daemon answers on the socket."""


class NotFound(ApiError):
    """What the request names does not exist."""


class BadRequest(ApiError):
    """The request makes no sense."""


class BadConfiguration(ApiError):
    """The configuration is wrong, or would be after this request."""


class NotAllowed(ApiError):
    """The store refuses these credentials."""


class GuardRefused(ApiError):
    """A safety guard refused."""


class Conflict(ApiError):
    """The project, the path or the object is not in a state that allows it; `precondition-failed`, `paused`, `clash`."""


class Temporary(ApiError):
    """Will pass by itself."""


class BadBytes(ApiError):
    """Bytes are not what their digest says."""


class Failed(ApiError):
    """Anything else."""


KINDS: dict[str, type[ApiError]] = {
    "not-found": NotFound,
    "refused": BadRequest,
    "invalid-request": BadRequest,
    "configuration": BadConfiguration,
    "denied": NotAllowed,
    "auth": NotAllowed,
    "guard": GuardRefused,
    "unsafe-store": GuardRefused,
    "precondition": Conflict,
    "state": Conflict,
    "temporary": Temporary,
    "integrity": BadBytes,
}
"""Kind, as in the problem's `type`, to what the client raises. A kind that is not here is `Failed`."""
