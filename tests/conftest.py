"""What every test may use: real stores on this machine, started once a run (`tests.servers`). Secrets are looked for in
all that is said (`tests.leaks`).
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

from tests import compiled, devices, leaks, scratch, servers
from tests.servers import GcsProcess, Server

T = TypeVar("T")

scratch.choose()
gc.disable()  # until all is collected

# Machines are shared: how long an example takes says nothing.
settings.register_profile("shared", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")


def pytest_configure(config: pytest.Config) -> None:
    """Watch the whole run for secrets, and compile before the processes begin that run the tests."""
    for plugin, name in ((leaks, "leaks"), (compiled, "compiled")):
        if not config.pluginmanager.is_registered(plugin):
            config.pluginmanager.register(plugin, name)


def pytest_collection_finish() -> None:
    """What is here lasts as long as the run, some million objects: the collector need not look through them again, each time
    that a test asks it to, and else as often as a quarter has come anew.
    """
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _servers_end() -> Iterator[None]:
    yield
    servers.stop_all()


@pytest.fixture(autouse=True)
def _devices_end() -> Iterator[None]:
    yield
    devices.end_all()


@pytest.fixture(scope="session")
def seaweed() -> Server:
    """SeaweedFS over http."""
    return _or_skip(servers.seaweed)


@pytest.fixture(scope="session")
def seaweed_tls() -> Server:
    """SeaweedFS over https."""
    return _or_skip(servers.seaweed_tls)


@pytest.fixture(scope="session")
def moto() -> Server:
    """moto, which ignores some conditions."""
    return _or_skip(servers.moto)


@pytest.fixture(scope="session")
def rclone() -> Server:
    """`rclone serve s3`, which ignores all conditions."""
    return _or_skip(servers.rclone)


@pytest.fixture(scope="session")
def strict_gcs() -> GcsProcess:
    """The strict Google Cloud Storage, as a process."""
    return _or_skip(servers.strict_gcs)


@pytest.fixture(scope="session")
def fake_gcs() -> GcsProcess:
    """fake-gcs-server, which ignores some conditions."""
    return _or_skip(servers.fake_gcs)


def _or_skip(start: Callable[[], T]) -> T:
    try:
        return start()
    except servers.Unavailable as error:
        pytest.skip(str(error))
