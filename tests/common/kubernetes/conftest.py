"""A proxy that fails as told before a real API server, and ways in through it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cluster.faults import FaultProxy, fault_proxy
from featward.kubernetes.gateway import Gateway
from kubernetes_kit import Kubernetes

AGENT = "featward-tests"


@pytest.fixture
async def proxy(kubernetes: Kubernetes, tmp_path: Path) -> AsyncIterator[FaultProxy]:
    async with fault_proxy(kubernetes, tmp_path) as proxy:
        yield proxy


@pytest.fixture
async def gateway(proxy: FaultProxy) -> AsyncIterator[Gateway]:
    """Through the proxy."""
    async with await Gateway.open(str(proxy.kubeconfig), agent=AGENT) as gateway:
        yield gateway


@pytest.fixture
def namespace(kubernetes: Kubernetes) -> str:
    """One of the test's own."""
    return kubernetes.namespace()
