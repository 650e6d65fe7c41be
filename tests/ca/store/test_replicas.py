"""Several CAs on one database: they rotate once, hear of each other, and outlive each other."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ca_kit import FakeClock, OpenCore, a_directory, a_request, issue
from featward_ca.attest import Attested
from featward_ca.core import Core
from featward_ca.errors import StoreError, SvidClonedError
from featward_ca.issuer import IssuedSvid
from featward_ca.replicas import DEAD_LOOKS
from featward_ca.requests import keys_of
from featward_ca.settings import DAY, HOUR
from featward_ca.store import audit, replica_rows
from featward_ca.store.audit import Entry, Outcome

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


@pytest.fixture
def store_url(postgresql_url: str) -> str:
    """Replicas share a database; the embedded store belongs to one process."""
    return postgresql_url


@pytest.fixture
async def pair(open_core: OpenCore) -> tuple[Core, Core]:
    """Two CAs, started for the first time at the same moment."""
    first, second = await asyncio.gather(open_core(), open_core())
    return first, second


def generations(core: Core) -> list[tuple[str, int, str]]:
    return sorted((row.owner, row.generation, row.state) for row in core.authorities.rows)


async def test_replicas_that_start_at_once_make_one_root_and_one_authority_each(
    pair: tuple[Core, Core],
) -> None:
    for core in pair:
        await core.authorities.load()
        assert {generation for _, generation, _ in generations(core)} == {1}
        assert len(core.authorities.rows) == 4
        await issue(core, NAME)


async def test_replicas_rotate_once(pair: tuple[Core, Core], clock: FakeClock) -> None:
    clock.advance(5 * DAY + HOUR)
    await asyncio.gather(*(core.tend() for core in pair))
    for core in pair:
        await core.authorities.load()
        # Each waits until the other one's Listeners use what is announced.
        assert ("prod.payments", 2, "prepared") in generations(core)
    for core in pair:
        await core.replicas.beat()
    await asyncio.gather(*(core.tend() for core in pair))
    for core in pair:
        await core.authorities.load()
        assert ("prod.payments", 2, "active") in generations(core)
        assert max(generation for _, generation, _ in generations(core)) == 2
    assert len({core.authorities.active("prod.payments").row.id for core in pair}) == 1


async def test_a_change_by_one_replica_is_announced_by_the_other(pair: tuple[Core, Core]) -> None:
    one, other = pair
    following = asyncio.create_task(other.follow_changes())
    sequence = other.trust.current.sequence
    units = dict(a_directory().business_units) | {"prod.fraud": 7 * DAY}
    one.take_over(a_directory(business_units=units))
    await one.tend()
    trust = await asyncio.wait_for(other.trust.after(sequence), 5)
    while "/bu/fraud/" not in {prefix for _, prefix in trust.scopes}:
        trust = await asyncio.wait_for(other.trust.after(trust.sequence), 5)
    following.cancel()


async def test_one_svid_renewed_at_two_replicas_for_two_keys_is_a_clone(
    pair: tuple[Core, Core],
) -> None:
    directory = pair[0].situation.directory
    token, _ = await pair[0].tokens.create(directory, NAME, HOUR, b"r" * 32)
    row = (await issue(pair[0], await pair[0].tokens.attest(directory, token.evidence))).row
    requests = [a_request() for _ in pair]
    proofs = [
        await core.renewals.attest(directory, row.spiffe_id, row.serial, keys_of([csr])[0])
        for core, csr in zip(pair, requests, strict=True)
    ]
    attempts = [
        issue(core, proof, csr)
        for core, proof, csr in zip(pair, proofs, requests, strict=True)
        if isinstance(proof, Attested)
    ]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {IssuedSvid, SvidClonedError}


async def begin(core: Core) -> None:
    """An intent whose outcome is still to come."""
    entry = Entry(1.0, core.store.replica, "r1", "attest", "test", Outcome.INTENT, serial="5e")
    await core.store.run(lambda connection: audit.append(connection, entry))


async def outcomes(core: Core) -> list[Outcome]:
    return [row.outcome for row in await core.store.read(audit.entries) if row.request == "r1"]


async def test_a_replica_closes_the_intents_of_the_dead_and_of_nobody_else(
    pair: tuple[Core, Core], open_core: OpenCore, clock: FakeClock
) -> None:
    living, other = pair
    await begin(living)
    third = await open_core()
    for _ in range(3 * DEAD_LOOKS):
        clock.advance(5)
        await living.replicas.beat()
        await other.replicas.beat()
    assert await outcomes(other) == [Outcome.INTENT]
    await third.close()
    for _ in range(DEAD_LOOKS + 1):
        clock.advance(5)
        await other.replicas.beat()
    assert await outcomes(other) == [Outcome.INTENT, Outcome.INTERRUPTED]
    (left,) = await other.store.read(replica_rows.everybody)
    assert left.id == other.store.replica


async def test_who_was_taken_for_dead_completes_nothing_and_goes_on_under_a_new_name(
    pair: tuple[Core, Core], clock: FakeClock
) -> None:
    silent, other = pair
    name = silent.store.replica
    for _ in range(DEAD_LOOKS + 1):
        clock.advance(5)
        await other.replicas.beat()
    with pytest.raises(StoreError, match="took it for dead"):
        await issue(silent, NAME)
    await silent.replicas.beat()
    assert silent.store.replica != name
    await issue(silent, NAME)


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

    def status(self) -> dict[str, object]:
        told = self._run("status", "--data", str(self.data), "--output", "json")
        shown: dict[str, object] = json.loads(told)
        return shown

    def address(self) -> str:
        """Where it listens, which it says as it starts."""
        lines = self.log.read_text().splitlines()
        return next(line.split()[1] for line in lines if line.startswith("listen: "))

    def svid(self, folder: Path) -> x509.Certificate:
        """Attest as a workload without a sidecar does, over mTLS, with a token of this replica."""
        token = folder / "token"
        create = ["token", "create", "--workload", NAME, "--data", str(self.data)]
        token.write_text(self._run(*create))
        out = folder / "svid"
        self._run("fetch-svid", "--ca", self.address(), "--token-file", str(token), "--out", str(out))
        return x509.load_pem_x509_certificate((out / "svid.pem").read_bytes())

    def findings(self) -> list[object]:
        """What the checker finds in all that is stored."""
        told = json.loads(self._run("check-issued", "--store", self._url, "--output", "json"))
        found: list[object] = told["findings"]
        return found

    def _run(self, *arguments: str) -> str:
        command = [*self._command, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def generation(self) -> int:
        """The newest of the business unit's authorities."""
        rows = self.status()["authorities"]
        assert isinstance(rows, list)
        return max(int(row["generation"]) for row in rows if row["owner"] == "prod.payments")


