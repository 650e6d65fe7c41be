"""Replicas of the whole operator in processes of their own, with the CA that they need, before an API server
without nodes; and what the kernel and their metrics say of them. The bench of the operator uses them too.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

from admission_kit import OWN_NAMESPACE
from featward_operator.certificates.overlap import Lives
from kubernetes_kit import Kubernetes
from operator_kit import free_port

__all__ = ["DOMAIN", "Replica", "Series", "running", "running_ca", "settings_of"]

DOMAIN = "prod.acme.example"
"""The trust domain of the Environment `prod`."""
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]
_READY_SECONDS = 120.0
_FEATWARD = (sys.executable, "-m", "featward")
# Without nodes there is no Service: the API server calls the webhook as localhost, which no real one is called.
_PROGRAM = """
import asyncio, json, sys
from pathlib import Path
from featward.descriptors import raise_limit
from featward.logs import Form, Level, set_up
from featward_operator.certificates.overlap import Lives
from featward_operator.parts import parts_of
from featward_operator.run import run
from featward_operator.settings import load
from featward_operator.webhook.part import webhook_part

lives = Lives(**json.loads(sys.argv[3]))

def parts(operator):
    port, names = operator.settings.ports.webhook, ("localhost",)
    webhook = webhook_part(lambda s: s.injection, port=port, lives=lives, further_names=names)
    return [one if one.name != webhook.name else webhook for one in parts_of(operator)]

set_up(Form.JSON, Level.INFO)
raise_limit()
asyncio.run(run(load(Path(sys.argv[1])), sys.argv[2], parts))
"""


@dataclass
class Replica:
    """A running one."""

    process: subprocess.Popen[bytes]
    health: int
    log: Path

    async def ready(self) -> float:
        """Wait until it is; the seconds that took."""
        began = time.monotonic()
        while not await self._is_ready():
            if self.process.poll() is not None or time.monotonic() - began > _READY_SECONDS:
                said = self.log.read_text(errors="replace")[-3000:]
                raise RuntimeError(f"the operator did not become ready: {said}")
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def series(self) -> Series:
        """Its metrics by name and labels."""
        _, text = await self._get("/metrics")
        return {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    def megabytes(self, what: str = "VmRSS") -> float:
        """Resident memory; with VmHWM the most that it was."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        (found,) = (line.split()[1] for line in lines if line.startswith(f"{what}:"))
        return int(found) / 1024

    def cpu_seconds(self) -> float:
        """Of all its threads, until now."""
        found = 0
        for one in Path(f"/proc/{self.process.pid}/task").iterdir():
            found += int((one / "schedstat").read_text().split()[0])
        return found / 1e9

    async def _is_ready(self) -> bool:
        return (await self._get("/readyz"))[0] == 200

    async def _get(self, path: str) -> tuple[int, str]:
        url = f"http://127.0.0.1:{self.health}{path}"
        try:
            async with aiohttp.ClientSession() as session, session.get(url) as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientConnectionError:
            return 0, ""


@contextmanager
def running(
    folder: Path,
    settings: dict[str, Any],
    kubeconfig: Path,
    *,
    name: str = "operator",
    lives: Lives | None = None,
) -> Iterator[Replica]:
    """As long as the context lasts; ``lives`` are those of the webhook's certificates."""
    file, log = folder / f"{name}.yaml", folder / f"{name}.log"
    file.write_text(yaml.safe_dump(settings))
    given = json.dumps(asdict(lives or Lives()))
    command = [sys.executable, "-c", _PROGRAM, str(file), str(kubeconfig), given]
    with log.open("wb") as output:
        environment = os.environ | {"POD_NAME": name}
        process = subprocess.Popen(command, stderr=output, stdout=output, env=environment)
        try:
            yield Replica(process, settings["ports"]["health"], log)
        finally:
            process.kill()
            process.wait()


@contextmanager
def running_ca(kubernetes: Kubernetes, folder: Path) -> Iterator[tuple[str, str]]:
    """That of the Environment `prod`, which must be there: its address and the digest of its root."""
    address, data, health = f"127.0.0.1:{free_port()}", folder / "ca", free_port()
    login = kubernetes.kubeconfig("featward-ca", "system:masters")
    command: list[str | Path] = [*_FEATWARD, "ca", "serve", "--environment", "prod"]
    command += ["--data", data, "--kek-file", folder / "kek", "--health", f"127.0.0.1:{health}"]
    command += ["--from-cluster", "eu1", "--cluster", f"eu1={login}", "--listen", address]
    command += ["--operator", f"eu1/{OWN_NAMESPACE}/featward-operator"]
    with (folder / "ca.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            yield address, _root_of(data)
        finally:
            process.terminate()
            process.wait()


def _root_of(data: Path) -> str:
    shown: list[str | Path] = [*_FEATWARD, "ca", "status", "--data", data, "--output", "json"]
    end = time.monotonic() + _READY_SECONDS
    while True:
        done = subprocess.run(shown, capture_output=True, text=True, check=False)
        if done.returncode == 0:
            return str(json.loads(done.stdout)["root_sha256"])
        if time.monotonic() > end:
            raise RuntimeError(f"the CA did not come up: {done.stderr}")
        time.sleep(0.1)


def settings_of(
    kubernetes: Kubernetes, folder: Path, ca: str, root: str, *, name: str = "operator"
) -> dict[str, Any]:
    """A replica's configuration, with a token of a pod of its own."""
    evidence = folder / f"{name}-evidence" / "prod"
    evidence.mkdir(parents=True)
    pod = kubernetes.pod(OWN_NAMESPACE, "featward-operator")
    (evidence / "token").write_text(kubernetes.token(pod, f"featward.dev/ca/{DOMAIN}"))
    (evidence / "root.sha256").write_text(root)
    return {
        "namespace": OWN_NAMESPACE,
        "cluster": "eu1",
        "image": "localhost/featward:0.2.0",
        "environments": [{"name": "prod", "trustDomain": DOMAIN, "ca": ca}],
        "folders": {"evidence": str(evidence.parent), "run": str(folder / f"{name}-run")},
        "ports": {"health": free_port(), "policy": free_port(), "webhook": free_port()},
    }
