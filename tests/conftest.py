"""What holds for all tests."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from kubernetes_kit import Kubernetes

# How long an example takes is the machine's business: a deadline fails a right answer on a busy one.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Kubernetes"]:
    """A real API server, one for the session: each test takes a namespace of its own."""
    from kubernetes_kit import running_kubernetes

    with running_kubernetes(tmp_path_factory.mktemp("kubernetes")) as running:
        yield running
