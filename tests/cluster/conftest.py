"""Fixtures of the tests that need a whole cluster; `make test-kubernetes` runs them.

All of it is for the session: one cluster, featward in it once, one Feast and its two clients. Tests that change
anything take a namespace of their own, or put back what they have changed.
"""

import secrets
from collections.abc import Iterator

import pytest

from cluster.drivers import Drivers, make_drivers
from cluster.fakes import start_fakes
from cluster.quick import Quick, make_quick
from cluster.release import Release, installed
from cluster.running import Cluster, running_cluster
from image_builder.build import Built, build


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Those that take featward away come last."""
    items.sort(key=lambda item: item.path.name == "test_upgrade.py")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for the session: each test takes a namespace of its own."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as running:
        print("seconds to start:", {step: round(took, 1) for step, took in running.took.items()})
        yield running


@pytest.fixture(scope="session")
def fakes(cluster: Cluster) -> Cluster:
    """The same with nodes that can be added and are none."""
    start_fakes(cluster.box, cluster.inside)
    return cluster


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of its own, and its pods gone afterwards."""
    name = f"test-{secrets.token_hex(4)}"
    cluster.namespace(name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture(scope="session")
def images() -> list[Built]:
    """featward's and the demo's. `make test-kubernetes` has built them; else this takes minutes."""
    return build("dev", demo=True)


@pytest.fixture(scope="session")
def release(cluster: Cluster, images: list[Built]) -> Iterator[Release]:
    """featward, as `helm install` and a platform's file leave it."""
    with installed(cluster, [(one.name, one.file) for one in images]) as release:
        yield release


@pytest.fixture(scope="session")
def drivers(release: Release) -> Drivers:
    """All of them Ready."""
    return make_drivers(release)


@pytest.fixture(scope="session")
def quick(release: Release) -> Quick:
    """Pods that ask all the time, in the environment of short lives."""
    return make_quick(release)
