"""Logs held what attestation is decided by; here they hold no token, key or secret."""

import base64
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from attestor_kit import AUDIENCE
from ca_kit import TRUST_DOMAIN, a_request
from featward.identity.v1 import identity_pb2, identity_pb2_grpc
from featward_ca.keys import EncryptedKeyStore
from featward_ca.store import authority_rows
from featward_ca.store.read_only import read_only
from kubernetes_kit import ISSUER, Kubernetes
from kubernetes_programs import BUILD_SECONDS
from oidc_kit import Issuer, running_issuer

FEATWARD = str(Path(sys.executable).with_name("featward"))
MANIFESTS = f"""
apiVersion: featward.dev/v1alpha1
kind: Environment
metadata: {{name: prod}}
spec: {{trustDomain: {TRUST_DOMAIN}}}
---
apiVersion: featward.dev/v1alpha1
kind: BusinessUnit
metadata: {{name: prod.payments}}
---
apiVersion: featward.dev/v1alpha1
kind: Workload
metadata: {{name: pricing-api}}
spec: {{businessUnit: prod.payments, name: pricing-api}}
"""


@pytest.fixture
def issuer(tmp_path: Path) -> Iterator[Issuer]:
    (tmp_path / "issuer").mkdir()
    with running_issuer(tmp_path / "issuer") as running:
        yield running


