"""Tokens in files as evidence: Kubernetes' and a CI system's, from the file to the renewed SVID.

The CA and the sidecar are processes, the API server and the issuer are real.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from attestor_kit import AUDIENCE
from featward_sidecar.configuration import Identity
from featward_sidecar.errors import EvidenceError
from featward_sidecar.evidence import JwtEvidence, KubernetesEvidence, evidence_for
from featward_sidecar.expected import ServiceAccountIds, workload_ids
from featward_sidecar.roots import read_digests
from kubernetes_kit import ISSUER, Kubernetes
from kubernetes_programs import BUILD_SECONDS
from oidc_kit import Issuer, running_issuer

FEATWARD = Path(sys.executable).with_name("featward")
ENVIRONMENT = """
apiVersion: featward.dev/v1alpha1
kind: Environment
metadata: {name: prod}
spec: %s
---
apiVersion: featward.dev/v1alpha1
kind: BusinessUnit
metadata: {name: prod.payments}
---
apiVersion: featward.dev/v1alpha1
kind: BusinessUnit
metadata: {name: prod.risk}
---
apiVersion: v1
kind: Namespace
metadata: {name: %s, labels: {featward.dev/business-unit: prod.payments}}
---
apiVersion: featward.dev/v1alpha1
kind: Workload
metadata: {name: nightly}
spec:
  businessUnit: prod.payments
  name: nightly
  role: ci
  attest: {jwt: {issuer: gitlab, claims: {sub: nightly}}}
