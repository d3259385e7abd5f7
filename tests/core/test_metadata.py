"""What objects say about themselves, and what is believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dorkyd.core import metadata
from dorkyd.core.metadata import DEVICE, MODE, MTIME, OP, OURS, SHA256, descend, disowned, encode, remote_of, user_keys
from dorkyd.core.model import ANCESTRY_OPS, Digest, Op, Remote, Version
from tests.core.sides import NEW, OLD, V1, a_local, a_remote, foreign

V = Version("v")
OPS = tuple(Op(f"{n:032x}") for n in range(12))


def read(meta: dict[str, str]) -> Remote:
    """An object with this user metadata, looked at."""
    return remote_of(V, 3, 5, meta)


def written(**said: str) -> dict[str, str]:
    """Metadata of a device's write, with some of it replaced."""
    meta = encode(digest=OLD, mtime_ns=7, mode=0o640, device="pc", op=OPS[0], ancestry=OPS[1:3], user={})
    return meta | {f"dorky-{key.replace('_', '-')}": value for key, value in said.items()}


def test_what_is_written_is_read() -> None:
    """Every field comes back as it was."""
    assert read(written()) == Remote(V, 3, OLD, 0o640, 7, 5, OPS[0], OPS[1:3], "pc")


@given(
    st.none() | st.integers(-(2**63) + 1, 2**63 - 1),
    st.none() | st.integers(0, 0o777),
    st.text(max_size=80).filter(lambda text: "\ud800" not in text and text.isprintable()),
    st.lists(st.sampled_from(OPS), max_size=12).map(tuple),
)
def test_any_write_is_read_back(mtime_ns: int | None, mode: int | None, device: str, ancestry: tuple[Op, ...]) -> None:
    """Times before 1970, any device name, any history: only the oldest ops are dropped. Values are plain ASCII."""
    meta = encode(digest=OLD, mtime_ns=mtime_ns, mode=mode, device=device, op=OPS[0], ancestry=ancestry, user={})
    assert all(value.isascii() and value.isprintable() for value in meta.values())
    assert read(meta) == Remote(V, 3, OLD, mode, mtime_ns, 5, OPS[0], ancestry[:ANCESTRY_OPS], device)


def test_a_persons_own_keys_are_carried_along() -> None:
    """A person's keys pass through unchanged and never speak for us."""
    user = {"note": "x", "content-hint": "y", OP: "forged", SHA256: "forged"}
    meta = encode(digest=OLD, mtime_ns=None, mode=None, device="pc", op=OPS[0], ancestry=(), user=user)
    assert user_keys(meta) == {"note": "x", "content-hint": "y"}
    assert (meta[OP], meta[SHA256]) == (OPS[0], metadata.hex_of(OLD))


def test_what_is_not_known_is_not_said() -> None:
    """No mtime, mode or history leaves no empty key behind."""
    meta = encode(digest=OLD, mtime_ns=None, mode=None, device="pc", op=OPS[0], ancestry=(), user={})
    assert meta.keys() == {SHA256, DEVICE, OP}
    assert meta.keys() <= OURS


def test_only_permission_bits_are_ever_written() -> None:
    """Set-uid, set-gid and sticky are not sent."""
    meta = encode(digest=OLD, mtime_ns=None, mode=0o6755, device="pc", op=OPS[0], ancestry=(), user={})
    assert meta[MODE] == "755"


@pytest.mark.parametrize("mode", ["4755", "2755", "1777", "7777", "100755", "777777"])
def test_only_permission_bits_are_ever_read(mode: str) -> None:
    """Whatever a bucket says, no file becomes set-uid, set-gid or sticky."""
    found = read(written(mode=mode)).mode
    assert found == int(mode, 8) & 0o777


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            (MODE, value)
            for value in ("", "rwx", "8", "0o755", "-755", "7777777", " 755", "755\n", "\u0667\u0665\u0665")
        ),
        *((MTIME, value) for value in ("", "1.5", "1e9", "0x10", "+5", "--5", " 5", "5\n", "9" * 20, "\u0663", "nan")),
        (MTIME, str(2**63)),
        (MTIME, str(-(2**63))),
    ],
)
def test_a_malformed_value_reads_as_not_said(key: str, value: str) -> None:
    """Another tool's nonsense is never an error, and the rest of the metadata still counts."""
    found = read(written() | {key: value})
    assert (found.mode if key == MODE else found.mtime_ns) is None
    assert found.digest == OLD


@pytest.mark.parametrize("mtime", ["-1", "-62135596800000000000"[:19], str(2**63 - 1), str(-(2**63) + 1), "0"])
def test_old_and_far_times_are_read(mtime: str) -> None:
    """A time before 1970 or far ahead is what somebody's file had; who sets it finds the nearest that fits."""
    assert read(written() | {MTIME: mtime}).mtime_ns == int(mtime)


