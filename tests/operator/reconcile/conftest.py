"""A server of their own with the kinds as they are, and the operator's roles as the chart has them."""

from collections.abc import Iterator

import pytest

from chart_kit import NAMESPACE
from crd_kit import install
from kubernetes_kit import Kubernetes, running_kubernetes
from leading_kit import install_roles


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    """Nobody else has environments in it."""
    with running_kubernetes(tmp_path_factory.mktemp("cluster")) as kubernetes:
        install(kubernetes)
        kubernetes.namespace(name=NAMESPACE)
        install_roles(kubernetes)
        yield kubernetes
