"""The directory bucket: the contract, and what other tools, crashes and other processes do to a plain directory."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Callable, ItemsView
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import pytest

from dorkyd.buckets.directory import DirectoryBucket
from dorkyd.buckets.directory_files import FileState, Root
from dorkyd.buckets.directory_internals import Recorded, Sidecars
from dorkyd.buckets.directory_walk import Walk
from dorkyd.core.model import Digest
from dorkyd.errors import Blocked, DiskFull, Stale, Transient, Unsupported
from tests.buckets.contract import BucketContract, BytesBody, content, create, keys, listed, look

REPOSITORY = Path(__file__).parents[2]
META = {"dorky-op": "0" * 32}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where the bucket is."""
    return tmp_path / "bucket"


@pytest.fixture
def bucket(root: Path) -> DirectoryBucket:
    """A bucket of its own for each test."""
    return DirectoryBucket(root)


class TestDirectoryBucket(BucketContract):
    holds_clashes: ClassVar[bool] = False

    @pytest.fixture
    def bucket(self, root: Path) -> DirectoryBucket:
        return DirectoryBucket(root)


class Meddling(dict[str, str]):
    """Metadata that lets another tool act in the middle of a write: after the look, before the file has its name."""

    def __init__(self, act: Callable[[], Any]) -> None:
        super().__init__(META)
        self.left = [act]

    def items(self) -> ItemsView[str, str]:  # type: ignore[override]
        if self.left:
            self.left.pop()()
        return super().items()


def copy_of(root: Path) -> Path:
    """Where a test copies the bucket to."""
    return root.with_name("copy")


