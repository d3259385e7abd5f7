"""What adopting will do with each file, and what is worth a warning."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest

from dorkyd.core.model import Path, Version
from dorkyd.core.npm_dorky import Account, Claim, NpmProject, Push
from dorkyd.core.npm_plan import (
    Bucket,
    Copy,
    Folder,
    Here,
    ImportItem,
    Standing,
    There,
    history_of,
    items_of,
    patterns_of,
)
from dorkyd.core.npm_warnings import Exposure, credentials_warning, warnings_of


def md5(text: str) -> str:
    """Of a file that holds this."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def here(text: str) -> Here:
    """A file that holds this."""
    return Here(len(text), md5(text), "\ufffd" in text)


def there(text: str, *, told: bool = True) -> There:
    """An object that holds this; `told`: the listing tells its MD5."""
    return There(len(text), Version(f"v-{text}"), md5(text) if told else None)


def project(*pushes: Push, **claims: str | None) -> NpmProject:
    """It tracks these, with the contents of their last push."""
    made = {
        Path(path): Claim(Path(path), md5(text or path), md5(text) if text is not None else None)
        for path, text in claims.items()
    }
    return NpmProject(made, (), pushes, Account("aws", "acme", None, "7KQX", secret=True))


def folder(others: Mapping[str, int] | None = None, ignore_text: str | None = None, **files: Here) -> Folder:
    """A folder that holds these."""
    return Folder(
        {Path(path): file for path, file in files.items()},
        {Path(path): size for path, size in (others or {}).items()},
        ignore_text=ignore_text,
    )


def bucket(*copies: Copy, **objects: There) -> Bucket:
    """A prefix that holds these."""
    return Bucket({Path(path): found for path, found in objects.items()}, copies)


def item(pushed: str | None, local: Here | None, remote: There | None) -> ImportItem:
    """The only file of a plan."""
    files, objects = {"f": local} if local else {}, {"f": remote} if remote else {}
    (found,) = items_of(project(f=pushed), folder(**files), bucket(**objects))
    return found


@pytest.mark.parametrize(
    ("pushed", "local", "remote", "standing", "said"),
    [
        ("x", here("x"), there("x"), Standing.SAME, ""),
        ("y", here("x"), there("x"), Standing.SAME, ""),
        ("x", here("y"), there("x"), Standing.DIFFERS, "changed here"),
        ("x", here("\ufffd"), there("x"), Standing.DIFFERS, "damaged"),
        ("x", here("x"), there("y"), Standing.DIFFERS, "changed in the bucket"),
        ("x", here("y"), there("z"), Standing.DIFFERS, "neither"),
        (None, here("y"), there("zz"), Standing.DIFFERS, "neither"),
        ("x", here("x"), there("x", told=False), Standing.UNPROVED, ""),
        ("x", Here(1), there("x"), Standing.UNPROVED, ""),
        ("x", here("xx"), there("x", told=False), Standing.DIFFERS, ""),
        ("x", here("x"), None, Standing.ONLY_HERE, "gone from the bucket"),
        (None, here("x"), None, Standing.ONLY_HERE, "never pushed"),
        ("x", None, there("x"), Standing.ONLY_THERE, "not in the folder"),
        ("x", None, None, Standing.NOWHERE, ""),
    ],
)
def test_standing(pushed: str | None, local: Here | None, remote: There | None, standing: Standing, said: str) -> None:
    """Each combination of the two sides, with why where the npm tool's record tells it."""
    found = item(pushed, local, remote)
    assert found.standing is standing
    assert said in found.detail


def test_what_is_on_one_side_only_and_was_never_tracked() -> None:
    """Objects of others are part of the plan, and so is `.dorkyignore`, which the npm tool never sends."""
    files = {".dorkyignore": here("")}
    found = items_of(project(), folder(**files), bucket(theirs=there("t")))
    assert [(each.path, each.standing, each.tracked) for each in found] == [
        (".dorkyignore", Standing.ONLY_HERE, False),
        ("theirs", Standing.ONLY_THERE, False),
    ]


