"""Our kinds at the session's API server."""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from kubernetes_kit import Kubernetes


@pytest.fixture(scope="session")
def crds(kubernetes: "Kubernetes") -> "Kubernetes":
    """The server, with every definition in use."""
    from crd_kit import install

    install(kubernetes)
    return kubernetes


@pytest.fixture(scope="session")
def namespace(crds: "Kubernetes") -> str:
    """A namespace for objects that are never kept."""
    return crds.namespace()
