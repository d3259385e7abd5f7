"""`dorkyctl doctor` on a real store that enforces a policy, from the daemon's own environment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.daemons import RealDaemon, wait_until
from tests.e2e.commands import ctl, running
from tests.policed import documented, policed
from tests.servers import Server

pytestmark = [pytest.mark.daemon, pytest.mark.s3, pytest.mark.timeout(180)]
PREFIX = "team/api"


def test_doctor_of_a_writer(tmp_path: Path, seaweed: Server) -> None:
    """With the documented policy every right is there; what only an owner may ask is unknown; a variable that the service
    does not see is told by its name; nothing is left behind, and no secret is shown.
    """
    bucket = seaweed.new_bucket()
    with policed(seaweed.endpoint_url, documented("writer", bucket, PREFIX)) as gate:
        daemon = RealDaemon(tmp_path, "a", f"s3://{bucket}/{PREFIX}", env=seaweed.env, endpoint_url=gate.url)
        with running(daemon):
            daemon.sync()
            gate.refused.clear()
            examined = ctl(daemon, "doctor", "p", AWS_PROFILE="team")
            assert examined.code == 0, examined
            told = json.loads(ctl(daemon, "doctor", "p", "--json", AWS_PROFILE="team").out)["items"]
    checks = {item["check"]: item for item in told}
    assert all(item["ok"] for item in told)
    assert checks["bucket-write"]["detail"].startswith("objects can be created, read, listed, updated, copied, sent in")
    assert checks["environment"]["code"] == "environment-differs"
    assert checks["environment"]["detail"].startswith("AWS_PROFILE: ")
    assert checks["missing-keys"]["code"] == "missing-denied"
    assert checks["lifecycle"]["detail"] == "unknown (needs s3:GetLifecycleConfiguration)"
    assert checks["identity"]["detail"].startswith(f"access key …{seaweed.access_key[-4:]} from")
    assert seaweed.secret_key not in examined.said
    assert seaweed.access_key not in examined.said
    # Three looks by `doctor` alone, twice; sync asked for none of them.
    assert len(gate.refused) == 6, gate.refused
    client = seaweed.client()
    listed = client.list_objects_v2(Bucket=bucket, Prefix=f"{PREFIX}/.dorky/probe/")
    client.close()
    assert not listed.get("Contents")


def test_doctor_of_a_reader_in_the_wrong_mode(tmp_path: Path, seaweed: Server) -> None:
    """A two-way project whose key may only read is told which right is missing, with the statement; exit code 4."""
    bucket = seaweed.new_bucket()
    with policed(seaweed.endpoint_url, documented("reader", bucket, PREFIX)) as gate:
        daemon = RealDaemon(tmp_path, "a", f"s3://{bucket}/{PREFIX}", env=seaweed.env, endpoint_url=gate.url)
        with running(daemon):
            examined = ctl(daemon, "doctor", "p")
    assert examined.code == 4, examined
    assert "BAD  bucket-write: cannot create an object: PutObject" in examined.out
    assert '"Action": "s3:PutObject"' in examined.out
    assert f'"Resource": "arn:aws:s3:::{bucket}/{PREFIX}/*"' in examined.out


def test_a_credential_process_that_fails(tmp_path: Path) -> None:
    """Its profile is named; what it printed, which may be a secret, reaches neither status nor log."""
    config = tmp_path / "aws-config"
    config.write_text("[profile team]\ncredential_process = sh -c 'echo fake-secret-on-stderr >&2; exit 1'\n")
    env = {
        "AWS_CONFIG_FILE": str(config),
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    daemon = RealDaemon(
        tmp_path, "a", "s3://acme/api", env=env, endpoint_url="http://127.0.0.1:1", profile="team", region="eu-west-1"
    )
    with running(daemon):
        wait_until("it was refused", lambda: daemon.state() == "auth-expired")
        examined = ctl(daemon, "doctor", "p")
        told = examined.said + str(daemon.status()) + daemon.log.read_text()
    assert examined.code == 4
    assert "'team'" in examined.out
    assert "fake-secret-on-stderr" not in told
    assert "Traceback" not in told