@contextmanager
def _program(log: Path, ready: str, *arguments: str) -> Iterator[None]:
    """A program of ours at its most talkative, for as long as the context lasts."""
    with log.open("w") as out:
        process = subprocess.Popen([FEATWARD, *arguments], stdout=out, stderr=out)
    try:
        while ready not in log.read_text():
            assert process.poll() is None, log.read_text()
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def _run(*arguments: str) -> str:
    done = subprocess.run([FEATWARD, *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr


def _forms(secret: bytes) -> set[str]:
    """How a secret could look in a line."""
    encodings = (base64.b64encode, base64.urlsafe_b64encode)
    forms = {encode(secret).decode().rstrip("=") for encode in encodings}
    return {*forms, secret.hex(), repr(secret)[2:-1]}


def _scalar(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_numbers().private_value.to_bytes(32, "big")


def _authority_keys(data: Path, kek: bytes) -> list[bytes]:
    keys = EncryptedKeyStore(kek)
    with read_only(data / "ca.sqlite3") as connection:
        stored = [row.key for row in authority_rows.every(connection) if row.key]
    for one in stored:
        keys.load(one)
    return [*stored, *map(_scalar, keys._keys.values())]


def test_logs_hold_no_token_key_or_secret(tmp_path: Path) -> None:
    """A CA and a sidecar at level debug, tokens that are used twice and tokens that are none."""
    data, kek, manifests = tmp_path / "data", tmp_path / "kek", tmp_path / "manifests"
    manifests.mkdir()
    (manifests / "all.yaml").write_text(MANIFESTS)
    log, sidecar_log = tmp_path / "ca.log", tmp_path / "sidecar.log"
    at_ca = ("--data", str(data))
    serve = ["ca", "serve", "--environment", "prod", *at_ca, "--manifests", str(manifests)]
    serve += ["--kek-file", str(kek), "--listen", "127.0.0.1:0", "--health", "127.0.0.1:0"]
    with ExitStack() as stack:
        ready = "the CA is ready"
        stack.enter_context(_program(log, ready, *serve, "--log-level", "debug"))
        address = re.findall(r"^listen: (\S+)", log.read_text(), re.MULTILINE)[0]
        create = ("token", "create", "--workload", "prod.payments/pricing-api")
        tokens = [_run("ca", *create, *at_ca) for _ in range(2)]
        tokens.append(tokens[0][:-8] + "AAAAAAAA")
        fetched = [_fetch(tmp_path, address, token, n) for n, token in enumerate(tokens[1:])]
        assert "svid.pem" in " ".join(path.name for path in fetched[0].iterdir())
        (tmp_path / "token").write_text(tokens[0])
        configuration = {
            "workload": "prod.payments/pricing-api",
            "manifests": str(manifests),
            "ca": address,
            "joinTokenFile": str(tmp_path / "token"),
            "health": "none",
            "state": str(tmp_path / "state"),
            "output": {"folder": str(tmp_path / "identity")},
            "workloadSocket": str(tmp_path / "w.sock"),
            "log": {"level": "debug", "format": "json"},
        }
        (tmp_path / "sidecar.json").write_text(json.dumps(configuration))
        run = ("sidecar", "run", "--config", str(tmp_path / "sidecar.json"))
        with _program(sidecar_log, "identity", *run):
            key_file = tmp_path / "identity" / "key.pem"
            while not key_file.exists():
                time.sleep(0.05)
            key_files = [key_file.read_bytes(), (fetched[0] / "key.pem").read_bytes()]
        with _program(sidecar_log.with_suffix(".again"), "used", *run):
            pass
    secrets = {
        form for kind in _authority_keys(data, kek.read_bytes().strip()) for form in _forms(kind)
    }
    for pem in key_files:
        key = serialization.load_pem_private_key(pem, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        secrets |= _forms(_scalar(key)) | set(pem.decode().splitlines()[1:-1])
    for token in tokens:
        secrets |= {token, token.rpartition(".")[2]}
    secrets |= {kek.read_text().strip(), "PRIVATE KEY"}
    for written in (log, sidecar_log, sidecar_log.with_suffix(".again")):
        text = written.read_text()
        assert len(text) > 500
        assert not [secret for secret in secrets if secret in text], written


def _fetch(folder: Path, address: str, token: str, number: int) -> Path:
    file, out = folder / f"{number}.token", folder / f"fetched{number}"
    file.write_text(token)
    arguments = ("--token-file", str(file), "--out", str(out))
    for _ in range(2):
        _run("ca", "fetch-svid", "--ca", address, *arguments)
    return out


EVIDENCE = """
apiVersion: featward.dev/v1alpha1
kind: Environment
metadata: {name: prod}
spec:
  trustDomain: %s
  clusters: [{name: eu1, issuer: "%s"}]
  jwtIssuers: [{name: gitlab, issuer: "%s", caFile: "%s"}]
---
apiVersion: featward.dev/v1alpha1
kind: BusinessUnit
metadata: {name: prod.payments}
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
PASSWORD = "p%40ss-4f0c1e"


@pytest.mark.timeout(BUILD_SECONDS)
def test_logs_hold_no_evidence_and_no_password_of_the_database(
    kubernetes: Kubernetes, issuer: Issuer, postgresql_url: str, tmp_path: Path
) -> None:
    """A CA at level debug on PostgreSQL, with tokens that are good, refused, and used for another key."""
    store = postgresql_url.replace("postgres@", f"postgres:{PASSWORD}@")
    pod = kubernetes.pod(kubernetes.namespace("prod.payments"))
    account = kubernetes.token(pod, AUDIENCE)
    job = issuer.token({"sub": "nightly", "aud": AUDIENCE})
    other = issuer.token({"sub": "nobody", "aud": AUDIENCE})
    forged = [token.rpartition(".")[0] + ".QUFBQQ" for token in (account, job)]
    manifests, log = tmp_path / "manifests", tmp_path / "ca.log"
    manifests.mkdir()
    told = (TRUST_DOMAIN, ISSUER, issuer.address, issuer.ca_file)
    (manifests / "all.yaml").write_text(EVIDENCE % told)
    serve = ["ca", "serve", "--environment", "prod", "--data", str(tmp_path / "data")]
    serve += ["--manifests", str(manifests), "--kek-file", str(tmp_path / "kek"), "--health", ""]
    serve += ["--listen", "127.0.0.1:0", "--workload-socket", str(tmp_path / "w.sock")]
    serve += ["--cluster", f"eu1={kubernetes.ca_kubeconfig()}", "--store", store]
    with _program(log, "the CA is ready", *serve, "--log-level", "debug"):
        by_account = [_attested(tmp_path, kubernetes=token) for token in (account, forged[0])]
        by_job = [_attested(tmp_path, jwt=token) for token in (job, forged[1], other, job)]
    assert by_account == [True, False]
    assert by_job == [True, False, False, False]
    said = [_run("ca", "check-issued", "--store", one) for one in (store, f"{store}&port=1")]
    text = "".join([log.read_text(), *said])
    assert "0 findings" in said[0]
    assert "can't be reached" in said[1]
    assert text.count("the evidence was not accepted") + text.count("refused") >= 4
    tokens = [account, job, other, *forged]
    secrets = {part for token in tokens for part in token.split(".")[1:]} | {
        PASSWORD,
        "p@ss-4f0c1e",
    }
    assert not [secret for secret in secrets if secret in text], text


def _attested(folder: Path, **tokens: str) -> bool:
    """Whether evidence was accepted, for a fresh key."""
    kinds: dict[str, Any] = {
        "kubernetes": identity_pb2.KubernetesEvidence,
        "jwt": identity_pb2.JwtEvidence,
    }
    shown = {kind: kinds[kind](token=token) for kind, token in tokens.items()}
    request = identity_pb2.AttestRequest(evidence=identity_pb2.Evidence(**shown), csr=a_request())
    options = [("grpc.default_authority", "localhost")]
    with grpc.insecure_channel(f"unix:{folder}/w.sock", options) as channel:
        stub: Any = identity_pb2_grpc.IdentityServiceStub(channel)
        try:
            return bool(stub.Attest(request, timeout=20).svid.chain)
        except grpc.RpcError as error:
            refusal: Any = error
            assert refusal.code() is grpc.StatusCode.UNAUTHENTICATED, refusal
            return False
