from __future__ import annotations

import re
import stat
from pathlib import Path

import pytest

from dorkyd import config
from dorkyd.core.settings import (
    Bandwidth,
    Converting,
    GiB,
    Guard,
    Listen,
    MiB,
    Mode,
    Project,
    PushQueue,
    Settings,
    TrashLimits,
)
from dorkyd.errors import Configuration

EXAMPLE = Path(__file__).parents[1] / "config" / "dorkyd.example.yaml"


@pytest.fixture
def homes(tmp_path: Path) -> config.Homes:
    """A `DORKY_HOME` beside the folders that tests use."""
    return config.find_homes({"HOME": str(tmp_path), "DORKY_HOME": str(tmp_path / "dorky")})


def read(text: str, homes: config.Homes) -> Settings:
    """The settings of a text on a machine named `host`."""
    return config.read_settings(text, homes, host="host")


def one(lines: str, homes: config.Homes) -> Project:
    """The only project of a text: `path` and `bucket` are there already."""
    indented = "".join(f"    {line}\n" for line in lines.splitlines())
    (project,) = read(f"projects:\n  - path: /p/api\n    bucket: s3://acme/api\n{indented}", homes).projects
    return project


# --- where things stand ----------------------------------------------------------------------------------------------


def test_dorky_home_holds_everything() -> None:
    """With DORKY_HOME set nothing of ours stands elsewhere."""
    homes = config.find_homes({"HOME": "/h", "DORKY_HOME": "~/d", "XDG_STATE_HOME": "/x"})
    assert homes == config.Homes(
        Path("/h/d/config.yaml"), Path("/h/d/state"), Path("/h/d/run/dorkyd.sock"), Path("/h"), (Path("/h/d"),)
    )


def test_xdg_folders() -> None:
    """Without it each kind of file has its XDG folder."""
    environ = {"HOME": "/h", "XDG_CONFIG_HOME": "/c", "XDG_STATE_HOME": "/s", "XDG_RUNTIME_DIR": "/r"}
    homes = config.find_homes(environ)
    assert (homes.config_file, homes.state_dir) == (Path("/c/dorky/config.yaml"), Path("/s/dorky"))
    assert (homes.socket, homes.run_dir) == (Path("/r/dorky/dorkyd.sock"), Path("/r/dorky"))


def test_defaults_below_the_home() -> None:
    """No runtime folder: the socket stands with the state. A relative XDG variable counts as unset."""
    homes = config.find_homes({"HOME": "/h", "XDG_CONFIG_HOME": "relative"})
    assert homes.config_file == Path("/h/.config/dorky/config.yaml")
    assert homes.socket == Path("/h/.local/state/dorky/dorkyd.sock")


def test_a_long_socket_path_is_refused_with_the_remedy() -> None:
    """Over 100 bytes the message tells to shorten DORKY_HOME."""
    with pytest.raises(Configuration, match="at most 100") as raised:
        config.find_homes({"HOME": "/h", "DORKY_HOME": "/" + "x" * 90})
    assert "DORKY_HOME" in raised.value.hint


# --- what settings mean ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "# nothing yet\n", "projects:\n", "projects: []\n", "---\n"])
def test_no_projects(text: str, homes: config.Homes) -> None:
    """An empty file means no projects and the host's name."""
    assert read(text, homes) == Settings(device="host")


def test_no_file_means_no_projects(tmp_path: Path) -> None:
    """A first start needs no file."""
    loaded = config.load({"HOME": str(tmp_path), "DORKY_HOME": str(tmp_path)}, host="host")
    assert (loaded.settings, loaded.text) == (Settings(device="host"), "")


def test_defaults_of_a_project(homes: config.Homes) -> None:
    """A folder and a bucket are enough; the name is the folder's."""
    assert one("", homes) == Project(name="api", path="/p/api", bucket="s3://acme/api")


