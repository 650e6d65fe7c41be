"""A real API server, and ways in."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from featward.kubernetes.gateway import Gateway
from kubernetes_kit import Kubernetes


@pytest.fixture
def kubeconfig(kubernetes: Kubernetes) -> Path:
    """Of an administrator."""
    return kubernetes.kubeconfig("operator", "system:masters")


@pytest.fixture
async def gateway(kubeconfig: Path) -> AsyncIterator[Gateway]:
    async with await Gateway.open(str(kubeconfig), agent="featward-tests") as gateway:
        yield gateway


@pytest.fixture
def namespace(kubernetes: Kubernetes) -> str:
    """One of the test's own."""
    return kubernetes.namespace()
