"""Each check of `doctor` is seen to pass and to fail, on a real folder and a strict bucket."""

from __future__ import annotations

import os
import pathlib
import shutil
import subprocess
from collections.abc import Mapping

import pytest

from dorkyd import doctor_limits
from dorkyd.buckets.counting import Verb
from dorkyd.buckets.memory import Fault, MemoryBucket
from dorkyd.core.ignore import IgnoreRules
from dorkyd.core.logbook import PROJECT, ProjectDocument, encode_project
from dorkyd.core.model import Version
from dorkyd.core.report import Finding
from dorkyd.core.settings import Mode, Project
from dorkyd.doctor import examine
from dorkyd.doctor_clock import clock_finding, clock_offset_s
from dorkyd.doctor_environment import environment_findings
from dorkyd.doctor_folder import MiB, disk_finding
from dorkyd.doctor_limits import InotifyLimits, count_folders, inotify_limits, open_files_finding
from dorkyd.doctor_secrets import public_findings
from dorkyd.errors import AuthExpired, Denied, DorkyError, Transient
from dorkyd.news import Bytes, News
from dorkyd.ports import Body, Bucket, Session, Setting, Written
from tests.folders import Fixture

LIMITS = InotifyLimits(524_288, 1024)
NOW_S = 1_800_000_000


class StoppedClock:
    """A clock that stands still."""

    def __init__(self) -> None:
        self.ids = 0

    def monotonic(self) -> float:
        return 0.0

    def time_ns(self) -> int:
        return NOW_S * 1_000_000_000 + 1

    def random_id(self) -> str:
        self.ids += 1
        return f"{self.ids:032x}"


class Careless(MemoryBucket):
    """A store that accepts `If-None-Match` and ignores it."""

    def put(
        self,
        key: str,
        body: Body,
        *,
        replaces: Version | None,
        meta: Mapping[str, str],
        session: Session | None = None,
    ) -> Written:
        found = self.head(key)
        return super().put(
            key, body, replaces=replaces or (found.version if found else None), meta=meta, session=session
        )


@pytest.fixture
def at(tmp_path: pathlib.Path) -> Fixture:
    """A folder of the project that `bucket` holds."""
    return Fixture(tmp_path / "root")


def bucket_of(project_id: str = "project", *, seconds: int | None = NOW_S) -> MemoryBucket:
    """A bucket that holds a project."""
    bucket = MemoryBucket(seconds=None if seconds is None else lambda: seconds)
    News(bucket).create_project(ProjectDocument(project_id, 1))
    return bucket


def found(
    at: Fixture,
    bucket: Bucket | None = None,
    *,
    mode: Mode = Mode.TWO_WAY,
    single_writer: bool = False,
    limits: InotifyLimits | None = LIMITS,
    rules: IgnoreRules | None = None,
) -> list[Finding]:
    """All findings."""
    return examine(
        Project("api", str(at.root), "memory://", mode, single_writer=single_writer),
        at.folder,
        bucket if bucket is not None else bucket_of(),
        state_dir=at.root.parent,
        clock=StoppedClock(),
        inotify=lambda: limits,
        rules=rules,
    )


def bad(findings: list[Finding]) -> list[tuple[str, str]]:
    """Check and code of what failed; each says what is wrong and what to do."""
    failed = [finding for finding in findings if not finding.ok]
    assert all(finding.detail and finding.hint and finding.code for finding in failed)
    return [(finding.check, finding.code) for finding in failed]


def keys(bucket: MemoryBucket) -> list[str]:
    """All that the bucket holds."""
    return [listed.key for page in bucket.list() for listed in page]


def failing(verb: Verb, error: DorkyError, *, after: bool = False, times: int = 1000) -> MemoryBucket:
    """A bucket where requests below the probe's keys fail."""
    left = [times]

    def fault(asked: Verb, key: str) -> Fault | None:
        if asked != verb or not key.startswith(".dorky/probe/") or not left[0]:
            return None
        left[0] -= 1
        return Fault(error, "after" if after else "before")

    return bucket_of().client(faults=fault)


