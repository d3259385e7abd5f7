"""What each tool does. No protocol here: plain arguments in, answers out, `ApiError` raised."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from dorkyd.api.failures import BadRequest, Conflict, Failed, GuardRefused
from dorkyd.api.messages import ConflictItem, ProblemItem
from dorkyd.client import AsyncArtifact, AsyncDorkyClient
from dorkyd.core.model import Path
from dorkyd.core.secrets import READ_BYTES
from dorkyd.mcp import answers, contents
from dorkyd.mcp.scope import Scope, checked, keep_hidden

Project = Annotated[str | None, Field(description="The project's name; may be left out where there is only one.")]
FilePath = Annotated[str, Field(description="A path in the project, with `/`, such as data/train.csv.")]

RETRY_FOR_S = 5.0
"""How long a daemon that restarts is waited for: the caller is waiting too."""
PAGE = 200


@asynccontextmanager
async def _own_daemon() -> AsyncIterator[AsyncDorkyClient]:
    async with AsyncDorkyClient(retry_for_s=RETRY_FOR_S) as client:
        yield client


@dataclass(frozen=True, slots=True)
class Tools:
    """See the module. A connection for each call: the daemon may be started, and started anew, meanwhile."""

    scope: Scope
    connect: Callable[[], AbstractAsyncContextManager[AsyncDorkyClient]] = _own_daemon

    # --- looking ------------------------------------------------------------------------------------------------------

    async def status(self) -> answers.StatusAnswer:
        """How each project is: in sync, syncing, halted, offline; how much is pending; what needs a person."""
        async with self.connect() as client:
            document = await client.status()
        return answers.StatusAnswer(
            health=document.health,
            device=document.daemon.device,
            projects=[
                answers.ProjectAnswer.model_validate({**each.model_dump(), "folder": each.path})
                for each in self.scope.seen(document.projects)
            ],
        )

    async def list_files(
        self,
        project: Project = None,
        prefix: Annotated[str, Field(description="Only paths that begin with this.")] = "",
        after: Annotated[str, Field(description="`next` of the page before.")] = "",
        limit: Annotated[int, Field(ge=1, le=1000)] = PAGE,
    ) -> answers.FilesAnswer:
        """The files of a project in order of their paths, a page at a time. Asks no bucket."""
        async with self._in(project) as (client, name):
            page = await client.files(name, prefix, after=after, limit=limit)
        files = [
            answers.FileAnswer(path=item.path, size=item.size, version=item.version, state=item.state)
            for item in page.items
        ]
        return answers.FilesAnswer(project=name, files=files, next=page.next)

    async def get(
        self,
        path: FilePath,
        project: Project = None,
        offset: Annotated[int, Field(description="Where to begin; below 0: so many bytes before the end.")] = 0,
        max_bytes: Annotated[int, Field(ge=1, le=contents.MOST_BYTES)] = contents.USUAL_BYTES,
    ) -> answers.ContentAnswer:
        """A file, or a part of a large one, as the bucket holds it: text, or base64 where it is no text. The values of secrets
        are masked: of a .env file the keys are shown, of a key or an encrypted file nothing.
        """
        place = checked(path)
        async with self._in(project) as (client, name):
            why = await client.why(name, place)
            artifact = await client.open(f"{name}:{place}")
            item = artifact.item
            start = min(offset, item.size) if offset >= 0 else max(0, item.size + offset)
            masked = self.scope.hides(place, why.encrypted)
            if masked:
                data = await artifact.read(contents.MOST_BYTES) if item.size <= contents.MOST_BYTES else b""
                encoding, content, start, end = "utf-8", contents.keys_of(place, data), 0, item.size
            else:
                masked, data = await self._looked_at(artifact, place, start, max_bytes)
                encoding, content, start, end = (
                    ("utf-8", "", 0, item.size) if masked else contents.shown(data, start, item.size)
                )
        return answers.ContentAnswer(
            project=name,
            path=item.path,
            version=item.version,
            size=item.size,
            media_type=item.media_type,
            metadata=item.metadata,
            state=why.state,
            encoding=encoding,
            offset=start,
            content=content,
            next_offset=end if end < item.size else None,
            masked=masked,
        )

    async def _looked_at(self, artifact: AsyncArtifact, path: Path, start: int, count: int) -> tuple[str, bytes]:
        """Why it is hidden after all, and the part that was asked for. A file is judged by its beginning, whichever part is
        asked for: a key that is read in two halves looks like none.
        """
        head = b"" if self.scope.reveal.picks(path) else await artifact.read(READ_BYTES)
        if start + count <= len(head) or len(head) == artifact.item.size:
            part = head[start : start + count]
        else:
            artifact.seek(start)
            part = await artifact.read(count)
        return self.scope.hides_content(path, head) or self.scope.hides_content(path, part), part

    async def history(self, path: FilePath, project: Project = None) -> answers.HistoryAnswer:
        """The states that a file had, newest first: when, by which device, and whether `restore` can bring each back."""
        place = checked(path)
        async with self._in(project) as (client, name):
            found = await client.history(name, place)
        states = [answers.StateAnswer.model_validate(item.model_dump()) for item in found.items]
        return answers.HistoryAnswer(
            project=name, path=place, states=states, retention=found.retention, missing=found.missing
        )

    async def why(self, path: FilePath, project: Project = None) -> answers.WhyAnswer:
        """Why a path is in sync or not: its state, the rule that ignores it, the problem it has and what to do."""
        place = checked(path)
        async with self._in(project) as (client, name):
            found = await client.why(name, place)
        return answers.WhyAnswer(
            project=name,
            path=found.path,
            state=found.state,
            explanation=found.explanation,
            ignored_by=found.ignored_by,
            encrypted=found.encrypted,
            problem=None if found.problem is None else _problem(found.problem),
        )

    async def conflicts(self, project: Project = None) -> answers.ConflictsAnswer:
        """Files of which two devices made different edits. Both edits are there, each as a file; `resolve` settles one."""
        async with self._in(project) as (client, name):
            return _conflicts(name, await client.conflicts(name))

    async def problems(self, project: Project = None) -> answers.ProblemsAnswer:
        """Files that cannot sync, why, and what to do about each."""
        async with self._in(project) as (client, name):
            found = await client.problems(name)
        return answers.ProblemsAnswer(project=name, problems=[_problem(item) for item in found])

    # --- changing -----------------------------------------------------------------------------------------------------

    async def put(
        self,
        path: FilePath,
        content: Annotated[str, Field(description="All of the file.")],
        project: Project = None,
        encoding: Literal["utf-8", "base64"] = "utf-8",
        replaces: Annotated[
            str | None, Field(description="The version that it replaces, from `get`; left out: the file must be new.")
        ] = None,
        metadata: Annotated[
            dict[str, str] | None, Field(description='Kept with the file, such as {"note": "why it changed"}.')
        ] = None,
    ) -> answers.StoredAnswer:
        """Store a file, for everybody in the project. Refused when somebody has changed it since the version that `replaces`
        names: get it again then. What was replaced can be restored.
        """
        place = checked(path)
        async with self._in(project) as (client, name):
            encrypted = (await client.why(name, place)).encrypted
            data = contents.stored(place, content, encoding, hidden=bool(self.scope.hides(place, encrypted)))
            if encrypted is None and (secret := self.scope.hides_content(place, data)):
                raise GuardRefused(
                    f"{place} is not stored: {secret}, and it would be in the bucket in plain.",
                    code="looks-secret",
                    hint=f"A person can do it: dorkyctl put FILE {name}:{place}, or dorkyctl encrypt first.",
                )
            item = await self._stored(client, f"{name}:{place}", data, replaces, metadata)
        return answers.StoredAnswer(
            project=name, path=item.path, version=item.version, size=item.size, replaced=replaces
        )

    async def _stored(
        self, client: AsyncDorkyClient, to: str, data: bytes, replaces: str | None, metadata: Mapping[str, str] | None
    ) -> answers.FileAnswer:
        new = "*" if replaces is None else None
        try:
            item = await client.upload(data, to, metadata, if_match=replaces, if_none_match=new)
        except Conflict as exc:
            if exc.code != "precondition-failed":
                raise
            what = "is there already" if replaces is None else "has changed since that version"
            hint = "Get it, and put what you make of it with its version as `replaces`."
            raise Conflict(f"{to} {what}; nothing was stored.", code=exc.code, hint=hint) from exc
        return answers.FileAnswer(path=item.path, size=item.size, version=item.version, state="synced")

    async def restore(
        self,
        path: Annotated[str, Field(description="A file, or with a closing `/` a folder.")],
        project: Project = None,
        at: Annotated[
            str | None,
            Field(
                description="A version from `history`, or a time such as 2h; left out: the newest that is not there."
            ),
        ] = None,
        to: Annotated[str | None, Field(description="Another, free place for a single file.")] = None,
    ) -> answers.RestoredAnswer:
        """Bring a file or folder back as it was, as a new version. What stands in its place goes to the trash."""
        folder = path.endswith("/")
        place = checked(path.rstrip("/"))
        target = checked(to) if to is not None else None
        if target is not None and folder:
            raise BadRequest("`to` is for a single file.", code="bad-path", hint="Restore the folder in its place.")
        async with self._in(project) as (client, name):
            if target is not None:
                # `PATH@VERSION` names a path too.
                bare = Path(place.partition("@")[0] or place)
                hidden = [self.scope.hides(each, (await client.why(name, each)).encrypted) for each in (place, bare)]
                shown = self.scope.hides(target, (await client.why(name, target)).encrypted)
                keep_hidden(place, target, "".join(hidden[:1]) or hidden[1], shown)
            found = await client.restore(name, f"{place}/" if folder else place, at, target)
        left = [f"{item.path}: {item.detail}" for item in found.items if not item.done]
        return answers.RestoredAnswer(project=name, path=found.path, size=found.size, version=found.version, left=left)

    async def resolve(
        self,
        path: Annotated[str, Field(description="The file or its conflict copy, from `conflicts`.")],
        keep: Annotated[
            Literal["mine", "theirs", "both"],
            Field(description="mine: this machine's edit; theirs: the other; both: the copy gets a name of its own."),
        ],
        project: Project = None,
    ) -> answers.ConflictsAnswer:
        """Settle a conflict, for everybody in the project. The edit that is not kept goes to the trash. Answers what remains."""
        place = checked(path)
        async with self._in(project) as (client, name):
            return _conflicts(name, await client.resolve(name, place, keep))

    # --- resources ----------------------------------------------------------------------------------------------------

    async def read(self, project: str, path: str) -> str:
        """A text file of a project, secrets masked as in `get`."""
        found = await self.get(path, project, max_bytes=contents.MOST_BYTES)
        where = f"{found.project}:{found.path}"
        if found.encoding != "utf-8":
            raise Failed(f"{where} is no text.", code="not-text", hint="Use the tool `get`.")
        if found.next_offset is not None:
            raise Failed(
                f"{where} is too large for a resource.", code="too-large", hint="Use the tool `get`, in parts."
            )
        if found.masked and not found.content:
            raise GuardRefused(f"{where} is not shown: {found.masked}.", code="masked")
        return found.content

    @asynccontextmanager
    async def _in(self, project: str | None) -> AsyncIterator[tuple[AsyncDorkyClient, str]]:
        async with self.connect() as client:
            yield client, self.scope.project(await client.projects(), project)


def _problem(item: ProblemItem) -> answers.ProblemAnswer:
    return answers.ProblemAnswer(path=item.path, code=item.code, detail=item.detail, hint=item.hint)


def _conflicts(project: str, items: list[ConflictItem]) -> answers.ConflictsAnswer:
    told = [answers.ConflictAnswer(path=each.path, losing=each.copy_, device=each.device, at=each.at) for each in items]
    return answers.ConflictsAnswer(project=project, conflicts=told)
