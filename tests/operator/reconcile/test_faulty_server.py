"""A whole replica before an API server that fails in each of its ways: it asks seldom, and then goes on."""

import asyncio
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart_kit import NAMESPACE
from cluster.faults import FaultProxy, always, fault_proxy, watching
from cluster.feasts import ACCOUNT, binding, feature_set, served_by
from crd_kit import apply, collection
from kubernetes_kit import Kubernetes
from operator_kit import configuration, free_port

pytestmark = pytest.mark.timeout(180)

_ML, _API = "ml", "api"
_FAULT_SECONDS, _FOLLOWED_SECONDS = 3.0, 40.0
# About 25 watches. Each may ask and list twice in this time before its waits grow; two Leases, three statuses.
_MOST_REQUESTS = 150
_GONE = {"kind": "Status", "code": 410, "reason": "Expired"}
FAULTS: dict[str, Callable[[FaultProxy], None]] = {
    "410 of every watch": lambda proxy: proxy.answer(watching, 410, _GONE),
    "429 for everything": lambda proxy: proxy.answer(always, 429, {}, {"Retry-After": "1"}),
    "silence": FaultProxy.hold,
    "slow answers": lambda proxy: proxy.slow(1.0),
}


def _platform() -> list[dict[str, Any]]:
    domain = {"trustDomain": "prod.acme.example"}
    subject = {"serviceAccount": {"namespace": _ML, "name": "pricing-api"}}
    return [
        _object("Environment", "prod", domain),
        _object("BusinessUnit", "prod.payments", {}),
        feature_set(_ML, "driver-stats", served_by(ACCOUNT)),
        binding(_ML, _API, "driver-stats", subject, "conv_rate"),
    ]


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    about = {"apiVersion": "featward.dev/v1alpha1", "kind": kind, "metadata": {"name": name}}
    return about | {"spec": spec}


@contextmanager
def _short_folder() -> Iterator[Path]:
    """The names of sockets in it have to be short."""
    folder = tempfile.mkdtemp(prefix="fw-")
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder)


@contextmanager
def _operator(proxy: FaultProxy, folder: Path, log: Path) -> Iterator[None]:
    """All of it, as the command runs it; its CA is away."""
    ports = {name: free_port() for name in ("health", "policy", "webhook")}
    folders = {"evidence": str(folder), "run": str(folder / "run")}
    told = configuration(NAMESPACE, ports=ports, folders=folders, log={"format": "json"})
    told["environments"][0]["ca"] = f"127.0.0.1:{free_port()}"
    file = folder / "operator.yaml"
    file.write_text(yaml.safe_dump(told))
    command = [sys.executable, "-m", "featward", "operator", "run", f"--config={file}"]
    command += [f"--kubeconfig={proxy.kubeconfig}"]
    with log.open("wb") as said:
        environment = os.environ | {"POD_NAME": "operator-0"}
        process = subprocess.Popen(command, stdout=said, stderr=said, env=environment)
        try:
            yield
            assert process.poll() is None, log.read_text()[-2000:]
        finally:
            process.kill()
            process.wait()


async def test_whatever_the_server_does_it_is_asked_seldom_and_followed_again(
    cluster: Kubernetes, tmp_path: Path
) -> None:
    cluster.namespace("prod.payments", _ML)
    for one in _platform():
        status, answer = apply(cluster, one, "tests")
        assert status in (200, 201), answer
    path = f"{collection('FeatureBinding', _ML)}/{_API}"

    def edit() -> None:
        patch = {"spec": {"purpose": secrets.token_hex(4)}}
        cluster.call("PATCH", path, patch, "merge-patch+json")

    def is_followed() -> bool:
        found = cluster.call("GET", path)
        seen = (found.get("status") or {}).get("observedGeneration")
        return bool(seen == found["metadata"]["generation"])

    async def followed() -> float:
        """Seconds until the leader has said something of the binding as it is."""
        began = time.monotonic()
        while not await asyncio.to_thread(is_followed):
            assert time.monotonic() - began < _FOLLOWED_SECONDS, (
                tmp_path / "operator.log"
            ).read_text()[-3000:]
            await asyncio.sleep(0.1)
        return round(time.monotonic() - began, 1)

    counted: dict[str, tuple[int, float]] = {}
    async with fault_proxy(cluster, tmp_path) as proxy:
        with _short_folder() as folder, _operator(proxy, folder, tmp_path / "operator.log"):
            await followed()
            for name, fail in FAULTS.items():
                began = time.monotonic()
                fail(proxy)
                if name != "slow answers":
                    # What is open already would not notice.
                    proxy.cut()
                    proxy.uncut()
                await asyncio.to_thread(edit)
                await asyncio.sleep(_FAULT_SECONDS)
                asked = proxy.count(always, began)
                proxy.mend()
                counted[name] = asked, await followed()
    print("requests during each fault, and seconds until it was followed again:", counted)
    assert max(asked for asked, _ in counted.values()) < _MOST_REQUESTS, counted
