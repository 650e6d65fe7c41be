"""A protected part of a real API server."""

from collections.abc import Iterator

import pytest

from crd_kit import install
from kubectl_kit import Place, a_place
from kubernetes_kit import Kubernetes


@pytest.fixture
def place(kubernetes: Kubernetes) -> Iterator[Place]:
    install(kubernetes)
    with a_place(kubernetes) as place:
        yield place