def test_every_setting_is_read(homes: config.Homes) -> None:
    """Each setting arrives in its field, sizes as bytes."""
    text = """
device: laptop-7
author: Ann Lee
poll_s: 5
projects:
  - {name: a, path: ~/a, bucket: "s3://acme/a/", mode: push, endpoint_url: "http://127.0.0.1:9000/", region: eu-west-1,
     profile: team, single_writer: true, ignore: ["*.tmp", "!node_modules"], settle_s: 0.5, hold_s: 7, list_every_s: 20,
     poll_s: 2, guard: {percent: 50, files: 3, max: 9, window_s: 60}, trash: {days: 1.5, size: 10MiB},
     bucket_trash: {days: 9}}
  - {path: /q/b, bucket: "s3://acme/b"}
"""
    settings = read(text, homes)
    assert (settings.device, settings.author) == ("laptop-7", "Ann Lee")
    assert settings.projects[0] == Project(
        name="a",
        path=f"{homes.home}/a",
        bucket="s3://acme/a",
        mode=Mode.PUSH,
        endpoint_url="http://127.0.0.1:9000",
        region="eu-west-1",
        profile="team",
        single_writer=True,
        ignore=("*.tmp", "!node_modules"),
        settle_s=0.5,
        hold_s=7,
        list_every_s=20,
        poll_s=2,
        guard=Guard(percent=50, files=3, max=9, window_s=60),
        trash=TrashLimits(days=1.5, size=10 * MiB),
        bucket_trash=TrashLimits(days=9),
    )
    assert settings.projects[1].poll_s == 5