# --- all is well ------------------------------------------------------------------------------------------------------


def test_all_is_well(at: Fixture) -> None:
    """Every check passes, and leaves nothing behind, here or there."""
    at.write("d/f")
    before = sorted(at.root.rglob("*"))
    bucket = bucket_of()
    findings = found(at, bucket)
    assert bad(findings) == []
    checks = {finding.check for finding in findings}
    assert {"folder", "marker", "staging", "names", "disk", "watches", "open-files"} <= checks
    assert {"bucket", "bucket-write", "bucket-conditions", "clock"} <= checks
    assert keys(bucket) == [PROJECT]
    assert sorted(path for path in at.root.rglob("*") if path.name != ".clock") == before


def test_exceptions_that_are_not_ours(at: Fixture) -> None:
    """A bug is not taken for a finding."""

    def fault(_verb: Verb, _key: str) -> Fault | None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        found(at, bucket_of().client(faults=fault))


# --- the folder -------------------------------------------------------------------------------------------------------


def test_folder_gone(at: Fixture) -> None:
    """Without the folder nothing inside it is asked; the bucket is all the same."""
    shutil.rmtree(at.root)
    findings = found(at)
    assert bad(findings) == [("folder", "root-missing")]
    assert "bucket-write" in {finding.check for finding in findings}


