"""A CA whose machine's clock jumps, in a process of its own under libfaketime.

Its monotonic clock stays as it is, as it does when somebody sets a real clock.
"""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
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
"""
LIBRARY = resources.files("libfaketime") / "vendor/libfaketime/src/libfaketime.so.1"
FEATWARD = "import sys; from featward.cli import main; sys.argv[0] = 'featward'; main()"
HOUR, MONTH = 3600, 30 * 86_400
# As long as it takes the CA to look at its clock again, and a little.
STEP = 6.0
Stub: Any = identity_pb2_grpc.IdentityServiceStub


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
        command = [sys.executable, "-c", FEATWARD, "ca", *self.serve]
        process = subprocess.Popen(command, env=self.environment, stderr=subprocess.PIPE, text=True)
        with process:
            assert process.stderr is not None
            said: list[str] = []
            while "the CA is ready" not in (line := process.stderr.readline()):
                assert line, f"the CA ended before it was ready: {said[-3:]}"
                said.append(line)
            (health,) = [line.split()[1] for line in said if line.startswith("health: ")]
            try:
                yield health
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


@pytest.fixture
def ca(tmp_path: Path) -> Ca:
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "all.yaml").write_text(MANIFESTS % os.getuid())
    made = Ca(tmp_path)
    made.set_clock(0)
    return made


def _health(address: str) -> tuple[int, dict[str, str]]:
    try:
        with urllib.request.urlopen(f"http://{address}/healthz", timeout=10) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.load(error)


def _said(ca: Ca, message: str) -> list[dict[str, Any]]:
    lines = (ca.folder / "log").read_text().splitlines()
    said = [json.loads(line) for line in lines if line.startswith("{")]
    return [line for line in said if line["message"].startswith(message)]


def _wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not happen within 30 s"
        time.sleep(0.2)


@pytest.mark.timeout(120)
def test_a_clock_that_jumps_back_signs_nothing_until_it_is_right_again(ca: Ca) -> None:
    with ca.served() as health:
        ca.attest()
        assert _health(health) == (200, {"status": "ok"})
        ca.set_clock(-HOUR)
        said = ca.refused()
        assert said.startswith("clock-skew: the CA's clock says ")
        assert "set the clock right" in said
        status, answer = _health(health)
        assert (status, answer["status"]) == (503, "failing")
        assert answer["problem"].startswith("clock-skew: ")
        ca.set_clock(0)
        ca.attest()
        _wait_for(lambda: _health(health)[0] == 200)
    assert " 0 findings" in ca.findings()
    assert len(ca.serials()) == 2


@pytest.mark.timeout(120)
def test_a_clock_that_jumps_ahead_is_reported_and_costs_no_record(ca: Ca) -> None:
    with ca.served() as health:
        before = [ca.attest() for _ in range(3)]
        ca.set_clock(MONTH)
        # All authorities have ended by this clock; the schedule makes others once it has noticed.
        _wait_for(ca.attests)
        _wait_for(lambda: _health(health)[0] == 200)
        ahead = ca.attest()
        assert ahead.not_before > before[0].not_before + MONTH - HOUR
        ca.set_clock(0)
        assert "if it is right now and was ahead then, wait until that time" in ca.refused()
        time.sleep(STEP)
    (forward, back) = (line["seconds"] for line in _said(ca, "the clock was set"))
    assert (round(forward / MONTH, 3), round(back / MONTH, 3)) == (1, -1)
    kept = {each.lineage for each in (*before, ahead)}
    assert kept <= ca.lineages()
    assert " 0 findings" in ca.findings()


@pytest.mark.timeout(120)
def test_a_ca_that_starts_with_a_clock_behind_says_why_it_does_not_sign(ca: Ca) -> None:
    with ca.served():
        first = ca.attest()
    ca.set_clock(-HOUR)
    refused = ca.command(*ca.serve)
    assert refused.returncode == 1
    assert refused.stderr.splitlines()[-1].startswith("error: clock-skew: the CA's clock says ")
    ca.set_clock(0)
    with ca.served():
        ca.attest()
    assert first.lineage in ca.lineages()
    assert " 0 findings" in ca.findings()