@pytest.mark.parametrize(
    ("size", "number"), [("5GiB", 5 * GiB), ("1.5 MiB", 3 * MiB // 2), ("10MB", 10**7), ("0", 0), ("2kB", 2000)]
)
def test_sizes(size: str, number: int, homes: config.Homes) -> None:
    """A size has a binary or decimal unit, or is a number of bytes."""
    assert one(f"trash: {{size: {size}}}", homes).trash.size == number


def test_a_symlinked_folder_is_resolved(tmp_path: Path, homes: config.Homes) -> None:
    """`path` is where the folder really is; a folder that is missing is no mistake of the configuration."""
    (tmp_path / "link").symlink_to(tmp_path / "missing")
    (project,) = read(f"projects: [{{path: {tmp_path}/link, bucket: 's3://acme/a'}}]", homes).projects
    assert project.path == str(tmp_path / "missing")


@pytest.mark.parametrize("written", ["file:///mnt/my team", "file:///mnt/my%20team", "file:///mnt/my team/"])
def test_a_directory_url_has_one_form(written: str, homes: config.Homes) -> None:
    """Spaces as they are or percent-encoded name the same directory."""
    (project,) = read(f"projects: [{{path: /p, name: a, bucket: '{written}'}}]", homes).projects
    assert project.bucket == "file:///mnt/my team"


def test_the_embedded_bucket_is_allowed_among_our_files(homes: config.Homes) -> None:
    """`<state>/buckets/<name>` is the one place of ours that a bucket may have."""
    url = config.embedded_bucket(homes, "my api")
    assert url == f"file://{homes.state_dir}/buckets/my%20api"
    assert (
        read(f"projects: [{{path: /p/api, bucket: '{url}'}}]", homes).projects[0].bucket
        == f"file://{homes.state_dir}/buckets/my api"
    )


# --- what is refused -------------------------------------------------------------------------------------------------

HEAD = "projects:\n  - path: /p/api\n    bucket: s3://acme/api\n"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ignored: []", "unknown setting `ignored` in a project; did you mean `ignore`?"),
        ("path: /q", "`path` is set twice in a project; keep one of them"),
        ("single_writer: yes", "`single_writer` must be true or false"),
        ("single_writer: 'true'", "`single_writer` must be true or false"),
        ("poll_s: fast", "`poll_s` must be a plain number of seconds, such as 1"),
        ("poll_s: 010", "`poll_s` must be a plain number of seconds, such as 1"),
        ("poll_s: 0", "`poll_s` must be from 0.05 to 86400 seconds"),
        ("poll_s: -1", "`poll_s` must be a plain number of seconds, such as 1"),
        ("poll_s: .inf", "`poll_s` must be a plain number of seconds, such as 1"),
        ("hold_s: 0.5", "`hold_s` must be at least `settle_s`, which is 1"),
        ("region:", "`region` has no value; give it one or remove the line"),
        ("region: no", '`region` must be text; YAML reads no as something else: write "no"'),
        ("name: 123", '`name` must be text; YAML reads 123 as something else: write "123"'),
        ("name: api:x", "`name` must begin with a letter or digit"),
        ("name: ../x", "`name` must begin with a letter or digit"),
        ("tripwire: no", "`tripwire` must be text"),
        ("tripwire: shout", "`tripwire` is `shout`; it must be ask or off"),
        ("allow: ['[z-a]']", "in `allow`: "),
        ("merge_env: perhaps", "`merge_env` must be true or false"),
        ("mode: twoway", "`mode` is `twoway`; it must be two-way, push, pull or manual"),
        ("encrypt: '.env*'", "`encrypt` must be a list"),
        ("encrypt: ['[[:digit:]]']", "in `encrypt`: `[[:digit:]` in `[[:digit:]]` is not supported"),
        ("bandwidth: 10MiB", "`bandwidth` must be `key: value` lines"),
        ("bandwidth: {upload: 10MiB}", "unknown setting `upload` in `bandwidth`; known are down, up"),
        ("bandwidth: {up: fast}", "`up` must be a size such as 10MiB, 5GiB or a number of bytes"),
        ("bandwidth: {down: 10}", "`down` must be 0 (no limit) or at least 1KiB a second: is a unit missing?"),
        ("convert: x", "`convert` must be a list"),
        ("convert: [{to: parquet}]", "an entry of `convert` needs a `match`"),
        ("convert: [{match: '*.csv'}]", "`to` must be parquet"),
        ("convert: [{match: '*.csv', to: orc}]", "`to` must be parquet"),
        ("convert: [{match: '!*.csv', to: parquet}]", "`match` must be one gitignore pattern that picks files"),
        (
            "convert: [{match: '*.csv', to: parquet, schema: ../x}]",
            "`schema` must be the path of a file in the project",
        ),
        ("convert: [{match: '*.csv', to: parquet, delimiter: ab}]", "`delimiter` must be one ASCII character"),
        ("convert: [{match: '*.csv', to: parquet, encoding: no-such}]", "`no-such` is no encoding"),
        ("convert: [{match: '*.csv', to: parquet, schme: x}]", "did you mean `schema`?"),
        ("endpoint_url: 127.0.0.1:9000", "`endpoint_url` must be http(s)://HOST:PORT, such as http://127.0.0.1:9000"),
        ("endpoint_url: http://h:port", "`endpoint_url` must be http(s)://HOST:PORT, such as http://127.0.0.1:9000"),
        ("ignore: '*.tmp'", '`ignore` must be a list, such as ["*.tmp"]'),
        ("ignore: ['[[:digit:]]']", "in `ignore`: `[[:digit:]` in `[[:digit:]]` is not supported"),
        ("ignore: ['#x']", "an entry of `ignore` must be one gitignore pattern"),
        (
            "ignore: [ !node_modules , x]",
            "an entry of `ignore` must be text; YAML reads !node_modules as something else",
        ),
        ("ignore: [*.tmp]", "a text that begins with * & ! % @ or ` needs quotes"),
        ("guard: 5", "`guard` must be `key: value` lines"),
        ("guard: {procent: 5}", "unknown setting `procent` in `guard`; did you mean `percent`?"),
        ("guard: {percent: 101}", "`percent` must be from 0 to 100 percent"),
        ("guard: {files: 1.5}", "`files` must be a whole number of paths"),
        ("bucket_trash: {size: lots}", "`size` must be a size such as 10MiB, 5GiB or a number of bytes"),
        ("bucket_trash: {hours: 3}", "hours"),
        ("trash: {size: lots}", "`size` must be a size such as 10MiB, 5GiB or a number of bytes"),
        ("trash: {size: 5Gb}", "`size` must be a size such as 10MiB, 5GiB or a number of bytes"),
        ("<<: {region: x}", "unknown setting `<<`"),
        ("region: !!python/object:os.system x", "`region` must be text"),
        ("region: [x", "expected ',' or ']'"),
        ("region: \x07", "a character that YAML does not allow (#x0007)"),
    ],
)
def test_a_mistake_is_named_with_its_line(line: str, message: str, homes: config.Homes) -> None:
    """`config.yaml:LINE:`, what is wrong, and what would be right."""
    with pytest.raises(Configuration) as raised:
        read(f"{HEAD}    {line}\n", homes)
    place, _, told = str(raised.value).partition(": ")
    # An unclosed bracket is only noticed at the end of the file.
    assert place == ("config.yaml:5" if line == "region: [x" else "config.yaml:4")
    assert message in told