"""
ROOT = "ab" * 32


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[Issuer]:
    folder = tmp_path / "issuer"
    folder.mkdir()
    with running_issuer(folder) as running:
        yield running


def commanded(scene: Any, *words: str) -> Any:
    command = [FEATWARD, "ca", *words, "--data", scene.ca.data, "--output", "json"]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def manifests(scene: Any, namespace: str = "pricing", **spec: object) -> None:
    """Short lives, so that there are renewals to see."""
    told = {"trustDomain": "prod.acme.example", "svidTTL": "6s"} | spec
    told.setdefault("jwtIssuers", [{"name": "gitlab", "issuer": "https://gitlab.acme.example"}])
    scene.manifests.mkdir(exist_ok=True)
    text = ENVIRONMENT % (json.dumps(told), namespace)
    (scene.manifests / "platform.yaml").write_text(text)


def started(scene: Any, **told: object) -> Any:
    """A sidecar that serves its identity to apps, configured by a file."""
    config = scene.folder / "sidecar.json"
    log = {"level": "debug", "format": "json"}
    config.write_text(
        json.dumps({"workloadSocket": str(scene.folder / "w.sock"), "log": log} | told)
    )
    workload = told["workload"]
    return scene.run("agent", config=config, workload=workload)


def says_nothing_of(sidecar: Any, *tokens: str) -> None:
    """Neither claims nor signature of a token are in the log, whatever became of it."""
    said = json.dumps(sidecar.lines)
    assert not [part for token in tokens for part in token.split(".")[1:] if part in said]


def root_of(scene: Any) -> str:
    return str(commanded(scene, "status")["root_sha256"])


@pytest.mark.timeout(BUILD_SECONDS)
def test_a_pods_sidecar_gets_and_keeps_its_identity(
    scene: Any, kubernetes: Kubernetes, tmp_path: Path
) -> None:
    namespace = kubernetes.namespace("prod.payments")
    pod = kubernetes.pod(namespace)
    manifests(scene, namespace, clusters=[{"name": "eu1", "issuer": ISSUER}])
    scene.start_ca("--cluster", f"eu1={kubernetes.ca_kubeconfig()}")
    token = tmp_path / "token"
    token.write_text(kubernetes.token(pod, AUDIENCE))
    # While one root follows another, a sidecar may know both.
    sidecar = started(
        scene,
        workload=f"{namespace}/pricing-api",
        evidence="kubernetes",
        tokenFile=str(token),
        rootSha256=[ROOT, root_of(scene)],
    )
    expected = f"spiffe://prod.acme.example/bu/payments/ns/{namespace}/sa/pricing-api"
    assert sidecar.logged("identity issued")["spiffe_id"] == expected
    sidecar.wait(lambda status: status["agent"]["identity"]["renewals"] >= 1)
    # Kubernetes replaces the file in time.
    token.write_text(kubernetes.token(pod, AUDIENCE))
    sidecar.wait(lambda status: status["agent"]["identity"]["renewals"] >= 3)
    (client,) = commanded(scene, "clients")["clients"]
    assert (client["method"], client["spiffe_id"]) == ("kubernetes", expected)
    # The command that lets its namespace go says who is affected.
    move = ["namespace", "move", f"eu1/{namespace}", "--to", "prod.risk"]
    dry = commanded(scene, *move, "--dry-run")
    assert [one["lineage"] for one in dry["affected"]] == [client["lineage"]]
    assert commanded(scene, *move)["changed"] is True
    assert commanded(scene, *move)["changed"] is False
    sidecar.logged("CA refused us")
    says_nothing_of(sidecar, token.read_text())


@pytest.mark.timeout(BUILD_SECONDS)
def test_a_pod_that_was_away_while_its_authority_was_compromised_attests_anew_by_itself(
    scene: Any, kubernetes: Kubernetes, tmp_path: Path
) -> None:
    """Nobody accepts its certificate any more, the CA neither, long before it ends."""
    namespace = kubernetes.namespace("prod.payments")
    manifests(scene, namespace, clusters=[{"name": "eu1", "issuer": ISSUER}], svidTTL="1h")
    scene.start_ca("--cluster", f"eu1={kubernetes.ca_kubeconfig()}")
    token = tmp_path / "token"
    token.write_text(kubernetes.token(kubernetes.pod(namespace), AUDIENCE))
    sidecar = started(
        scene,
        workload=f"{namespace}/pricing-api",
        evidence="kubernetes",
        tokenFile=str(token),
        rootSha256=[root_of(scene)],
    )
    sidecar.logged("identity issued")
    before = sidecar.wait(lambda status: status["agent"]["ca"]["connected"])["identity"]
    sidecar.process.send_signal(signal.SIGSTOP)
    (stolen,) = [
        one["id"]
        for one in commanded(scene, "authority", "list")["authorities"]
        if one["owner"] == "prod.payments"
    ]
    commanded(scene, "authority", "prepare", "prod.payments")
    commanded(scene, "authority", "activate", "prod.payments", "--force")
    commanded(scene, "compromise", stolen, "--within", "1s")
    while not commanded(scene, "ban", "list")["bans"]:
        time.sleep(0.1)
    sidecar.process.send_signal(signal.SIGCONT)
    sidecar.logged("identity issued", count=2)
    assert "CA refused us" in [line["message"] for line in sidecar.lines]
    status = sidecar.wait(lambda status: status["agent"]["ca"]["connected"])
    assert status["identity"]["authority"] != before["authority"]
    assert status["agent"]["identity"]["refused"] is None
    clients = commanded(scene, "clients")["clients"]
    assert [one["connected"] for one in clients] == [True]


def test_a_jobs_sidecar_gets_an_identity_and_renews_it_by_itself(
    scene: Any, issuer: Issuer, tmp_path: Path
) -> None:
    told = {"name": "gitlab", "issuer": issuer.address, "caFile": str(issuer.ca_file)}
    manifests(scene, jwtIssuers=[told])
    scene.start_ca()
    token = tmp_path / "token"
    text = issuer.token({"sub": "nightly", "aud": AUDIENCE})
    token.write_text(text)
    sidecar = started(
        scene,
        workload="prod.payments/nightly",
        evidence="jwt",
        tokenFile=str(token),
        rootSha256=root_of(scene),
    )
    expected = "spiffe://prod.acme.example/bu/payments/ci/nightly"
    assert sidecar.logged("identity issued")["spiffe_id"] == expected
    token.unlink()
    sidecar.wait(lambda status: status["agent"]["identity"]["renewals"] >= 2)
    (client,) = commanded(scene, "clients")["clients"]
    assert client["method"] == "jwt"
    says_nothing_of(sidecar, text)


def test_a_token_is_shown_to_no_other_ca(scene: Any, issuer: Issuer, tmp_path: Path) -> None:
    told = {"name": "gitlab", "issuer": issuer.address, "caFile": str(issuer.ca_file)}
    manifests(scene, jwtIssuers=[told])
    scene.start_ca()
    token = tmp_path / "token"
    sidecar = started(
        scene,
        workload="prod.payments/nightly",
        evidence="jwt",
        tokenFile=str(token),
        rootSha256=ROOT,
    )
    assert "can't be read" in sidecar.logged("no evidence for an identity")["error"]
    token.write_text(issuer.token({"sub": "nightly", "aud": AUDIENCE}))
    sidecar.logged("CA not reached")
    says_nothing_of(sidecar, token.read_text())
    assert issuer.seen() == 0


# Without a CA


def test_a_token_file_is_read_at_every_use(tmp_path: Path) -> None:
    file = tmp_path / "token"
    evidence = KubernetesEvidence(file, (ROOT,))
    with pytest.raises(EvidenceError, match="can't be read"):
        evidence.attest()
    for text in ("a.b.c", "d.e.f\n"):
        file.write_text(text)
        shown, root = evidence.attest()
        assert (shown.kubernetes.token, root) == (text.strip(), bytes.fromhex(ROOT))
        assert evidence.renew().kubernetes.token == text.strip()
    for text in ("", "no token", "ä.b.c", "a.b." + "c" * 20_000):
        file.write_text(text)
        with pytest.raises(EvidenceError):
            evidence.renew()


def test_each_root_is_expected_in_its_turn(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("a.b.c")
    evidence = JwtEvidence(file, (ROOT, "cd" * 32), "prod.payments/nightly")
    roots = [evidence.attest()[1] for _ in range(4)]
    assert roots == [bytes.fromhex(one) for one in (ROOT, "cd" * 32)] * 2
    assert evidence.attest()[0].jwt.workload == "prod.payments/nightly"


def test_roots_in_a_file_are_read_at_every_use(tmp_path: Path) -> None:
    token, roots = tmp_path / "token", tmp_path / "root.sha256"
    token.write_text("a.b.c")
    told = Identity("ml/feast", evidence="kubernetes", token_file=token, root_sha256_file=roots)
    evidence = evidence_for(told)
    with pytest.raises(EvidenceError, match="can't be read"):
        evidence.attest()
    roots.write_text(f"{ROOT}\n")
    assert evidence.attest()[1] == bytes.fromhex(ROOT)
    roots.write_text(f"{ROOT}\n\n  {'CD' * 32}\r\n")
    found = {evidence.attest()[1] for _ in range(2)}
    assert found == {bytes.fromhex(ROOT), bytes.fromhex("cd" * 32)}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty; expected the SHA-256"),
        (f"{ROOT}\nsha256:{ROOT}", "line 2 of the root digests in .* is 'sha256:abab"),
        ("ä", "can't be read"),
    ],
)
def test_a_file_of_roots_that_holds_something_else_is_quoted(
    tmp_path: Path, text: str, said: str
) -> None:
    roots = tmp_path / "root.sha256"
    roots.write_text(text)
    with pytest.raises(EvidenceError, match=said):
        read_digests(roots)


@pytest.mark.parametrize(
    ("spiffe_id", "ours"),
    [
        ("spiffe://a.example/bu/payments/ns/ml/sa/feast", True),
        ("spiffe://a.example/bu/risk/ns/ml/sa/feast", True),
        ("spiffe://b.example/bu/risk/ns/ml/sa/feast", False),
        ("spiffe://a.example/bu/risk/ns/ml/sa/other", False),
        ("spiffe://a.example/bu/risk/ns/other/sa/feast", False),
        ("spiffe://a.example/bu/risk/ns/ml/sa/feast/more", False),
        ("spiffe://a.example/bu/risk/svc/feast", False),
        ("spiffe://a.example/featward/operator", False),
        ("spiffe://a.example/bu//ns/ml/sa/feast", False),
        ("", False),
        (None, False),
    ],
)
def test_a_service_account_is_itself_in_every_business_unit(
    spiffe_id: str | None, ours: bool
) -> None:
    assert (spiffe_id in ServiceAccountIds("a.example", "ml/feast")) is ours


def test_evidence_is_what_the_configuration_says(tmp_path: Path) -> None:
    file = tmp_path / "token"
    kinds = {
        "unix": Identity("prod.payments/feast"),
        "join-token": Identity("prod.payments/feast", join_token_file=file),
        "kubernetes": Identity("a/b", evidence="kubernetes", token_file=file),
        "jwt": Identity("prod.payments/feast", evidence="jwt", token_file=file),
    }
    assert {kind: evidence_for(told).kind for kind, told in kinds.items()} == {
        kind: kind for kind in kinds
    }


def test_a_workload_is_a_service_or_a_job() -> None:
    assert workload_ids("d", "prod.payments/x") == (
        "spiffe://d/bu/payments/svc/x",
        "spiffe://d/bu/payments/ci/x",
    )