def test_rules() -> None:
    """What is on either side of the npm tool's doing is kept; the rest stays out, unless all is asked for."""
    folder_ = folder({"main.py": 1}, a=here("a"))
    items = items_of(project(a="a"), folder_, bucket(b=there("b")))
    assert patterns_of(items, folder_, everything=False) == ("/*", "!/a", "!/b")
    assert patterns_of(items, folder_, everything=True) == ()


def test_history() -> None:
    """Missing and differing copies, ids that came twice, and ids that nobody here knows."""
    pushes = (
        Push("one", "", {Path("f"): md5("x"), Path("g"): md5("g")}),
        Push("two", "", {Path("f"): md5("y")}),
        Push("one", "", {Path("f"): md5("x"), Path("g"): md5("g")}),
    )
    copies = (Copy("one", "f", 1, md5("other")), Copy("two", "f", 1, md5("y")), Copy("else", "f", 1, None))
    found = history_of(project(*pushes), bucket(*copies))
    assert (found.pushes, found.ids, found.objects, found.bytes) == (3, 3, 3, 3)
    assert (found.unknown_ids, found.repeated_ids) == (("else",), ("one",))
    assert (found.missing, found.differing) == (1, 1)


def codes(npm: NpmProject, folder_: Folder, bucket_: Bucket, *, everything: bool = False) -> dict[str, str]:
    """Warnings by code."""
    items = items_of(npm, folder_, bucket_)
    ignore = patterns_of(items, folder_, everything=everything)
    told = warnings_of(npm, folder_, bucket_, items, history_of(npm, bucket_), ignore=ignore, everything=everything)
    return {each.code: each.detail for each in told}


def test_nothing_to_warn_of() -> None:
    """Both sides equal and nothing else there."""
    assert codes(project(a="a"), folder(a=here("a")), bucket(a=there("a"))) == {}


def test_a_prefix_of_two_folders() -> None:
    """Objects, contents and pushes that this folder knows nothing of are told, with their names."""
    npm = project(Push("one", "", {Path("old"): md5("old")}), a="a")
    shared = bucket(Copy("two", "b", 1, None), a=there("not mine"), b=there("b"), old=there("old"))
    told = codes(npm, folder(a=here("a")), shared)["shared-prefix"]
    for part in ("1 objects that this folder never pushed: 'b'", "written over since: 'a'", "does not know: 'two'"):
        assert part in told


def test_files_that_were_never_given() -> None:
    """They stay out, or go up, and either is told."""
    folder_ = folder({"main.py": 1}, a=here("a"))
    assert "main.py" in codes(project(a="a"), folder_, bucket(a=there("a")))["untracked-stay-out"]
    assert "untracked-go-up" in codes(project(a="a"), folder_, bucket(a=there("a")), everything=True)


def test_tracked_and_ignored() -> None:
    """What `.dorkyignore` would leave out from now on is told, and kept."""
    folder_ = folder(ignore_text="a\n", a=here("a"))
    assert "'a'" in codes(project(a="a"), folder_, bucket(a=there("a")))["ignored-and-tracked"]


def test_a_renamed_folder() -> None:
    """Nothing is below the prefix that its present name gives."""
    assert "empty-prefix" in codes(project(a="a"), folder(a=here("a")), bucket())


@pytest.mark.parametrize(
    ("exposure", "code", "said"),
    [
        (Exposure("/p/.dorky/credentials.json", 0o600, None, None), "credentials-in-plain-text", ()),
        (Exposure("/p/.dorky/credentials.json", 0o644, False, False), "credentials-in-plain-text", ("0644",)),
        (Exposure("/p/.dorky/credentials.json", 0o600, True, True), "credentials-in-git", ("git tracks it", "commit")),
        (Exposure("/p/.dorky/credentials.json", 0o600, False, True), "credentials-in-git", ("commit",)),
    ],
)
def test_credentials(exposure: Exposure, code: str, said: tuple[str, ...]) -> None:
    """Where they lie, whose they are by four characters, who may read them, and how to be rid of them."""
    told = credentials_warning(project(), exposure, "api")
    assert told is not None
    assert told.code == code
    assert "/p/.dorky/credentials.json" in told.detail
    assert "7KQX" in told.detail
    assert all(part in told.detail for part in said)
    assert "aws configure --profile api" in told.hint


def test_no_credentials() -> None:
    """A clone of a repository has none."""
    assert credentials_warning(project(), None, "api") is None
