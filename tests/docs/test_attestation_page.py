"""What docs/attestation.md tells people to write is taken by check, the CA, an API server and the sidecar."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from attestor_kit import AUDIENCE
from documented import blocks
from featward.manifests import load_texts, validate
from featward_ca.manifests import read_directory
from featward_sidecar.sources import load
from kubernetes_kit import Kubernetes
from kubernetes_programs import BUILD_SECONDS

PAGE = Path(__file__).parents[2] / "docs" / "attestation.md"
UNIT = """
---
apiVersion: featward.dev/v1alpha1
kind: BusinessUnit
metadata: {name: prod.payments}
"""


def block(info: str) -> str:
    (found,) = [one.text for one in blocks(PAGE) if one.info == info]
    return found


@pytest.mark.parametrize("info", ["environment", "jwt"])
def test_the_manifests_of_the_page_are_right(info: str, tmp_path: Path) -> None:
    text = block(info) + UNIT
    loaded = load_texts([(info, text)])
    assert [*loaded.findings, *validate(loaded)] == []
    (tmp_path / "a.yaml").write_text(text)
    directory = read_directory(tmp_path, "prod")
    if info == "environment":
        assert [one.name for one in directory.clusters] == ["eu1", "partner"]
        assert directory.clusters[0].may_attest("prod.risk")
        assert not directory.clusters[1].may_attest("prod.risk")
    else:
        (job,) = directory.workloads.values()
        assert job.spiffe_id.path == "/bu/payments/ci/nightly"
        claims = {"project_path": "payments/pricing", "ref": "main", "ref_protected": "true"}
        assert job.fits("gitlab", claims | {"sub": "x"})
        assert not job.fits("gitlab", claims | {"ref": "other"})
        assert not job.fits("github", claims)


def test_the_sidecars_configuration_of_the_page_is_right(tmp_path: Path) -> None:
    (tmp_path / "manifests").mkdir()
    file = tmp_path / "sidecar.yaml"
    file.write_text(block("sidecar"))
    assert load(file, {}, {}).identity.evidence_kind == "kubernetes"


@pytest.mark.timeout(BUILD_SECONDS)
def test_the_pod_of_the_page_is_one_and_its_token_is_for_the_ca(kubernetes: Kubernetes) -> None:
    pod: dict[str, Any] = yaml.safe_load(block("pod"))
    namespace = kubernetes.namespace("prod.payments")
    kubernetes.pod(namespace)  # makes the service account
    pod["metadata"]["namespace"] = namespace
    made = kubernetes.call("POST", f"/api/v1/namespaces/{namespace}/pods", pod)
    (volume,) = [one for one in made["spec"]["volumes"] if one["name"] == "featward-token"]
    (source,) = volume["projected"]["sources"]
    assert source["serviceAccountToken"]["audience"] == AUDIENCE
    job = yaml.safe_load(block("gitlab"))["nightly"]
    assert job["id_tokens"]["FEATWARD_TOKEN"]["aud"] == AUDIENCE


@pytest.mark.timeout(BUILD_SECONDS)
def test_the_roles_of_the_page_are_what_the_tests_of_the_ca_use(kubernetes: Kubernetes) -> None:
    role, binding = yaml.safe_load_all(block("rbac"))
    kubernetes.ca_kubeconfig()
    assert role == kubernetes.role
    kubernetes.call("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", binding)
