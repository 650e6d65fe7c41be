"""What a running CA is threatened by, and that it holds: the loss of its root, and everybody at once."""

import asyncio
import os
import re
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest

from ca_kit import TRUST_DOMAIN, a_request
from echo import OPTIONS
from featward.authority.v1 import authority_pb2
from featward.identity.v1 import identity_pb2
from featward_ca import health
from featward_ca.clock import SystemClock
from featward_ca.server import running
from featward_ca.settings import ServeSettings
from service_kit import AdminStub, Stub

FEATWARD = str(Path(sys.executable).with_name("featward"))
STORM = 500
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
---
apiVersion: featward.dev/v1alpha1
kind: Workload
metadata: {{name: feast}}
spec: {{businessUnit: prod.payments, name: feast, attest: {{unix: {{user: "{os.getuid()}"}}}}}}
"""


@pytest.fixture
def manifests(tmp_path: Path) -> Path:
    folder = tmp_path / "manifests"
    folder.mkdir()
    (folder / "all.yaml").write_text(MANIFESTS)
    return folder


def _run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [FEATWARD, "ca", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)


@contextmanager
def _serving(*arguments: str) -> Iterator[str]:
    """A CA in a process of its own; the address at which it listens."""
    command = [FEATWARD, "ca", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        said = ""
        while "the CA is ready" not in said:
            line = process.stderr.readline()
            assert line, said
            said += line
        yield re.findall(r"^listen: (\S+)", said, re.MULTILINE)[0]
        process.send_signal(signal.SIGTERM)
        process.stderr.read()


def test_a_lost_root_is_replaced_by_command(tmp_path: Path, manifests: Path) -> None:
    """Nobody has its key any more; whoever came by token has to be told of the new one."""
    data, kek = ("--data", str(tmp_path / "data")), ("--kek-file", str(tmp_path / "kek"))
    serve = ["serve", "--environment", "prod", *data, *kek, "--manifests", str(manifests)]
    serve += ["--listen", "127.0.0.1:0", "--health", ""]
    with _serving(*serve) as address:
        token = _run("token", "create", "--workload", "prod.payments/pricing-api", *data).stdout
        (tmp_path / "token").write_text(token)
        files = ("--token-file", str(tmp_path / "token"), "--out", str(tmp_path / "first"))
        assert _run("fetch-svid", "--ca", address, *files).returncode == 0
    with sqlite3.connect(tmp_path / "data" / "ca.sqlite3") as store:
        store.execute("UPDATE authority SET key = spki_sha256 WHERE owner = 'root'")
    store.close()
    refused = _run(*serve)
    assert refused.returncode == 1
    assert "featward ca recover" in " ".join(refused.stderr.split())
    recovered = _run(
        "recover", "root", "--force", *data, *kek, "--tokens", str(tmp_path / "tokens")
    )
    assert "a new root was made" in recovered.stdout, recovered.stderr
    (fresh,) = (tmp_path / "tokens").iterdir()
    with _serving(*serve) as address:
        files = ("--token-file", str(fresh), "--out", str(tmp_path / "second"))
        assert _run("fetch-svid", "--ca", address, *files).returncode == 0
    first, second = [(tmp_path / one / "bundle.pem").read_text() for one in ("first", "second")]
    # What the old root signed is accepted until it ends.
    assert first.strip() in second
    assert second.count("BEGIN") == 2 * first.count("BEGIN")


async def _attest(stub: Any) -> int:
    """As a sidecar that starts: come back when the CA says so. How often it was sent away."""
    away = 0
    while True:
        evidence = identity_pb2.Evidence(unix=identity_pb2.UnixEvidence())
        call = stub.Attest(identity_pb2.AttestRequest(evidence=evidence, csr=a_request()))
        code = await call.code()
        if code is grpc.StatusCode.OK:
            return away
        assert code is grpc.StatusCode.UNAVAILABLE, await call.details()
        trailer = dict(await call.trailing_metadata())
        away += 1
        await asyncio.sleep(float(trailer["featward-retry-after-ms"]) / 1000)


async def _watch_health(address: str) -> list[int]:
    """Ask until cancelled; every status."""
    found: list[int] = []
    async with aiohttp.ClientSession() as session:
        try:
            while True:
                async with session.get(f"http://{address}/healthz") as answer:
                    found.append(answer.status)
                await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            return found


async def test_a_restart_storm_drains_with_health_green(
    tmp_path: Path, manifests: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All workloads of a machine start at once, more than one caller may; each probe signs a canary."""
    monkeypatch.setattr(health, "_CANARY_SECONDS", 0.0)
    settings = ServeSettings(
        environment="prod",
        data=tmp_path / "data",
        manifests=manifests,
        kek_file=tmp_path / "kek",
        listen="127.0.0.1:0",
        workload_socket=tmp_path / "w.sock",
        admin_socket=tmp_path / "a.sock",
        health="127.0.0.1:0",
    )
    async with (
        running(settings, SystemClock()) as addresses,
        grpc.aio.insecure_channel(f"unix:{settings.workload_socket}", OPTIONS) as channel,
        grpc.aio.insecure_channel(f"unix:{settings.admin_socket}") as admin,
    ):
        assert addresses.health is not None
        probes = asyncio.create_task(_watch_health(addresses.health))
        stub = Stub(channel)
        away = await asyncio.gather(*(_attest(stub) for _ in range(STORM)))
        probes.cancel()
        statuses = await probes
        shown = await AdminStub(admin).Show(authority_pb2.ShowRequest())
    assert shown.live_svids >= STORM
    assert sum(away) > 0
    assert len(statuses) > 5
    assert set(statuses) == {200}
