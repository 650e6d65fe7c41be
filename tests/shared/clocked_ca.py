"""A whole CA in processes of its own, by its command line, on a clock that a test sets.

Its monotonic clock stays as it is, as it does when somebody sets a real clock.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import grpc
import pytest

from ca_kit import TRUST_DOMAIN, a_request
from featward.identity.v1 import identity_pb2, identity_pb2_grpc
from featward_ca.settings import embedded_file
from featward_ca.store import svids
from featward_ca.store.read_only import read_only
from featward_ca.store.svids import SvidRow

MANIFESTS = """
apiVersion: featward.dev/v1alpha1
kind: Environment
metadata: {name: prod}
spec: {trustDomain: prod.acme.example}
---
apiVersion: featward.dev/v1alpha1
kind: BusinessUnit
metadata: {name: prod.payments}
---
apiVersion: featward.dev/v1alpha1
kind: Workload
metadata: {name: feast}
spec: {businessUnit: prod.payments, name: feast, attest: {unix: {user: "%d"}}}
---
apiVersion: featward.dev/v1alpha1
kind: Workload
metadata: {name: pricing-api}
spec: {businessUnit: prod.payments, name: pricing-api}
"""
LIBRARY = resources.files("libfaketime") / "vendor/libfaketime/src/libfaketime.so.1"
FEATWARD = "import sys; from featward.cli import main; sys.argv[0] = 'featward'; main()"
Stub: Any = identity_pb2_grpc.IdentityServiceStub


def clocked_ca(folder: Path) -> "Ca":
    """One in this folder, with one business unit and a workload that this user is."""
    (folder / "manifests").mkdir()
    (folder / "manifests" / "all.yaml").write_text(MANIFESTS % os.getuid())
    made = Ca(folder)
    made.set_clock(0)
    return made


@dataclass
class Ca:
    """A CA's folder; its clock is what stands in a file."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        fake = {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self.folder / "clock"),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FEATWARD_CA_LOG_FORMAT": "json",
        }
        return os.environ | fake

    @property
    def serve(self) -> list[str]:
        """Its arguments."""
        folder = self.folder
        arguments = ["serve", "--environment", "prod", "--data", str(folder / "data")]
        arguments += ["--kek-file", str(folder / "kek"), "--manifests", str(folder / "manifests")]
        arguments += ["--listen", "127.0.0.1:0", "--workload-socket", str(folder / "w.sock")]
        return [*arguments, "--health", "127.0.0.1:0"]

    def set_clock(self, ahead: int) -> None:
        """By so many seconds; whole lines only, as it is read at every look at the clock."""
        fresh = self.folder / "clock.new"
        fresh.write_text(f"{ahead:+d}\n")
        fresh.replace(self.folder / "clock")

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", FEATWARD, "ca", *arguments]
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=False
        )

    @contextmanager
    def served(self) -> Iterator[str]:
        """Runs it; gives the address of its health."""
        with self.addresses() as said:
            yield said["health"]

    @contextmanager
    def addresses(self) -> Iterator[dict[str, str]]:
        """Runs it; gives all that it says of where it listens."""
        command = [sys.executable, "-c", FEATWARD, "ca", *self.serve]
        process = subprocess.Popen(command, env=self.environment, stderr=subprocess.PIPE, text=True)
        with process:
            assert process.stderr is not None
            said: list[str] = []
            while "the CA is ready" not in (line := process.stderr.readline()):
                assert line, f"the CA ended before it was ready: {said[-3:]}"
                said.append(line)
            try:
                yield dict(line.split(": ", 1) for line in map(str.strip, said) if ": " in line)
            finally:
                process.terminate()
                (self.folder / "log").write_text(process.stderr.read())

    def attest(self) -> identity_pb2.Svid:
        channel = grpc.insecure_channel(
            f"unix:{self.folder}/w.sock", [("grpc.default_authority", "localhost")]
        )
        evidence = identity_pb2.Evidence(unix=identity_pb2.UnixEvidence())
        request = identity_pb2.AttestRequest(evidence=evidence, csr=a_request())
        with closing(channel):
            answer: identity_pb2.AttestResponse = Stub(channel).Attest(request, timeout=20)
        return answer.svid

    def refused(self) -> str:
        with pytest.raises(grpc.RpcError) as refused:
            self.attest()
        error: Any = refused.value
        assert error.code() is grpc.StatusCode.UNAVAILABLE
        return str(error.details())

    def attests(self) -> bool:
        try:
            self.attest()
        except grpc.RpcError:
            return False
        return True

    def serials(self) -> set[str]:
        return {row.serial for row in self._rows()}

    def lineages(self) -> set[str]:
        return {row.lineage for row in self._rows()}

    def _rows(self) -> list[SvidRow]:
        with read_only(embedded_file(self.folder / "data")) as connection:
            own = f"spiffe://{TRUST_DOMAIN}/featward/ca"
            return [row for row in svids.every(connection) if row.spiffe_id != own]

    def findings(self) -> str:
        done = self.command("check-issued", "--data", str(self.folder / "data"))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stderr
