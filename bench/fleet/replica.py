"""One replica of the operator in a process of its own, and what the kernel and its metrics say of it."""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Replica", "running"]

READY_SECONDS = 120.0
# Without nodes there is no Service: the API server calls the webhook as localhost, which no real one is called.
_PROGRAM = """
import asyncio, sys
from pathlib import Path
from featward.descriptors import raise_limit
from featward.logs import Form, Level, set_up
from featward_operator.parts import parts_of
from featward_operator.run import run
from featward_operator.settings import load
from featward_operator.webhook.part import webhook_part

def parts(operator):
    port = operator.settings.ports.webhook
    webhook = webhook_part(lambda s: s.injection, port=port, further_names=("localhost",))
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

    async def ready(self) -> float:
        """Wait until it is; the seconds that took."""
        began = time.monotonic()
        while not await self._is_ready():
            if self.process.poll() is not None or time.monotonic() - began > READY_SECONDS:
                raise SystemExit("error: the operator did not become ready; see operator.log")
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    async def series(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
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
def running(folder: Path, settings: dict[str, Any], kubeconfig: Path) -> Iterator[Replica]:
    """As long as the context lasts."""
    file = folder / "operator.yaml"
    file.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-c", _PROGRAM, str(file), str(kubeconfig)]
    with (folder / "operator.log").open("wb") as log:
        process = subprocess.Popen(command, stderr=log, stdout=log)
        try:
            yield Replica(process, settings["ports"]["health"])
        finally:
            process.kill()
            process.wait()
