"""What a person should know of a project of the npm tool `dorky` before, and after, adopting it. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from dorkyd.core.ignore import IgnoreRules
from dorkyd.core.npm_dorky import AWS, CREDENTIALS, DRIVE, METADATA, NpmProject
from dorkyd.core.npm_ignore import differences, kept_whole
from dorkyd.core.npm_plan import Bucket, Folder, HistoryCopies, ImportItem, Standing
from dorkyd.core.report import Warning

_NAMED = 5
"""How many paths, ids or patterns a warning names."""
_GROUP_AND_OTHERS = 0o077


@dataclass(frozen=True, slots=True)
class Exposure:
    """Who else may read the credentials file."""

    file: str
    """Absolute."""
    mode: int
    """Permission bits."""
    tracked: bool | None
    """Git tracks it; None: nobody could ask git, or there is no repository."""
    committed: bool | None
    """Some commit of the repository has it, as it is or was; None: as `tracked`."""


def credentials_warning(project: NpmProject, exposure: Exposure | None, profile: str) -> Warning | None:
    """The credentials in plain text: where, whose, who may read them, and what to do. Never the secret. None: there are none.

    `profile`: the name to offer for a profile of the SDK.
    """
    account = project.account
    if account is None or exposure is None or not account.secret:
        return None
    drive = account.storage == DRIVE
    whose = "a Google Drive token" if drive else "an AWS access key"
    key = f" (its id ends with {account.key_end})" if account.key_end else ""
    told = [f"{exposure.file} holds {whose}{key} in plain text"]
    if exposure.mode & _GROUP_AND_OTHERS:
        told.append(f"its permissions are {exposure.mode:04o}, so that other users of this machine may read it")
    if exposure.tracked:
        told.append("git tracks it")
    if exposure.committed:
        told.append("a commit of this repository holds it, so that everybody with a clone has it for ever")
    told.append("dorkyd neither uses nor copies it")
    file = shlex.quote(exposure.file)
    untrack = [f"`git rm --cached {file}`"] if exposure.tracked else []
    if drive:
        steps = ["remove the app's access in your Google account"]
    else:
        into = f"put it into a profile (`aws configure --profile {profile}`) and import with `--profile {profile}`"
        old = f" (`aws iam delete-access-key --access-key-id …{account.key_end}`)" if account.key_end else ""
        steps = [f"make a new key in the AWS console, {into}", f"then deactivate and delete this key{old}"]
    hint = "; ".join([*steps, *untrack, f"then delete the file: `rm {file}`"])
    code = "credentials-in-git" if exposure.tracked or exposure.committed else "credentials-in-plain-text"
    return Warning(code, "; ".join(told), hint)


def warnings_of(
    project: NpmProject,
    folder: Folder,
    bucket: Bucket,
    items: tuple[ImportItem, ...],
    history: HistoryCopies,
    *,
    ignore: tuple[str, ...],
    everything: bool,
) -> list[Warning]:
    """All but the credentials', the gravest first."""
    return [
        *_sharing(project, bucket, items, history),
        *_differing(items),
        *_left_out(project, folder, bucket),
        *_untracked(folder, ignore, everything=everything),
        *_ignoring(folder, items),
        *_history(history),
        *_state(project, bucket),
    ]


def _sharing(
    project: NpmProject, bucket: Bucket, items: tuple[ImportItem, ...], history: HistoryCopies
) -> Iterator[Warning]:
    """It names a prefix by the folder's last name alone, so that two folders of one name overwrite each other."""
    recorded: dict[str, set[str | None]] = {}
    for push in project.pushes:
        for path, md5 in push.files.items():
            recorded.setdefault(path, set()).add(md5)
    foreign = [
        item.path for item in items if not item.tracked and item.version is not None and item.path not in recorded
    ]
    rewritten = [
        item.path
        for item in items
        if (claim := project.claims.get(item.path)) is not None
        and (there := bucket.objects.get(item.path)) is not None
        and there.md5 is not None
        and claim.pushed is not None
        and there.md5 not in {claim.pushed, claim.staged, *recorded.get(item.path, ())}
    ]
    told = [
        f"{len(names)} {what}: {_some(names)}"
        for names, what in (
            (foreign, "objects that this folder never pushed"),
            (rewritten, "objects that were written over since"),
            (history.unknown_ids, "pushes that its history does not know"),
        )
        if names
    ]
    if told:
        yield Warning(
            "shared-prefix",
            "others push to this prefix as well. It has " + "; ".join(told),
            "a teammate's clone is no trouble: import it too, at the same time, and end the npm tool there. Another folder of"
            " the same name is: sort out whose objects these are before you go on, since afterwards both would be one project",
        )


def _differing(items: tuple[ImportItem, ...]) -> Iterator[Warning]:
    differ = [item.path for item in items if item.standing is Standing.DIFFERS]
    if differ:
        yield Warning(
            "differs",
            f"{len(differ)} files differ from their objects: {_some(differ)}",
            "each becomes the object and a conflict copy with what is here; nothing is lost. `dorkyctl resolve PATH --keep"
            " mine|theirs` settles one afterwards",
        )
    damaged = [item.path for item in items if "damaged" in item.detail]
    if damaged:
        yield Warning(
            "damaged-by-pull",
            f"{len(damaged)} files look damaged here by the npm tool's pull: {_some(damaged)}",
            "the objects are whole: keep `theirs`",
        )