@pytest.mark.parametrize(
    "digest", ["", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "sha256:" + "a" * 64, "a" * 64 + "\n", "a" * 10**6]
)
def test_a_malformed_digest_is_unknown(digest: str) -> None:
    """Only 64 small hexadecimal digits are a SHA-256."""
    assert read(written(sha256=digest)).digest is None


@pytest.mark.parametrize("op", [None, "", "xyz", "a" * 15, "a" * 65, "A" * 32, "a" * 32 + "\n", "a" * 16 + " " * 16])
def test_claims_without_an_op_are_void(op: str | None) -> None:
    """A digest counts only beside the op of a device's write: another tool may have kept our keys by chance."""
    meta = written()
    if op is None:
        del meta[OP]
    else:
        meta[OP] = op
    found = read(meta)
    assert (found.op, found.digest, found.foreign) == (None, None, True)


@pytest.mark.parametrize("digest", [None, OLD])
def test_a_disowned_state_is_another_tools_and_comes_after_ours(digest: Digest | None) -> None:
    """It kept our metadata over other bytes: nothing it claims of content or device counts, and its op is an ancestor."""
    claimed = read(written(ancestry=OPS[1]))
    found = disowned(claimed, digest)
    assert (found.version, found.size, found.mode, found.modified) == (V, 3, claimed.mode, 5)
    assert (found.digest, found.op, found.device, found.foreign) == (digest, None, None, True)
    assert found.ancestry == (claimed.op, OPS[1])


def test_an_object_without_metadata_says_nothing() -> None:
    """Objects that other tools wrote sync all the same."""
    assert read({}) == Remote(V, 3, modified=5)
    assert read({}).foreign


def test_a_hostile_ancestry_is_cut_down() -> None:
    """Only the first few words count, and only those that are ops."""
    assert read(written(ancestry=" ".join(OPS))).ancestry == OPS[:ANCESTRY_OPS]
    assert read(written(ancestry=f"nonsense {OPS[1]} {'x' * 10**6} {OPS[2]}")).ancestry == OPS[1:3]
    assert read(written(ancestry="")).ancestry == ()


@pytest.mark.parametrize(
    ("said", "device"),
    [
        ("caf%C3%A9", "café"),
        ("%F0%9F%A6%8A", "🦊"),
        ("%FF%FE", "\ufffd\ufffd"),
        ("100%", "100%"),
        ("d" * 999, "d" * 255),
    ],
)
def test_any_device_name_is_text(said: str, device: str) -> None:
    """A device is for people: percent-encoded UTF-8, what is none is replaced, what is endless cut."""
    found = read(written(device=said)).device
    assert found == device
    found.encode()


@pytest.mark.parametrize("device", ["café 🦊", "50% off", "tab\tnewline\n", "Łukasz\u2019s"])
def test_a_device_name_travels_as_ascii(device: str) -> None:
    """A header holds no newline and no accents, and the name comes back whole."""
    meta = encode(digest=OLD, mtime_ns=None, mode=None, device=device, op=OPS[0], ancestry=(), user={})
    assert meta[DEVICE].isascii()
    assert meta[DEVICE].isprintable()
    assert read(meta).device == device


@given(st.dictionaries(st.sampled_from(sorted(OURS)) | st.text(max_size=9), st.text(max_size=80)))
def test_reading_is_total(meta: dict[str, str]) -> None:
    """Nothing that a bucket says is an error, and the store's own words always stand."""
    found = read(meta)
    assert (found.version, found.size, found.modified, found.looked) == (V, 3, 5, True)
    assert found.mode is None or 0 <= found.mode <= 0o777


def test_a_write_descends_from_what_it_replaced() -> None:
    """The replaced state's op comes first, its ancestry after, the oldest fall off."""
    replaced = Remote(V, 3, OLD, op=OPS[0], ancestry=OPS[1:9])
    assert descend(replaced) == OPS[:ANCESTRY_OPS]
    assert descend(None) == descend(foreign()) == ()


def test_an_object_carries_a_file_when_their_digests_say_so() -> None:
    """An unknown digest is no match."""
    assert metadata.carries(a_remote(NEW), a_local(NEW))
    assert not metadata.carries(a_remote(NEW), a_local(OLD))
    assert not metadata.carries(foreign(V1), a_local(OLD))


def test_a_digest_names_its_algorithm() -> None:
    """The hexadecimal digits and the digest are each other's inverse."""
    assert metadata.sha256("a" * 64) == Digest("sha256:" + "a" * 64) == OLD
    assert metadata.hex_of(OLD) == "a" * 64