def test_folder_unwritable(at: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that cannot be written matters unless the mode never writes it."""
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert bad(found(at)) == [("folder", "unwritable")]
    assert bad(found(at, mode=Mode.PUSH)) == []


def test_marker_gone(at: Fixture) -> None:
    """No marker: this may be another folder, and staging is not there either."""
    shutil.rmtree(at.root / ".dorky")
    assert bad(found(at))[:2] == [("marker", "no-marker"), ("staging", "stale")]
    assert not (at.root / ".dorky").exists()


def test_marker_malformed(at: Fixture) -> None:
    """A marker that makes no sense is a finding and stops no other check."""
    (at.root / ".dorky/folder.json").write_text("{")
    findings = found(at)
    assert bad(findings) == [("marker", "marker")]
    assert "bucket-write" in {finding.check for finding in findings}


def test_disk() -> None:
    """500 MiB are enough."""
    place = pathlib.Path("/p")
    assert disk_finding("state", place, 500 * MiB).ok
    low = disk_finding("folder", place, 500 * MiB - 1)
    assert (low.ok, low.code) == (False, "disk-low")
    assert "df -h /p" in low.hint


def test_state_directory_gone(at: Fixture) -> None:
    """A place whose disk cannot be asked is a finding."""
    project = Project("api", str(at.root), "memory://")
    gone = at.root / "none"
    findings = examine(project, at.folder, bucket_of(), state_dir=gone, clock=StoppedClock(), inotify=lambda: None)
    assert bad(findings) == [("disk", "stale")]


# --- limits -----------------------------------------------------------------------------------------------------------


def test_watches(at: Fixture) -> None:
    """Folders that are watched are counted, those that rules leave out are not."""
    for path in ("a/b", "a/c", "node_modules/x/y", "out/deep"):
        (at.root / path).mkdir(parents=True)
    rules = IgnoreRules(("/out/",))
    assert count_folders(at.root, rules) == 4
    assert bad(found(at, limits=InotifyLimits(6, 1024), rules=rules)) == []
    assert bad(found(at, limits=InotifyLimits(5, 1024), rules=rules)) == [("watches", "watches-low")]
    assert bad(found(at, limits=InotifyLimits(524_288, 8))) == [("watches", "instances-low")]


def test_no_inotify(at: Fixture) -> None:
    """A system without inotify has nothing to say about it."""
    assert "watches" not in {finding.check for finding in found(at, limits=None)}


def test_inotify_limits(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read from /proc; None where that is not there."""
    monkeypatch.setattr(doctor_limits, "_INOTIFY", tmp_path)
    assert inotify_limits() is None
    (tmp_path / "max_user_watches").write_text("8192\n")
    (tmp_path / "max_user_instances").write_text("128\n")
    assert inotify_limits() == InotifyLimits(8192, 128)


def test_open_files() -> None:
    """macOS gives 256 to begin with, which is too few."""
    assert open_files_finding(None).ok
    assert open_files_finding(1024).ok
    assert open_files_finding(256).code == "open-files-low"


# --- the bucket -------------------------------------------------------------------------------------------------------


def test_no_bucket(at: Fixture) -> None:
    """A bucket that could not be opened is a finding."""
    project = Project("api", str(at.root), "s3://gone/api")
    findings = examine(project, at.folder, None, state_dir=at.root, clock=StoppedClock(), inotify=lambda: None)
    assert bad(findings) == [("bucket", "no-bucket")]


def test_offline(at: Fixture) -> None:
    """Nobody there: said once, and nothing is tried."""
    bucket = bucket_of().client(faults=lambda *_: Fault(Transient("no route", offline=True)))
    assert bad(found(at, bucket)) == [("bucket", "temporary")]
    assert bucket.requests.PUT == 0


def test_credentials(at: Fixture) -> None:
    """Wrong credentials say what their error says."""
    bucket = bucket_of().client(faults=lambda *_: Fault(AuthExpired("expired", hint="aws sso login")))
    findings = found(at, bucket)
    assert bad(findings) == [("bucket", "auth")]
    assert findings[-1].hint == "aws sso login"


def test_document(at: Fixture) -> None:
    """The bucket's document is gone, of another project, or of a later format; none is fine before the first sync."""
    assert bad(found(at, MemoryBucket())) == [("bucket", "remote-emptied")]
    assert bad(found(at, bucket_of("another"))) == [("bucket", "other-project")]
    later = MemoryBucket()
    later.put(PROJECT, Bytes(encode_project(ProjectDocument("project", 1)) + b"}"), replaces=None, meta={})
    assert bad(found(at, later)) == [("bucket", "project-document")]
    (at.root / ".dorky/folder.json").unlink()
    assert bad(found(at, MemoryBucket())) == [("marker", "no-marker")]


@pytest.mark.parametrize(("verb", "word"), [("PUT", "create"), ("DELETE", "delete")])
def test_denied(at: Fixture, verb: Verb, word: str) -> None:
    """The step that is refused is named, with what to allow."""
    findings = found(at, failing(verb, Denied("403")))
    assert bad(findings)[0] == ("bucket-write", "denied")
    (first, *_) = [finding for finding in findings if not finding.ok]
    assert f"cannot {word} an object" in first.detail
    assert f"allow this identity to {word}" in first.hint


def test_left_behind(at: Fixture) -> None:
    """What may not be deleted is named, so that a person can."""
    bucket = failing("DELETE", Denied("403"))
    assert bad(found(at, bucket)) == [("bucket-write", "denied"), ("bucket-write", "left-behind")]
    assert len(keys(bucket)) == 2


def test_lost_reply(at: Fixture) -> None:
    """An object whose reply was lost is removed all the same."""
    bucket = failing("PUT", Transient("broken pipe"), after=True, times=1)
    assert bad(found(at, bucket)) == [("bucket-write", "temporary")]
    assert keys(bucket) == [PROJECT]


def test_careless_store(at: Fixture) -> None:
    """A store that ignores conditions is found out, and accepted only where settings accept it."""
    careless = Careless()
    News(careless).create_project(ProjectDocument("project", 1))
    findings = found(at, careless)
    assert bad(findings) == [("bucket-conditions", "unsafe-store")]
    assert bad(found(at, careless, single_writer=True)) == []
    assert keys(careless) == [PROJECT]


def test_pull_writes_nothing(at: Fixture) -> None:
    """`mode: pull` never writes the bucket, not even to try."""
    bucket = failing("PUT", Denied("403"))
    assert bad(found(at, bucket, mode=Mode.PULL)) == []
    assert bucket.requests.PUT == 0


@pytest.mark.parametrize(
    ("modified", "offset"), [(100, 0.0), (101, 0.0), (102, -1.0), (99, 0.0), (98, 1.0), (500, -399.0), (0, 99.0)]
)
def test_clock_offset(modified: int, offset: float) -> None:
    """What whole seconds and the time of the request leave open counts as no difference."""
    assert clock_offset_s(modified, 100_000_000_000, 101_000_000_000) == offset


def test_clock(at: Fixture) -> None:
    """Five minutes off is worth saying; a store without times says nothing."""
    assert bad(found(at, bucket_of(seconds=NOW_S + 299))) == []
    assert bad(found(at, bucket_of(seconds=NOW_S + 302))) == [("clock", "clock-off")]
    assert bad(found(at, bucket_of(seconds=NOW_S - 302))) == [("clock", "clock-off")]
    assert "clock" not in {finding.check for finding in found(at, bucket_of(seconds=None))}
    assert "ahead of" in clock_finding(301).detail
    assert "behind" in clock_finding(-301).detail


@pytest.mark.parametrize(("verb", "word"), [("GET", "read"), ("LIST", "list"), ("COPY", "copy")])
def test_each_right_is_tried(at: Fixture, verb: Verb, word: str) -> None:
    """Reading, listing and copying are tried too, on the throw-away key, and what is refused is named."""
    bucket = failing(verb, Denied("403"))
    assert bad(found(at, bucket)) == [("bucket-write", "denied")]
    (refused,) = [finding for finding in found(at, bucket) if not finding.ok]
    assert f"cannot {word} an object" in refused.detail
    assert keys(bucket) == [PROJECT]


def test_pull_reads_and_lists(at: Fixture) -> None:
    """A reader's own rights are tried."""
    bucket = failing("LIST", Denied("403"))
    assert bad(found(at, bucket, mode=Mode.PULL)) == [("bucket-read", "denied")]
    assert "bucket-read" in {finding.check for finding in found(at, mode=Mode.PULL)}


class Settled(MemoryBucket):
    """A bucket that tells how it is set up."""

    def inspect(self) -> list[Setting]:
        return [
            Setting("versioning", True, "off", hint="turn it on", code="versioning-off"),
            Setting("lifecycle", None, "needs s3:GetLifecycleConfiguration"),
            Setting("public-access", False, "open", hint="block it", code="public-access"),
        ]


def test_settings(at: Fixture) -> None:
    """How the bucket is set up: fine with advice, unknown, or bad; unknown is no fault."""
    bucket = Settled()
    News(bucket).create_project(ProjectDocument("project", 1))
    findings = {finding.check: finding for finding in found(at, bucket)}
    assert bad(list(findings.values())) == [("public-access", "public-access")]
    assert findings["versioning"].hint == "turn it on"
    assert findings["lifecycle"].detail == "unknown (needs s3:GetLifecycleConfiguration)"


def test_environment() -> None:
    """A variable of the shell that the daemon does not see is told, as the fault only where credentials failed."""
    project = Project("api", "/p", "s3://b/p")

    def told(shell: list[str], *, refused: bool, ours: list[str]) -> list[tuple[bool, str]]:
        return [(one.ok, one.code) for one in environment_findings(project, shell, refused=refused, ours=ours)]

    assert told(["AWS_PROFILE", "GOOGLE_X", "HOME"], refused=False, ours=[]) == [(True, "environment-differs")]
    assert told(["AWS_PROFILE"], refused=True, ours=[]) == [(False, "environment-differs")]
    assert told(["AWS_PROFILE"], refused=True, ours=["AWS_PROFILE"]) == [(True, "")]
    assert told([], refused=True, ours=["AWS_REGION"]) == [(True, "")]
    (finding,) = environment_findings(project, ["AWS_PROFILE"], refused=True, ours=[])
    assert finding.detail.startswith("AWS_PROFILE: set in your shell")
    assert list(environment_findings(Project("a", "/p", "file:///b"), ["AWS_PROFILE"], refused=True)) == []


# --- git --------------------------------------------------------------------------------------------------------------


def git(at: pathlib.Path, *words: str) -> None:
    """Run git there, untouched by this machine's configuration."""
    env = {"PATH": os.environ["PATH"], "HOME": str(at), "GIT_CONFIG_NOSYSTEM": "1"}
    subprocess.run(["git", "-C", str(at), *words], env=env, check=True, capture_output=True)


needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@needs_git
def test_in_no_repository(at: Fixture) -> None:
    """Most folders are in none."""
    assert "git" not in {finding.check for finding in found(at)}


@needs_git
def test_ignored_by_git(at: Fixture) -> None:
    """Ignored as a folder, or all in it but the team's file: fine."""
    at.write(".env")
    git(at.root.parent, "init")
    assert bad(found(at)) == [("git", "git-exposed")]
    for text in ("/root/\n", "/root/*\n!/root/.dorky.yaml\n"):
        (at.root.parent / ".gitignore").write_text(text)
        assert bad(found(at)) == []
        assert "git" in {finding.check for finding in found(at)}


@needs_git
def test_tracked_by_git(at: Fixture) -> None:
    """Synced files that git tracks too are counted and named; what sync ignores is git's own."""
    for path in ("a", "b", "c", "d", "code.py"):
        at.write(path)
    (at.root / ".dorky.yaml").write_text("")
    git(at.root.parent, "init")
    git(at.root, "add", "a", "b", "c", "d", "code.py", ".dorky.yaml")
    (at.root.parent / ".gitignore").write_text("/root/\n")
    findings = found(at, rules=IgnoreRules(("*.py",)))
    assert bad(findings) == [("git", "git-tracked")]
    (tracked,) = [finding for finding in findings if not finding.ok]
    assert tracked.detail == "4 synced files are also tracked by git: 'a', 'b', 'c' and 1 more"


@needs_git
def test_secrets_tracked_by_git(at: Fixture) -> None:
    """A repository's history and every clone of it have them: told apart from files that are merely tracked."""
    at.write(".env")
    at.write("plain")
    git(at.root.parent, "init")
    git(at.root, "add", ".env", "plain")
    (at.root.parent / ".gitignore").write_text("/root/\n")
    assert bad(found(at)) == [("git", "git-tracked"), ("git", "git-secrets")]
    (told,) = [finding for finding in found(at) if finding.code == "git-secrets"]
    assert "1 synced file ('.env')" in told.detail
    assert "rm --cached .env" in told.hint


def test_secrets_in_a_public_bucket(at: Fixture) -> None:
    """Only where there are both."""
    public = [Finding("public-access", ok=False, detail="open", code="public-access")]
    rules = IgnoreRules()
    at.write("plain")
    assert list(public_findings(at.root, at.folder, rules, public)) == []
    at.write("d/.env.prod")
    assert list(public_findings(at.root, at.folder, rules, [])) == []
    (finding,) = public_findings(at.root, at.folder, rules, public)
    assert (finding.code, finding.ok) == ("secrets-public", False)
    assert "'d/.env.prod'" in finding.detail


@needs_git
def test_folder_is_the_repository(at: Fixture) -> None:
    """Its root cannot be ignored: the advice is another."""
    git(at.root, "init")
    (exposed,) = [finding for finding in found(at) if not finding.ok]
    assert exposed.code == "git-exposed"
    assert "inside the repository that git ignores" in exposed.hint


def test_no_git(at: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without git has no such trouble."""
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert bad(found(at)) == []


def test_git_hangs(at: Fixture, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git that does not answer is a finding."""

    def hang(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("git", 20)

    monkeypatch.setattr(shutil, "which", lambda _name: "/usr/bin/git")
    monkeypatch.setattr(subprocess, "run", hang)
    assert bad(found(at)) == [("git", "git-unknown")]