def _left_out(project: NpmProject, folder: Folder, bucket: Bucket) -> Iterator[Warning]:
    if project.unusable:
        names = [each.name for each in project.unusable]
        yield Warning(
            "unusable-path",
            f"{len(names)} tracked names can be no path of a project: {_some(names)}. {project.unusable[0].detail}",
            "they and their objects stay as they are, outside the project; copy the files into the folder to sync them",
        )
    if bucket.strange:
        yield Warning(
            "unusable-key", f"{bucket.strange} objects have keys that can be no file here; they stay as they are"
        )
    if folder.unknown:
        yield Warning(
            "not-looked-at",
            f"{len(folder.unknown)} places of the folder could not be looked at: {_some(folder.unknown)}",
            "sync will tell of each; links are never followed",
        )


def _untracked(folder: Folder, ignore: tuple[str, ...], *, everything: bool) -> Iterator[Warning]:
    if not folder.others:
        return
    count = f"{len(folder.others)} files of the folder were never given to the npm tool: {_some(sorted(folder.others))}"
    if everything:
        yield Warning(
            "untracked-go-up", f"{count}. They will be sent to the bucket", "leave out --all to keep them here"
        )
        return
    whole = kept_whole(ignore)
    also = f". Folders of which all was: {_some(whole)}; what is added to them later is synced" if whole else ""
    yield Warning(
        "untracked-stay-out",
        f"{count}. They stay out, as does what is added later{also}",
        "`ignore:` of the project in config.yaml says so: edit it to sync more; --all syncs the whole folder",
    )


def _ignoring(folder: Folder, items: tuple[ImportItem, ...]) -> Iterator[Warning]:
    if folder.ignore_text is None:
        return
    rules = IgnoreRules((), folder.ignore_text)
    kept = [item.path for item in items if item.tracked and rules.rule(item.path, False) is not None]
    if kept:
        yield Warning(
            "ignored-and-tracked",
            f"{len(kept)} tracked files are ignored by .dorkyignore or the built-in list: {_some(kept)}",
            "the npm tool never asked. This machine's settings keep them in sync; other machines that join without importing"
            " leave them out, until the lines are gone from .dorkyignore",
        )
    changed = differences(folder.ignore_text)
    if changed:
        lines = "; ".join(f"line {each.line}, `{each.pattern}`, {each.detail}" for each in changed[:_NAMED])
        more = f"; and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
        yield Warning(
            "ignore-differs",
            f".dorkyignore has gitignore's meaning from now on: {lines}{more}",
            "`dorkyctl check-ignore PATH` says which rule ignores a path",
        )


def _history(history: HistoryCopies) -> Iterator[Warning]:
    if not history.objects and not history.pushes:
        return
    told = [
        f"{history.objects} copies of {history.ids} pushes ({history.bytes} bytes) stay in the bucket below .dorky-history/"
    ]
    told.append("no folder receives them and dorkyd never changes them")
    if history.missing:
        told.append(f"{history.missing} that its history tells of are missing")
    if history.differing:
        told.append(f"{history.differing} are not what its history says they are")
    if history.repeated_ids:
        told.append(f"{len(history.repeated_ids)} ids name more than one push ({_some(history.repeated_ids)})")
    hint = (
        "--history makes a commit of each push, for which every copy is read once; or fetch one with any S3 tool, as in"
        " docs/migrating.md"
    )
    yield Warning("history-stays", "; ".join(told), hint)


def _state(project: NpmProject, bucket: Bucket) -> Iterator[Warning]:
    account = project.account
    if account is not None and account.storage == DRIVE:
        yield Warning(
            "google-drive",
            "its objects are in Google Drive, which dorkyd cannot sync with: what is here goes to the bucket you named, and"
            " nothing in Drive is read or changed",
            "run `dorky --pull` before, so that all of it is here, and look through binaries: it damages them",
        )
    elif account is not None and account.storage != AWS:
        yield Warning(
            "unknown-storage", f".dorky/{CREDENTIALS} names a storage that nobody knows", "check the bucket above"
        )
    if bucket.adopted:
        yield Warning("adopted-already", "a dorkyd made a project of this prefix already: this folder joins it")
    nowhere = [path for path in project.claims if path not in bucket.objects] if not bucket.objects else []
    if nowhere and (account is None or account.storage != DRIVE):
        yield Warning(
            "empty-prefix",
            f"nothing that .dorky/{METADATA} tells of is below this prefix",
            "its prefix is the folder's name at the time of the push: was the folder renamed? Name the right one with --bucket",
        )


def _some(names: Iterable[object]) -> str:
    there = [str(name) for name in names]
    more = f" and {len(there) - _NAMED} more" if len(there) > _NAMED else ""
    return ", ".join(repr(name) for name in there[:_NAMED]) + more
