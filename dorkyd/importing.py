"""Adopt a project of the npm tool `dorky`: look at its folder and its prefix, say what will be, make it a project.

Nothing is sent or fetched here, and no object is written: the engine that starts then joins what its listing proves equal
(docs/decisions/0055). Runs on an API thread; may take as long as reading the tracked files once.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path as FilePath

from dorkyd import npm_folder
from dorkyd.control import NewProject, ProjectControl
from dorkyd.control_import import ImportWish
from dorkyd.core import paths
from dorkyd.core.model import Path
from dorkyd.core.npm_dorky import AWS, CREDENTIALS, DRIVE, HISTORY, METADATA, NpmProject, parse_project, pushed_key
from dorkyd.core.npm_plan import (
    Bucket,
    Copy,
    Folder,
    HistoryCopies,
    ImportPlan,
    Standing,
    There,
    history_of,
    items_of,
    patterns_of,
    token_of,
)
from dorkyd.core.npm_warnings import Exposure, credentials_warning, warnings_of
from dorkyd.core.report import Warning
from dorkyd.core.settings import Project
from dorkyd.doctor_git import known_to_git
from dorkyd.errors import AuthExpired, Blocked, Denied, Refused
from dorkyd.npm_folder import NpmFiles
from dorkyd.ports import Bucket as Store

MOST_PATTERNS = 1000
"""In one project's settings: every path is compared with them."""
_OURS = ".dorky/"
_DOCUMENT = ".dorky/project.json"
_NOTHING = HistoryCopies(0, 0, 0, 0, (), (), 0, 0)


@dataclass(frozen=True, slots=True)
class Importer:
    """`control_import.ImportControl` says what each method promises."""

    open_bucket: Callable[[Project], Store]
    add: Callable[[NewProject], ProjectControl]
    projects: Callable[[], Sequence[Project]]
    """Those there are."""

    def plan(self, wish: ImportWish) -> ImportPlan:
        """What `carry_out` would do."""
        root = os.path.realpath(wish.path)
        files = npm_folder.read_files(root)
        project = parse_project(*(files.texts.get(name) for name in (METADATA, HISTORY, CREDENTIALS)))
        wish = replace(wish, path=root)
        there = next((each for each in self.projects() if os.path.realpath(each.path) == root), None)
        if there is not None:
            return self._retiring(wish, there, project, files)
        if project.encrypted:
            raise Refused(
                "this project's objects are encrypted by the npm tool, and dorkyd cannot read them in place",
                hint="run `dorky --pull`, move .dorky out of the folder, then `dorkyctl up FOLDER --bucket URL` with a new prefix",
                code="npm-encrypted",
            )
        settings = _settings(wish, project)
        self._refuse_shared(settings)
        bucket = self._listed(settings, project)
        folder = npm_folder.survey(root, _sizes(bucket), frozenset(project.claims))
        return _plan(wish, settings, project, files, bucket, folder)

    def carry_out(self, wish: ImportWish) -> ImportPlan:
        """Make it a project."""
        plan = self.plan(wish)
        if wish.token is not None and wish.token != plan.token:
            raise Refused(
                "the folder or the bucket changed since this plan was shown; nothing was done",
                hint="look at the plan again",
                code="refused-by-guard",
            )
        if not any(os.path.realpath(each.path) == plan.path for each in self.projects()):
            new = NewProject(
                plan.path,
                plan.bucket,
                plan.name if wish.name is not None else None,
                endpoint_url=wish.endpoint_url,
                region=plan.region,
                profile=wish.profile,
                ignore=plan.ignore,
                over_npm=True,
            )
            plan = replace(plan, name=self.add(new).name)
        if wish.retire:
            npm_folder.retire(plan.path)
        return plan

    def _refuse_shared(self, settings: Project) -> None:
        """Two folders of one name on this machine, which the npm tool let overwrite each other."""
        for each in self.projects():
            if (each.bucket, each.endpoint_url) == (settings.bucket, settings.endpoint_url):
                raise Refused(
                    f"{each.name} ({each.path}) is in sync with {settings.bucket} already: the npm tool gives two folders of"
                    " one name the same prefix",
                    hint="sort out whose objects they are; then name another prefix for this folder with --bucket",
                    code="prefix-in-use",
                )

    def _retiring(self, wish: ImportWish, there: Project, project: NpmProject, files: NpmFiles) -> ImportPlan:
        """The folder is a project already: only its old files are left to be moved."""
        moves = npm_folder.to_retire(wish.path) if wish.retire else ()
        if not moves and not wish.history:
            raise Refused(
                f"{wish.path} is synced already, as {there.name}, with {there.bucket}",
                hint="--retire moves what the npm tool left in .dorky/ to .dorky/npm/" if not wish.retire else "",
                code="already-imported",
            )
        return ImportPlan(
            there.name,
            wish.path,
            there.bucket,
            _storage(project),
            (),
            _NOTHING,
            untracked=0,
            untracked_bytes=0,
            everything=not there.ignore,
            ignore=there.ignore,
            region=there.region,
            moves=moves,
            token=token_of("retire", wish.path, moves),
            warnings=tuple(_credentials(wish.path, project, files, there.name)),
        )

    def _listed(self, settings: Project, project: NpmProject) -> Bucket:
        objects: dict[Path, There] = {}
        copies: list[Copy] = []
        strange, adopted = 0, False
        bucket = self.open_bucket(settings)
        try:
            for page in bucket.list():
                for each in page:
                    copy = pushed_key(each.key)
                    if each.key.startswith(_OURS):
                        adopted = adopted or each.key == _DOCUMENT
                    elif paths.is_folder_marker(each.key):
                        continue
                    elif copy is not None:
                        copies.append(Copy(*copy, each.size, each.md5))
                    elif paths.key_problem(each.key) is not None:
                        strange += 1
                    else:
                        objects[Path(each.key)] = There(each.size, each.version, each.md5)
        except (AuthExpired, Denied) as exc:
            if project.account is None or not project.account.secret or project.account.storage != AWS:
                raise
            unused = (
                f"dorkyd does not use the key in .dorky/{CREDENTIALS}: `aws configure --profile {settings.name}` puts one into"
                f" a profile, and --profile {settings.name} names it"
            )
            raise type(exc)(str(exc), hint="; ".join(filter(None, (exc.hint, unused))), code=exc.code) from exc
        finally:
            bucket.close()
        return Bucket(objects, tuple(copies), strange, adopted=adopted)