@pytest.fixture
def served(postgresql_url: str, tmp_path: Path) -> Iterator[list[Replica]]:
    """Two, started at the same moment on an empty database."""
    (tmp_path / "manifests").mkdir()
    (tmp_path / "manifests" / "all.yaml").write_text(MANIFESTS)
    (tmp_path / "kek").write_text("k" * 44)
    (tmp_path / "kek").chmod(0o600)
    replicas = [Replica(tmp_path, name, postgresql_url) for name in ("one", "two")]
    try:
        for replica in replicas:
            replica.wait()
        yield replicas
    finally:
        for replica in replicas:
            if replica.process.poll() is None:
                replica.process.send_signal(signal.SIGTERM)
                assert replica.process.wait(20) == 0


@pytest.mark.timeout(150)
@pytest.mark.parametrize("dies", [0, 1])
def test_either_of_two_replicas_may_be_killed_and_the_other_goes_on(
    served: list[Replica], dies: int
) -> None:
    killed, left = served[dies], served[1 - dies]
    while min(replica.generation() for replica in served) < 2:
        pass
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.wait()
    reached = left.generation()
    while left.generation() < reached + 2:
        pass
    while len(left.status()["replicas"]) > 1:  # type: ignore[arg-type]
        pass
    assert "replicas are dead" in left.log.read_text()
    made = [
        line
        for replica in served
        for line in replica.log.read_text().splitlines()
        if '"authority made"' in line and '"prod.payments"' in line
    ]
    assert len(made) <= left.generation(), made
