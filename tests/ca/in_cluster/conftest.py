"""A CA's part of a real API server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ca_in_cluster import World, a_world
from crd_kit import install
from kubernetes_kit import Kubernetes


@pytest.fixture(scope="session")
def crds(kubernetes: Kubernetes) -> Kubernetes:
    """The server, with every definition in use."""
    install(kubernetes)
    return kubernetes


@pytest.fixture
def world(crds: Kubernetes, tmp_path: Path) -> Iterator[World]:
    with a_world(crds, tmp_path) as world:
        yield world
