"""Fixtures of the tests that need a whole cluster; `make test-kubernetes` runs them."""

import secrets
from collections.abc import Iterator

import pytest

from cluster.fakes import start_fakes
from cluster.running import Cluster, running_cluster


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
