"""A real CA that attests by tokens of a real API server."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ca_in_cluster import World, a_world
from crd_kit import install
from kubernetes_kit import Kubernetes


@pytest.fixture
def world(kubernetes: Kubernetes, tmp_path: Path) -> Iterator[World]:
    install(kubernetes)
    with a_world(kubernetes, tmp_path) as world:
        world.apply_environment(svidTTL="60s")
        yield world
