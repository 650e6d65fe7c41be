"""A real CA and a real API server."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from ca_in_cluster import World, a_world
from crd_kit import install
from featward_operator.rotation.steer import Access
from kubernetes_kit import Kubernetes
from rotation_kit import Bench, a_bench, access_to


@pytest.fixture
def world(kubernetes: Kubernetes, tmp_path: Path) -> Iterator[World]:
    install(kubernetes)
    with a_world(kubernetes, tmp_path) as world:
        world.apply_environment(svidTTL="10s")
        yield world


@pytest.fixture
async def bench(world: World) -> AsyncIterator[Bench]:
    async with a_bench(world) as bench:
        yield bench


@pytest.fixture
async def access(bench: Bench) -> AsyncIterator[Access]:
    async with access_to(bench) as access:
        yield access
