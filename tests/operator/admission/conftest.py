"""A server of their own: what these tests install holds for the whole cluster."""

from collections.abc import Iterator

import pytest

from admission_kit import install_policies
from kubernetes_kit import Kubernetes, running_kubernetes


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    """A server with the chart's policies, several environments, and no webhook."""
    with running_kubernetes(tmp_path_factory.mktemp("guarded")) as kubernetes:
        _add_kinds(kubernetes)
        install_policies(kubernetes)
        yield kubernetes


def _add_kinds(kubernetes: Kubernetes) -> None:
    """As far as the policies look at them; their schemas are tested elsewhere."""
    for kind in ("GrantApproval", "Override", "BusinessUnit", "Environment", "FeatureSet"):
        plural = f"{kind.lower()}s"
        scope = "Namespaced" if kind == "FeatureSet" else "Cluster"
        open_schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
        definition = {
            "metadata": {"name": f"{plural}.featward.dev"},
            "spec": {
                "group": "featward.dev",
                "scope": scope,
                "names": {"kind": kind, "plural": plural},
                "versions": [
                    {
                        "name": "v1alpha1",
                        "served": True,
                        "storage": True,
                        "schema": {"openAPIV3Schema": open_schema},
                    }
                ],
            },
        }
        path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        kubernetes.call("POST", path, definition)