@pytest.mark.parametrize("mode", ["pull", "manual"])
def test_converting_needs_a_mode_that_writes(mode: str, homes: config.Homes) -> None:
    """A setting that would be ignored is refused."""
    with pytest.raises(Configuration, match=f"`mode: {mode}` .*: remove `convert`"):
        read(f"{HEAD}    mode: {mode}\n    convert: [{{match: '*.csv', to: parquet}}]\n", homes)
    with pytest.raises(Configuration, match="a project without `path` has no folder"):
        read("projects: [{name: x, bucket: 's3://acme/x', convert: [{match: '*.csv', to: parquet}]}]", homes)


def test_what_is_converted(homes: config.Homes) -> None:
    """Each entry with what it says; a tab is a delimiter as well."""
    (project,) = read(
        HEAD + '    convert: [{match: "*.txt", to: parquet, delimiter: "\\t", schema: a/b.yaml}]\n', homes
    ).projects
    assert project.convert == (Converting("*.txt", "parquet", "a/b.yaml", "\t"),)


@pytest.mark.parametrize(
    ("bucket", "message"),
    [
        ("gs://Acme/x", "`Acme` is no bucket's name; write gs://BUCKET/PREFIX"),
        ("gs://acme/.git", "a prefix has no empty, `.`, `..`, .git or .dorky part: gs://BUCKET"),
        ("acme/x", "`bucket` must begin with s3://, gs:// or file:///"),
        ("s3:///x", "`` is no bucket's name; write s3://BUCKET/PREFIX"),
        ("s3://acme/../x", "a prefix has no empty, `.`, `..`, .git or .dorky part"),
        ("s3://acme//x", "a prefix has no empty, `.`, `..`, .git or .dorky part"),
        ("s3://acme/.dorky", "a prefix has no empty, `.`, `..`, .git or .dorky part"),
        ("file://host/x", "a file:// bucket must be an absolute directory"),
    ],
)
def test_a_wrong_bucket_is_refused(bucket: str, message: str, homes: config.Homes) -> None:
    """A bucket's URL says which store and prefix, or is refused."""
    with pytest.raises(Configuration, match=r"^config.yaml:3: ") as raised:
        read(f"projects:\n  - path: /p\n    bucket: '{bucket}'\n", homes)
    assert message in str(raised.value)


def test_store_settings_beside_a_directory_are_refused(homes: config.Homes) -> None:
    """A setting that would be ignored is refused."""
    with pytest.raises(Configuration, match="`region` is for s3:// buckets"):
        read("projects: [{path: /p, bucket: 'file:///b', region: x}]", homes)
    with pytest.raises(Configuration, match="`endpoint_url` is for s3:// and gs:// buckets"):
        read("projects: [{path: /p, bucket: 'file:///b', endpoint_url: 'http://x'}]", homes)
    with pytest.raises(Configuration, match="`profile` is for s3:// buckets"):
        read("projects: [{path: /p, bucket: 'gs://acme/b', profile: x}]", homes)


def test_google_buckets(homes: config.Homes) -> None:
    """A bucket of Google's may have a long name with dots, and an address of its own."""
    name = "data.example.com"
    text = f"projects: [{{path: /p, bucket: 'gs://{name}/team/', endpoint_url: 'http://127.0.0.1:9/'}}]"
    (project,) = read(text, homes).projects
    assert project.bucket == f"gs://{name}/team"
    assert project.endpoint_url == "http://127.0.0.1:9"


@pytest.mark.parametrize("path", ["code/api", "~bob/api", "./x"])
def test_a_relative_folder_is_refused(path: str, homes: config.Homes) -> None:
    """A daemon has no working directory that a person could mean."""
    with pytest.raises(Configuration, match="`path` must be absolute or begin with ~/"):
        read(f"projects: [{{path: {path}, bucket: 's3://acme/x'}}]", homes)


@pytest.mark.parametrize("lines", ["bucket: s3://acme/x", "path: /p/x"])
def test_folder_and_bucket_are_required(lines: str, homes: config.Homes) -> None:
    """A project without either points at the project's line."""
    with pytest.raises(Configuration, match=r"^config.yaml:2: a project needs a"):
        read(f"projects:\n  - {lines}\n", homes)


