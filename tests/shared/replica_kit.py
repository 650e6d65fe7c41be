"""Replicas of a CA on one database, each a process of its own, and a client that goes from one to another."""

import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from echo import dialling
from featward.identity.join_token import JoinToken
from featward.identity.spiffe import SpiffeId
from featward.identity.v1 import identity_pb2, identity_pb2_grpc
from featward_engine import Credentials

__all__ = ["NAME", "RenewingClient", "Replica", "lay_out"]

NAME = "prod.payments/pricing-api"
MANIFESTS = """
apiVersion: featward.dev/v1alpha1
kind: Environment
metadata: {name: prod}
spec: {trustDomain: prod.acme.example, svidTTL: 2s}
---
apiVersion: featward.dev/v1alpha1
kind: BusinessUnit
metadata: {name: prod.payments}
spec: {authority: {lifetime: 12s}}
---
apiVersion: featward.dev/v1alpha1
kind: Workload
metadata: {name: pricing-api}
spec: {businessUnit: prod.payments, name: pricing-api}
"""
Stub: Any = identity_pb2_grpc.IdentityServiceStub
SECONDS = 20.0


def lay_out(folder: Path) -> None:
    """The manifests and the key-encryption key that all replicas share."""
    (folder / "manifests").mkdir()
    (folder / "manifests" / "all.yaml").write_text(MANIFESTS)
    (folder / "kek").write_text("k" * 44)
    (folder / "kek").chmod(0o600)


class Replica:
    """One `featward ca serve` in a process of its own."""

    def __init__(self, folder: Path, name: str, url: str) -> None:
        self.data = folder / name
        self._url = url
        program = "import sys; from featward.cli import main; sys.argv[0] = 'featward'; main()"
        self._command = [sys.executable, "-c", program, "ca"]
        serve = ["serve", "--environment", "prod", "--data", str(self.data), "--store", url]
        serve += ["--manifests", str(folder / "manifests"), "--kek-file", str(folder / "kek")]
        serve += ["--listen", "127.0.0.1:0", "--health", "", "--unsafe-short-lives"]
        self.log = folder / f"{name}.log"
        with self.log.open("w") as log:
            self.process = subprocess.Popen([*self._command, *serve], stderr=log)

    def wait(self) -> None:
        while "the CA is ready" not in self.log.read_text():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.1)
                raise AssertionError(self.log.read_text())

    def status(self) -> dict[str, Any]:
        told = self._run("status", "--data", str(self.data), "--output", "json")
        shown: dict[str, Any] = json.loads(told)
        return shown

    @property
    def address(self) -> str:
        """Where it listens, which it says as it starts."""
        lines = self.log.read_text().splitlines()
        return next(line.split()[1] for line in lines if line.startswith("listen: "))

    def token(self) -> str:
        """A join token for the workload."""
        return self._run("token", "create", "--workload", NAME, "--data", str(self.data))

    def fetch_svid(self, out: Path) -> str:
        """Attest as a workload without a sidecar does; the certificate in PEM."""
        token = self.data / "token"
        token.write_text(self.token())
        told = ["--ca", self.address, "--token-file", str(token), "--out", str(out)]
        self._run("fetch-svid", *told)
        return (out / "svid.pem").read_text()

    def check_issued(self) -> dict[str, Any]:
        """What the checker says of all that is stored."""
        told = self._run("check-issued", "--store", self._url, "--output", "json")
        checked: dict[str, Any] = json.loads(told)
        return checked

    def _run(self, *arguments: str) -> str:
        command = [*self._command, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def generation(self) -> int:
        """The newest of the business unit's authorities."""
        rows = self.status()["authorities"]
        return max(int(row["generation"]) for row in rows if row["owner"] == "prod.payments")


class RenewingClient:
    """A workload that attests with a join token at one CA and renews by its SVID alone, over real mTLS."""

    def __init__(self, token: str) -> None:
        self._token = JoinToken.parse(token)
        self._credentials = Credentials(self._token.trust_domain)

    async def attest(self, address: str) -> bytes:
        """The certificate that it got, in DER."""
        pending = self._credentials.new_identity()
        evidence = identity_pb2.Evidence(join_token=self._token.evidence)
        request = identity_pb2.AttestRequest(evidence=evidence, csr=pending.csr)
        async with self._call(address, root_sha256=self._token.root_sha256.hex()) as stub:
            answer = await stub.Attest(request, timeout=SECONDS)
        self._trust(answer.trust)
        self._credentials.set_identity(pending, list(answer.svid.chain))
        return bytes(answer.svid.chain[0])

    async def renew(self, address: str) -> bytes:
        """The certificate that follows, in DER."""
        pending = self._credentials.new_identity()
        async with self._call(address, client_certificate=True) as stub:
            stream = stub.WatchIdentity(timeout=SECONDS)
            self._trust((await stream.read()).trust)
            await stream.write(identity_pb2.WatchIdentityRequest(csrs=[pending.csr]))
            while not (answer := await stream.read()).svids:
                self._trust(answer.trust)
            stream.cancel()
        chain = list(answer.svids[0].chain)
        self._credentials.set_identity(pending, chain)
        return bytes(chain[0])

    @contextlib.asynccontextmanager
    async def _call(self, address: str, **config: object) -> AsyncIterator[Any]:
        told = {"expect": str(SpiffeId.ca(self._token.trust_domain)), "client_certificate": False}
        with tempfile.TemporaryDirectory() as folder:
            config = {"address": address, "socket": f"{folder}/ca.sock", **told, **config}
            async with dialling(self._credentials, **config) as (_, channel):
                yield Stub(channel)

    def _trust(self, trust: identity_pb2.Trust) -> None:
        scopes = [(scope.spki_sha256, scope.path_prefix) for scope in trust.scopes]
        self._credentials.set_trust(list(trust.roots), scopes, trust.sequence)
