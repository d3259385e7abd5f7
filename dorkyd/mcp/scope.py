"""What a program may see: which projects, which paths, and whose values stay hidden. Decides; asks nobody."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from dorkyd.api.failures import BadRequest, GuardRefused, NotFound
from dorkyd.api.messages import ProjectStatus
from dorkyd.core.ignore import Patterns
from dorkyd.core.model import Path
from dorkyd.core.paths import parse
from dorkyd.core.secrets import READ_BYTES, is_private, suspicion
from dorkyd.errors import Blocked


@dataclass(frozen=True, slots=True)
class Scope:
    """What the person who started it allowed."""

    projects: tuple[str, ...] = ()
    """Their names; empty: every project there is."""
    reveal: Patterns = field(default_factory=Patterns)
    """Paths whose values are shown in the clear."""
    read_only: bool = False

    def seen(self, there: Sequence[ProjectStatus]) -> list[ProjectStatus]:
        """The projects that exist for the caller."""
        return [each for each in there if not self.projects or each.name in self.projects]

    def project(self, there: Sequence[ProjectStatus], given: str | None) -> str:
        """The project that is meant. `NotFound` for one that is not there or not to be seen: both are told alike."""
        names = [each.name for each in self.seen(there)]
        known = f"There are: {', '.join(names) or 'none'}."
        if given is None:
            if len(names) == 1:
                return names[0]
            raise BadRequest("Which project?", code="project_required", hint=f"Give `project`. {known}")
        if given not in names:
            raise NotFound(f"There is no project {given!r}.", code="no-such-project", hint=known)
        return given

    def hides(self, path: Path, encrypted: str | None) -> str:
        """Why the values of a file are not shown, as far as its name and the journal (`Why.encrypted`) tell; empty: they are."""
        if self.reveal.picks(path):
            return ""
        if encrypted is not None:
            return "it is encrypted in the bucket"
        return "its name says that it holds secrets" if is_private(path) else ""

    def hides_content(self, path: Path, data: bytes) -> str:
        """The same, by what is in it."""
        if self.reveal.picks(path):
            return ""
        found = suspicion(path, data[:READ_BYTES])
        return "" if found is None else f"it looks like {found.what}" + (f" on line {found.line}" if found.line else "")


def checked(text: str) -> Path:
    """A path in a project. `BadRequest` for anything else: `..`, an absolute path, what is ours."""
    try:
        return parse(text)
    except Blocked as exc:
        raise BadRequest(str(exc), code=exc.code, hint=exc.hint) from exc


def keep_hidden(path: str, to: str, hidden: str, shown: str) -> None:
    """A secret is not restored to where it would be shown: `hidden` and `shown` say why each place hides its values."""
    if hidden and not shown:
        raise GuardRefused(
            f"{path} holds secrets ({hidden}), and {to} would show them.",
            code="would-reveal",
            hint=f"A person can do it: dorkyctl restore {path} --to {to}",
        )