def test_credentials_in_the_endpoint_are_refused_and_not_shown(homes: config.Homes) -> None:
    """A password in the file is refused, and the message does not repeat it."""
    with pytest.raises(Configuration, match="must not hold credentials") as raised:
        one("endpoint_url: http://me:hunter2@h:9000", homes)
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("text", ["- a\n", "hello\n"])
def test_a_file_of_another_shape_is_refused(text: str, homes: config.Homes) -> None:
    """Settings are a mapping."""
    with pytest.raises(Configuration, match=r"^config.yaml:1: settings are `key: value` lines"):
        read(text, homes)


def test_an_unknown_global_setting_is_refused(homes: config.Homes) -> None:
    """A key of the file itself is checked too; without a near one, all are named."""
    with pytest.raises(Configuration, match="unknown setting `zzz` in the configuration; known are author, bandwidth"):
        read("zzz: 1\n", homes)


def test_a_file_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    """The line of the first bad byte is named."""
    (tmp_path / "config.yaml").write_bytes(b"# fine\ndevice: caf\xe9\n")
    with pytest.raises(Configuration, match=r"^config.yaml:2: this is not UTF-8"):
        config.load({"HOME": "/h", "DORKY_HOME": str(tmp_path)}, host="host")


# --- the file --------------------------------------------------------------------------------------------------------


def test_writing_replaces_the_whole_file(tmp_path: Path) -> None:
    """The text arrives whole with mode 0600, and nothing else is left beside it."""
    file = tmp_path / "new" / "config.yaml"
    config.write_atomically(file, "device: a\n")
    config.write_atomically(file, "device: é\r\n")
    assert file.read_bytes() == "device: é\r\n".encode()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [found.name for found in file.parent.iterdir()] == ["config.yaml"]


def test_writing_keeps_a_symlink(tmp_path: Path) -> None:
    """People link their configuration from elsewhere: the link stays, its target changes."""
    (tmp_path / "dotfiles").mkdir()
    (tmp_path / "config.yaml").symlink_to("dotfiles/config.yaml")
    config.write_atomically(tmp_path / "config.yaml", "device: a\n")
    assert (tmp_path / "config.yaml").is_symlink()
    assert (tmp_path / "dotfiles" / "config.yaml").read_text() == "device: a\n"


def test_an_edit_with_a_wrong_result_changes_nothing(tmp_path: Path) -> None:
    """What cannot be loaded is never written."""
    file = tmp_path / "config.yaml"
    file.write_text("device: a\n")
    loaded = config.load({"HOME": "/h", "DORKY_HOME": str(tmp_path)}, host="host")
    with pytest.raises(Configuration, match="unknown setting"):
        config.edit(loaded, lambda text: text + "nonsense: 1\n", host="host")
    assert file.read_text() == "device: a\n"


def test_an_edit_starts_from_what_is_on_disk(tmp_path: Path) -> None:
    """A person's edit made since the load is kept."""
    file = tmp_path / "config.yaml"
    loaded = config.load({"HOME": "/h", "DORKY_HOME": str(tmp_path)}, host="host")
    file.write_text("device: theirs\n")
    changed = config.edit(loaded, lambda text: text + "poll_s: 3\n", host="host")
    assert changed.settings.device == "theirs"
    assert file.read_text() == changed.text == "device: theirs\npoll_s: 3\n"


# --- bandwidth --------------------------------------------------------------------------------------------------------


def test_bandwidth(homes: config.Homes) -> None:
    """Bytes a second, of all projects and of one; 0 and absent are no limit."""
    text = """
bandwidth: {up: 1.5 MiB}
projects:
  - {path: /a, bucket: s3://acme/a, bandwidth: {up: 0, down: 500kB}}
  - {path: /b, bucket: s3://acme/b}
"""
    settings = config.read_settings(text, homes, host="h")
    assert settings.bandwidth == Bandwidth(up=1_572_864)
    assert [project.bandwidth for project in settings.projects] == [Bandwidth(down=500_000), Bandwidth()]


# --- the example -----------------------------------------------------------------------------------------------------


def test_the_example_loads_as_shipped(homes: config.Homes) -> None:
    """With every setting commented out the example is one project with the defaults."""
    (project,) = read(EXAMPLE.read_text(), homes).projects
    assert project == Project(name="private", path=f"{homes.home}/code/api/private", bucket="s3://acme-artifacts/api")