def script(code: str, *argv: object, wrap: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """Another process that imports dorkyd."""
    command = [*wrap, sys.executable, "-c", code, *map(str, argv)]
    return subprocess.Popen(command, cwd=REPOSITORY, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


# --- other tools -----------------------------------------------------------------------------------------------------


def test_plain_file(bucket: DirectoryBucket, root: Path) -> None:
    """An object is the file of its key, which anybody can read."""
    create(bucket, "d/f.txt", b"hello")
    assert (root / "d/f.txt").read_bytes() == b"hello"


def test_foreign_file(bucket: DirectoryBucket, root: Path) -> None:
    """A file that another tool put there is an object without metadata, which can be replaced and deleted."""
    (root / "d").mkdir()
    (root / "d/f").write_bytes(b"foreign")
    info = look(bucket, "d/f")
    assert info.meta == {}
    assert content(bucket, "d/f", if_match=info.version) == b"foreign"
    written = bucket.put("d/f", BytesBody(b"ours"), replaces=info.version, meta=META)
    bucket.delete("d/f", replaces=written.version)
    assert keys(bucket) == []


def test_foreign_replace(bucket: DirectoryBucket, root: Path, tmp_path: Path) -> None:
    """A file moved over ours, with our size and mtime, is another version and has no metadata."""
    old = create(bucket, "k", b"ours!", META)
    other = tmp_path / "other"
    other.write_bytes(b"other")
    shutil.copystat(root / "k", other)
    other.replace(root / "k")
    info = look(bucket, "k")
    assert info.version != old.version
    assert info.meta == {}
    with pytest.raises(Stale):
        bucket.put("k", BytesBody(b"late"), replaces=old.version, meta={})
    with pytest.raises(Stale):
        bucket.delete("k", replaces=old.version)
    assert (root / "k").read_bytes() == b"other"


def test_foreign_edit(bucket: DirectoryBucket, root: Path) -> None:
    """An edit in place is another version without metadata."""
    old = create(bucket, "k", b"ours!", META)
    (root / "k").write_bytes(b"other")
    info = look(bucket, "k")
    assert info.version != old.version
    assert info.meta == {}
    assert listed(bucket)[0].version == info.version


def test_foreign_edit_with_restored_mtime(bucket: DirectoryBucket, root: Path) -> None:
    """An edit in place of equal size whose tool restored the mtime shows all the same."""
    old = create(bucket, "k", b"ours!")
    before = (root / "k").stat()
    deadline = time.monotonic() + 10
    while (root / "k").stat().st_ctime_ns == before.st_ctime_ns:  # until the file system's clock ticked
        assert time.monotonic() < deadline
        (root / "k").write_bytes(b"other")
        os.utime(root / "k", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert look(bucket, "k").version != old.version


def test_edited_while_read(bucket: DirectoryBucket, root: Path) -> None:
    """A download whose file is edited in place is stale, and gives out no byte of the edit."""
    create(bucket, "k", b"a" * 3 * 1024 * 1024)
    with bucket.get("k") as reading:
        chunks = iter(reading)
        assert set(next(chunks)) == {ord("a")}
        (root / "k").write_bytes(b"b" * 3 * 1024 * 1024)
        with pytest.raises(Stale):
            next(chunks)


def test_replaced_while_read(bucket: DirectoryBucket) -> None:
    """A download goes on undisturbed when its object is replaced and deleted."""
    data = b"a" * 3 * 1024 * 1024
    old = create(bucket, "k", data)
    with bucket.get("k") as reading:
        chunks = iter(reading)
        first = next(chunks)
        new = bucket.put("k", BytesBody(b"new"), replaces=old.version, meta={})
        bucket.delete("k", replaces=new.version)
        assert first + b"".join(chunks) == data


def test_foreign_file_in_between(bucket: DirectoryBucket, root: Path) -> None:
    """A file that another tool makes after our look is not overwritten by a create."""
    with pytest.raises(Stale):
        create(bucket, "k", b"ours", Meddling(lambda: (root / "k").write_bytes(b"theirs")))
    assert (root / "k").read_bytes() == b"theirs"


def test_foreign_file_in_between_without_links(
    bucket: DirectoryBucket, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the file system has no hard links a create works, and still looks right before its rename."""

    def refuse(*args: object, **options: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    written = create(bucket, "d/k")
    assert look(bucket, "d/k").version == written.version
    with pytest.raises(Stale):
        create(bucket, "k", b"ours", Meddling(lambda: (root / "k").write_bytes(b"theirs")))
    assert (root / "k").read_bytes() == b"theirs"


def test_folder_vanishes_in_between(bucket: DirectoryBucket, root: Path) -> None:
    """A folder that another writer removes as empty under a create is made again."""
    create(bucket, "d/k", b"ours", Meddling((root / "d").rmdir))
    assert content(bucket, "d/k") == b"ours"


@pytest.mark.parametrize("kind", ["file", "folder", "dangling", "fifo"])
def test_special(bucket: DirectoryBucket, root: Path, tmp_path: Path, kind: str) -> None:
    """A symlink or special file is never followed, opened, replaced or taken for absent."""
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/secret").write_bytes(b"x")
    if kind == "fifo":
        os.mkfifo(root / "k")
    else:
        goal = {"file": "outside/secret", "folder": "outside", "dangling": "nowhere"}[kind]
        (root / "k").symlink_to(tmp_path / goal)
    for act in (
        lambda: bucket.head("k"),
        lambda: bucket.head("k/secret"),
        lambda: content(bucket, "k"),
        lambda: create(bucket, "k"),
        lambda: create(bucket, "k/new"),
    ):
        with pytest.raises(Unsupported) as caught:
            act()
        assert caught.value.code == "special"
    assert keys(bucket) == ["k"]
    assert sorted(path.name for path in (tmp_path / "outside").iterdir()) == ["secret"]


def test_name_that_is_not_text(bucket: DirectoryBucket, root: Path) -> None:
    """A name that is not UTF-8 cannot be a key: a listing passes over it."""
    create(bucket, "k")
    Path(os.fsdecode(bytes(root) + b"/\xff")).write_bytes(b"")
    assert keys(bucket) == ["k"]


# --- keys ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/a",
        "a/",
        "a//b",
        ".",
        "a/..",
        "../a",
        "a/./b",
        "a\0b",
        "\udcff",
        ".dorky/directory",
        ".Dorky/DIRECTORY/tmp/x",
    ],
)
def test_bad_key(bucket: DirectoryBucket, key: str) -> None:
    """A key that would leave the directory, or fall among our own files, is refused."""
    with pytest.raises(Unsupported) as caught:
        create(bucket, key)
    assert caught.value.code == "bad-key"
    with pytest.raises(Unsupported):
        bucket.head(key)


def test_long_name(bucket: DirectoryBucket) -> None:
    """A name may have 255 bytes and no more; a key may be longer than the system's longest path."""
    with pytest.raises(Unsupported) as caught:
        create(bucket, "é" * 128)
    assert caught.value.code == "name-too-long"
    deep = "/".join(["n" * 255] * 20)
    create(bucket, deep)
    assert keys(bucket) == [deep]


def test_internals_are_hidden(bucket: DirectoryBucket) -> None:
    """Our own files are in no listing; what else is below `.dorky/` is ordinary."""
    create(bucket, ".dorky/project.json", b"x", META)
    create(bucket, ".dorky/directory-2", b"x", META)
    assert keys(bucket) == [".dorky/directory-2", ".dorky/project.json"]
    assert keys(bucket, ".dorky/directory/") == []
    assert keys(bucket, ".dorky/directory/meta/") == []


def test_empty_folders_go(bucket: DirectoryBucket, root: Path) -> None:
    """Deleting the last key of a folder removes the folders it empties, never the root nor `.dorky`."""
    kept = create(bucket, "a/kept")
    gone = create(bucket, "a/b/c/gone")
    log = create(bucket, ".dorky/log/1")
    bucket.delete("a/b/c/gone", replaces=gone.version)
    assert sorted(path.name for path in (root / "a").iterdir()) == ["kept"]
    bucket.delete("a/kept", replaces=kept.version)
    bucket.delete(".dorky/log/1", replaces=log.version)
    assert [path.name for path in root.iterdir()] == [".dorky"]
    assert [path.name for path in (root / ".dorky").iterdir()] == ["directory"]


def test_refused_create_leaves_no_folder(bucket: DirectoryBucket, root: Path) -> None:
    """An update of a key in a folder that does not exist leaves no folder behind."""
    old = create(bucket, "a/k")
    bucket.delete("a/k", replaces=old.version)
    with pytest.raises(Stale):
        bucket.put("a/k", BytesBody(b""), replaces=old.version, meta={})
    assert not (root / "a").exists()


def test_failed_create_leaves_no_folder(bucket: DirectoryBucket, root: Path) -> None:
    """A create that fails after it made its folders removes them again, and its staged body."""

    def fail() -> None:
        raise OSError(errno.ENOSPC, "full")

    with pytest.raises(DiskFull):
        create(bucket, "a/b/k", b"x", Meddling(fail))
    assert not (root / "a").exists()
    assert list((root / ".dorky/directory/tmp").iterdir()) == []


def test_delete_drops_the_sidecar(bucket: DirectoryBucket, root: Path) -> None:
    """Nothing is remembered of a deleted object."""
    written = create(bucket, "k", b"x", META)
    assert len(list((root / ".dorky/directory/meta").glob("*/*"))) == 1
    bucket.delete("k", replaces=written.version)
    assert list((root / ".dorky/directory/meta").glob("*/*")) == []


def test_empty_folder_gives_way(bucket: DirectoryBucket, root: Path) -> None:
    """A folder that holds nothing is no object and does not keep a key from its name."""
    (root / "k").mkdir()
    assert bucket.head("k") is None
    create(bucket, "k", b"file")
    assert content(bucket, "k") == b"file"


# --- crashes ---------------------------------------------------------------------------------------------------------


def test_crash_before_the_rename(bucket: DirectoryBucket, root: Path) -> None:
    """After a crash between metadata and data the old state has its own metadata, and can be replaced."""
    old = create(bucket, "k", b"old", {"note": "old"})
    present = FileState.of((root / "k").stat())
    bucket._sidecars.record("k", FileState(1, 2, 3, 4), {"note": "never"}, None, present=present)
    assert look(bucket, "k").version == old.version
    assert look(bucket, "k").meta == {"note": "old"}
    bucket.put("k", BytesBody(b"new"), replaces=old.version, meta={"note": "new"})
    assert look(bucket, "k").meta == {"note": "new"}


def test_crash_after_the_rename(bucket: DirectoryBucket, root: Path) -> None:
    """After a crash right behind the rename the new state has its own metadata."""
    create(bucket, "k", b"old", {"note": "old"})
    staged = root / ".dorky/directory/tmp/staged"
    staged.write_bytes(b"new")
    present = FileState.of((root / "k").stat())
    bucket._sidecars.record("k", FileState.of(staged.stat()), {"note": "new"}, None, present=present)
    staged.rename(root / "k")
    assert look(bucket, "k").meta == {"note": "new"}
    assert content(bucket, "k") == b"new"


def test_crash_between_the_names(bucket: DirectoryBucket, root: Path) -> None:
    """A create that died before it dropped its staged name is an object with its metadata, also after the sweep."""
    create(bucket, "k", b"data", {"note": "kept"})
    staged = root / ".dorky/directory/tmp/staged"
    os.link(root / "k", staged)
    assert look(bucket, "k").meta == {"note": "kept"}
    staged.unlink()
    assert look(bucket, "k").meta == {"note": "kept"}
    assert content(bucket, "k") == b"data"


def test_copied(bucket: DirectoryBucket, root: Path) -> None:
    """What another tool copied keeps its metadata, as long as it has its bytes; so does what the store copies then."""
    create(bucket, "d/k", b"ours", META)
    create(bucket, "other", b"ours!", META)
    shutil.copytree(root, copy_of(root), copy_function=shutil.copyfile)
    copy = DirectoryBucket(copy_of(root))
    (copy_of(root) / "other").write_bytes(b"their")
    assert look(copy, "d/k").meta == META
    assert content(copy, "d/k") == b"ours"
    assert look(copy, "other").meta == {}
    written = copy.copy(
        "d/k", "new", source_version=look(copy, "d/k").version, replaces=None, meta={"dorky-op": "1" * 32}
    )
    assert look(copy, "new").meta == {"dorky-op": "1" * 32}
    # Killed while the copy is replaced: what stands there is still told of.
    copy._sidecars.record("d/k", FileState(1, 2, 3, 4), {}, None, present=FileState.of((copy_of(root) / "d/k").stat()))
    assert look(copy, "d/k").meta == META
    shutil.copytree(copy_of(root), root.with_name("again"), copy_function=shutil.copyfile)
    assert look(DirectoryBucket(root.with_name("again")), "new").meta == {"dorky-op": "1" * 32}
    assert written.version == look(copy, "new").version


def test_malformed_sidecar(bucket: DirectoryBucket, root: Path) -> None:
    """A sidecar that makes no sense says nothing: its object counts as another tool's."""
    create(bucket, "k", b"data", META)
    (sidecar,) = (root / ".dorky/directory/meta").glob("*/*.json")
    for text in ("", "[]", '{"states": 1}', '{"states": [{"bond": [1], "meta": {}}]}', '{"states": [{"bond": "abc"}]}'):
        sidecar.write_text(text)
        assert look(bucket, "k").meta == {}


def test_leftovers(bucket: DirectoryBucket, root: Path) -> None:
    """Staged files older than a day are removed at the first write, younger ones are perhaps in use."""
    create(bucket, "k")
    tmp = root / ".dorky/directory/tmp"
    assert list(tmp.iterdir()) == []
    (tmp / "old").write_bytes(b"")
    (tmp / "young").write_bytes(b"")
    os.utime(tmp / "old", (1, 1))
    create(DirectoryBucket(root), "other")
    assert [path.name for path in tmp.iterdir()] == ["young"]


# --- the directory itself --------------------------------------------------------------------------------------------


def test_root_missing(bucket: DirectoryBucket, root: Path) -> None:
    """While the directory is not there everything waits, and nothing makes it again."""
    old = create(bucket, "k")
    root.rename(root.with_name("away"))
    for act in (
        lambda: bucket.head("k"),
        lambda: bucket.read("k"),
        lambda: keys(bucket),
        lambda: keys(bucket, "d/"),
        lambda: create(bucket, "new"),
        lambda: bucket.delete("k", replaces=old.version),
    ):
        with pytest.raises(Transient) as caught:
            act()
        assert caught.value.offline
    assert not root.exists()
    root.with_name("away").rename(root)
    assert look(bucket, "k").version == old.version


def test_root_emptied(bucket: DirectoryBucket, root: Path) -> None:
    """An emptied directory reads as empty, and the next write makes what it needs."""
    create(bucket, "d/k", b"x", META)
    for path in root.iterdir():
        shutil.rmtree(path)
    assert bucket.head("d/k") is None
    assert keys(bucket) == []
    create(bucket, "d/k", b"again", META)
    assert look(bucket, "d/k").meta == META


def test_another_directory_in_its_place(bucket: DirectoryBucket, root: Path) -> None:
    """The mount point that an unmounted disk leaves, or another disk there, is offline: neither read nor written."""
    old = create(bucket, "k", b"x", META)
    root.rename(root.with_name("away"))
    root.mkdir()
    for found in ("a mount point", "another bucket"):
        for act in (
            lambda: bucket.head("k"),
            lambda: keys(bucket),
            lambda: create(bucket, "new"),
            lambda: bucket.delete("k", replaces=old.version),
        ):
            with pytest.raises(Transient) as caught:
                act()
            assert caught.value.offline, found
        if found == "a mount point":
            assert list(root.iterdir()) == []
            create(DirectoryBucket(root), "k", b"other")
    root.rename(root.with_name("other"))
    shutil.copytree(root.with_name("away"), root)
    assert content(bucket, "k") == b"x"


def test_unmounted_while_it_is_listed(bucket: DirectoryBucket, root: Path) -> None:
    """A listing that began in the bucket does not end in a mount point, as if nothing more were there."""
    for key in ("a/k", "b/k"):
        create(bucket, key)
    walk = Walk(bucket._root, b"", b"").items()
    assert next(walk).key == "a/k"
    root.rename(root.with_name("away"))
    root.mkdir()
    with pytest.raises(Transient):
        next(walk)


def test_parent_missing(tmp_path: Path) -> None:
    """Without `create` no parents are made: they may be a disk that is not mounted."""
    bucket = DirectoryBucket(tmp_path / "disk/bucket")
    with pytest.raises(Transient):
        create(bucket, "k")
    assert not (tmp_path / "disk").exists()


def test_embedded(tmp_path: Path) -> None:
    """With `create` everything is made, for this user alone."""
    create(DirectoryBucket(tmp_path / "state/bucket", create=True), "k")
    assert stat.S_IMODE((tmp_path / "state/bucket").stat().st_mode) == 0o700


def test_root_is_a_file(tmp_path: Path) -> None:
    """A file in the directory's place is a person's to mend."""
    (tmp_path / "bucket").write_bytes(b"")
    with pytest.raises(Blocked):
        keys(DirectoryBucket(tmp_path / "bucket"))


UNREADABLE = """
import sys
from dorkyd.buckets.directory import DirectoryBucket
bucket = DirectoryBucket(sys.argv[1])
for act in (lambda: bucket.head("f"), lambda: bucket.head("d/f"), lambda: list(bucket.list())):
    try:
        print(act())
    except Exception as exc:
        print(type(exc).__name__)
"""


def test_unreadable(bucket: DirectoryBucket, root: Path) -> None:
    """What may not be read is unknown, never absent: `Denied` for a file, a file in a folder, and a listing."""
    create(bucket, "f")
    create(bucket, "d/f")
    capabilities = "-dac_override,-dac_read_search"
    wrap: tuple[str, ...] = ()
    if os.geteuid() == 0:
        if shutil.which("setpriv") is None:
            pytest.skip("root may read everything, and there is no setpriv to give that up")
        wrap = ("setpriv", f"--inh-caps={capabilities}", f"--bounding-set={capabilities}")
    (root / "f").chmod(0)
    (root / "d").chmod(0)
    try:
        out, trouble = script(UNREADABLE, root, wrap=wrap).communicate(timeout=60)
    finally:
        (root / "d").chmod(0o700)
    assert out.split() == ["Denied"] * 3, trouble


FULL = """
import subprocess, sys
from dorkyd.buckets.directory import DirectoryBucket
from dorkyd.errors import DiskFull
from tests.buckets.contract import create, keys
if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", sys.argv[1]]).returncode:
    sys.exit(77)
bucket = DirectoryBucket(sys.argv[1])
create(bucket, "small")
try:
    create(bucket, "d/big", b"x" * 2**21)
except DiskFull:
    print(keys(bucket))
"""


def test_full(root: Path) -> None:
    """A full disk is `DiskFull`, and nothing of the write is left."""
    root.mkdir()
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rm", "true"], check=False).returncode:
        pytest.skip("this system gives us no mount namespace")
    process = script(FULL, root, wrap=("unshare", "-rm"))
    out, trouble = process.communicate(timeout=60)
    if process.returncode == 77:
        pytest.skip("no tmpfs can be mounted here")
    assert out == "['small']\n", trouble


# --- at the same time ------------------------------------------------------------------------------------------------

INCREMENTS = """
import sys
from dorkyd.buckets.directory import DirectoryBucket
from dorkyd.errors import Stale
from tests.buckets.contract import BytesBody
bucket = DirectoryBucket(sys.argv[1])
for _ in range(int(sys.argv[2])):
    while True:
        info, data = bucket.read("count")
        assert info.meta["dorky-op"] == data.decode(), (info.meta, data)
        text = str(int(data) + 1)
        try:
            bucket.put("count", BytesBody(text.encode()), replaces=info.version, meta={"dorky-op": text})
            break
        except Stale:
            pass
"""


def test_processes_race(bucket: DirectoryBucket, root: Path) -> None:
    """Two processes that count up one object lose no step, and metadata always belongs to its bytes."""
    create(bucket, "count", b"0", {"dorky-op": "0"})
    processes = [script(INCREMENTS, root, 100) for _ in range(2)]
    for process in processes:
        out, trouble = process.communicate(timeout=200)
        assert process.returncode == 0, out + trouble
    assert content(bucket, "count") == b"200"


def test_versions_never_return(bucket: DirectoryBucket, root: Path) -> None:
    """Equal bytes written again and again, on inodes used again, never have one version twice, nor one mtime:
    a file system's ctime may be too coarse to tell them apart.
    """
    versions = set()
    mtimes = set()
    for _ in range(100):
        written = create(bucket, "k", b"same")
        versions.add(written.version)
        mtimes.add((root / "k").stat().st_mtime_ns)
        bucket.delete("k", replaces=written.version)
    assert (len(versions), len(mtimes)) == (100, 100)


def test_metadata_alone_is_a_new_version(bucket: DirectoryBucket) -> None:
    """Unlike S3, a change of metadata alone has a version of its own."""
    old = create(bucket, "k", b"same")
    assert bucket.copy("k", "k", source_version=old.version, replaces=old.version, meta=META).version != old.version


def test_copy_without_the_kernel(bucket: DirectoryBucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy works on systems whose kernel cannot copy files itself."""
    monkeypatch.delattr(os, "copy_file_range", raising=False)
    old = create(bucket, "k", b"bytes")
    bucket.copy("k", "c", source_version=old.version, replaces=None, meta=None)
    assert content(bucket, "c") == b"bytes"


def test_folders_come_and_go(bucket: DirectoryBucket) -> None:
    """Writers that fill and empty one folder at the same time do not disturb each other."""

    def work(number: int) -> None:
        for _ in range(40):
            written = create(bucket, f"d/e/{number}")
            bucket.delete(f"d/e/{number}", replaces=written.version)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, range(4)))
    assert keys(bucket) == []


class Overtaken(Sidecars):
    """Sidecars that are read only after the object was replaced twice since its file was opened."""

    def __init__(self, root: Path, replace: Callable[[], Any]) -> None:
        super().__init__(Root(str(root)))
        self.left = [replace, replace]

    def find(self, key: str, state: FileState, digest: Callable[[], Digest]) -> Recorded | None:
        while self.left:
            self.left.pop()()
        return super().find(key, state, digest)


def test_overtaken_look(bucket: DirectoryBucket, root: Path) -> None:
    """A look that finds no metadata for its state, since newer states took its place, looks again."""
    create(bucket, "k", b"x", META)
    other = DirectoryBucket(root)
    bucket._sidecars = Overtaken(
        root, lambda: other.put("k", BytesBody(b"y"), replaces=look(other, "k").version, meta=META)
    )
    info = look(bucket, "k")
    assert info.meta == META
    assert info.version == look(other, "k").version


def test_looking_while_others_write(bucket: DirectoryBucket) -> None:
    """A key that is replaced all the time is in every listing, and every look tells its metadata."""
    create(bucket, "k", b"0", META)

    def replace() -> None:
        for _ in range(100):
            bucket.put("k", BytesBody(b"1"), replaces=look(bucket, "k").version, meta=META)

    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(replace)
        while not done.done():
            assert keys(bucket) == ["k"]
            assert look(bucket, "k").meta == META
        done.result()