def _plan(
    wish: ImportWish, settings: Project, project: NpmProject, files: NpmFiles, bucket: Bucket, folder: Folder
) -> ImportPlan:
    items = items_of(project, folder, bucket)
    history = history_of(project, bucket)
    ignore = patterns_of(items, folder, everything=wish.everything)
    if len(ignore) > MOST_PATTERNS:
        raise Refused(
            f"{len(items)} tracked files lie among {len(folder.others)} others, and to tell them apart takes"
            f" {len(ignore)} patterns",
            hint="--all syncs the whole folder; or move the tracked files into a folder of their own and sync that",
            code="too-many-patterns",
        )
    moves = npm_folder.to_retire(wish.path) if wish.retire else ()
    told = warnings_of(project, folder, bucket, items, history, ignore=ignore, everything=wish.everything)
    return ImportPlan(
        settings.name,
        wish.path,
        settings.bucket,
        _storage(project),
        items,
        history,
        untracked=len(folder.others),
        untracked_bytes=sum(folder.others.values()),
        everything=wish.everything,
        ignore=ignore,
        region=settings.region,
        moves=moves,
        token=token_of(settings.bucket, items, ignore, sorted(folder.others) if wish.everything else (), moves),
        warnings=(*_credentials(wish.path, project, files, settings.name), *told),
        counts={str(one): sum(item.standing is one for item in items) for one in Standing},
    )


def _sizes(bucket: Bucket) -> Callable[[Path], int | None]:
    def size(path: Path) -> int | None:
        there = bucket.objects.get(path)
        return None if there is None else there.size

    return size


def _storage(project: NpmProject) -> str:
    return project.account.storage if project.account is not None else ""


def _settings(wish: ImportWish, project: NpmProject) -> Project:
    """The project as it will stand in the configuration. Raises `Refused` when nobody knows the bucket."""
    folder = os.path.basename(wish.path)
    account = project.account
    url = wish.bucket.rstrip("/") if wish.bucket else None
    if url is None and account is not None and account.storage == DRIVE:
        raise Refused(
            "this project's objects are in Google Drive, which is no store that dorkyd knows: it cannot be adopted in place",
            hint="run `dorky --pull` so that all of it is here, look through the binaries (its pull reads every file as text), then"
            " `dorkyctl import-dorky FOLDER --bucket s3://bucket/prefix` sends the tracked files to a bucket of your own",
            code="google-drive",
        )
    if url is None and account is not None and account.bucket:
        url = f"s3://{account.bucket}"
    if url is None:
        raise Refused(
            f"nothing here names the bucket: there is no {CREDENTIALS} in .dorky/, or none in it",
            hint=f"name it with --bucket s3://BUCKET/{folder}",
            code="no-bucket",
        )
    if url.startswith("s3://") and "/" not in url.removeprefix("s3://"):
        # The npm tool puts everything below the folder's name.
        url = f"{url}/{folder}"
    region = wish.region
    if region is None and account is not None and wish.bucket is None:
        region = account.region
    return Project(
        wish.name or folder or "root",
        wish.path,
        url,
        endpoint_url=wish.endpoint_url,
        region=region,
        profile=wish.profile,
    )


def credentials_finding(root: str, profile: str) -> Warning | None:
    """What the npm tool left in plain text in a folder; None: nothing, or no npm tool was here. For `doctor`, which goes on
    when it raises.
    """
    try:
        files = npm_folder.read_files(root)
    except Refused:
        return None
    except Blocked as exc:
        if exc.code == "marker":
            return None  # told of by a check of its own
        raise
    project = parse_project(None, None, files.texts.get(CREDENTIALS))
    return next(iter(_credentials(root, project, files, profile)), None)


def _credentials(root: str, project: NpmProject, files: NpmFiles, profile: str) -> list[Warning]:
    if files.credentials_mode is None:
        return []
    folder = f"{_OURS}{npm_folder.RETIRED}/" if files.retired else _OURS
    tracked, committed = known_to_git(FilePath(root), f"{_OURS}{CREDENTIALS}")
    exposure = Exposure(f"{root}/{folder}{CREDENTIALS}", files.credentials_mode, tracked, committed)
    told = credentials_warning(project, exposure, profile)
    return [] if told is None else [told]