def test_the_example_names_every_setting(homes: config.Homes) -> None:
    """With every setting on it still loads, and shows the defaults that it claims."""
    text = "\n".join(line.removeprefix("#:") for line in EXAMPLE.read_text().splitlines())
    settings = read(text, homes)
    (project,) = settings.projects
    assert settings.device == "laptop-7"
    assert project.name == "api"
    default = Project(name="", path="", bucket="")
    assert (project.settle_s, project.hold_s, project.poll_s) == (default.settle_s, default.hold_s, default.poll_s)
    assert (project.guard, project.trash, project.mode) == (default.guard, default.trash, default.mode)
    for field in Project.__dataclass_fields__:
        assert f"{field}:" in text


PUSH = "bucket: s3://acme/p, push: {queue_url: %s}"


@pytest.mark.parametrize(
    "url", ["https://sqs.eu-west-1.amazonaws.com/123456789012/dorky-a", "http://127.0.0.1:5000/123456789012/q"]
)
def test_a_queue_to_hear_from(homes: config.Homes, url: str) -> None:
    """`push` names a queue; without it there is none."""
    text = "projects: [{path: /srv/api, %s}]"
    assert read(text % (PUSH % url), homes).projects[0].push == PushQueue(url)
    assert read(text % "bucket: s3://acme/p", homes).projects[0].push is None


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        (PUSH % "http://sqs.eu-west-1.amazonaws.com/1/q", "`queue_url` must be a queue's address"),
        (PUSH % "https://key:secret@sqs.eu-west-1.amazonaws.com/1/q", "`queue_url` must be a queue's address"),
        (PUSH % "https://sqs.eu-west-1.amazonaws.com/", "`queue_url` must be a queue's address"),
        (PUSH % "'https://[/q'", "`queue_url` must be a queue's address"),
        ("bucket: s3://acme/p, push: {}", "`push` needs a `queue_url`"),
        ("bucket: s3://acme/p, push: {queue: x}", "unknown setting `queue`"),
        ("bucket: file:///srv/bucket, push: {queue_url: x}", "`push` is for s3:// buckets"),
    ],
)
def test_a_queue_that_is_none(homes: config.Homes, setting: str, said: str) -> None:
    """What is wrong is told, and no credentials are shown again."""
    with pytest.raises(Configuration, match=re.escape(said)) as refused:
        read(f"projects: [{{path: /srv/api, {setting}}}]", homes)
    assert "secret" not in str(refused.value)


# --- listen -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "host"),
    [
        ("127.0.0.1:3000", "127.0.0.1"),
        ("127.8.0.9:3000", "127.8.0.9"),
        ("localhost:3000", "127.0.0.1"),
        ("'[::1]:3000'", "::1"),
        ("'[0:0::1]:3000'", "::1"),
    ],
)
def test_listen_on_the_loopback(written: str, host: str, homes: config.Homes) -> None:
    """Every address of the loopback may be served; it is none by default."""
    assert read(f"listen: {written}", homes).listen == Listen(host, 3000)
    assert read("device: a", homes).listen is None


@pytest.mark.parametrize(
    "written",
    ["0.0.0.0:3000", "'[::]:3000'", "10.0.0.1:3000", "'[::ffff:127.0.0.1]:3000'", "'[fe80::1]:3000'", "8.8.8.8:80"],
)
def test_listen_elsewhere_is_refused(written: str, homes: config.Homes) -> None:
    """Other machines never reach the API; the message says what would be right, and how they may all the same."""
    with pytest.raises(
        Configuration, match=r"config\.yaml:1: `listen` must be .*127\.0\.0\.1:3000: other machines.*ssh -L"
    ):
        read(f"listen: {written}", homes)


@pytest.mark.parametrize(
    "written",
    [
        "3000",
        "127.0.0.1",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "laptop.local:3000",
        "'*:3000'",
        "'::1:3000'",
        "127.0.0.1:http",
        "'[127.0.0.1]:3000'",
        "127.1:3000",
        "'127.0.0.1:٣'",
        "no",
        "{a: b}",
        "'localhost:3000 '",
        "unix:/tmp/s",
    ],
)
def test_what_cannot_be_listened_on(written: str, homes: config.Homes) -> None:
    """A name may mean anything tomorrow, and half an address means nothing."""
    with pytest.raises(Configuration, match=r"config\.yaml:1: `listen` must be"):
        read(f"listen: {written}", homes)
