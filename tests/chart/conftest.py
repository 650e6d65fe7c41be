"""What the tests of the chart share: a server of their own, as what the chart installs holds for all of it."""

from collections.abc import Iterator

import pytest

from chart_kit import NAMESPACE
from kubernetes_kit import Kubernetes, running_kubernetes


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    """With the namespaces `featward` and `ml`, which take only pods that fit `restricted`."""
    with running_kubernetes(tmp_path_factory.mktemp("chart")) as running:
        for name in (NAMESPACE, "ml"):
            labels = {"pod-security.kubernetes.io/enforce": "restricted"}
            space = {"metadata": {"name": name, "labels": labels}}
            running.call("POST", "/api/v1/namespaces", space)
        yield running
