"""Replicas of the operator as processes of their own, made of parts that only tests have."""

import asyncio
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from featward.kubernetes.elector import Lost
from featward_operator.health import Gate
from featward_operator.run import Operator, Part

__all__ = ["PARTS", "Replica", "configuration", "free_port", "replica"]

_PROGRAM = """
import asyncio, sys
from pathlib import Path
from featward.logs import Form, Level, set_up
from featward_operator.run import run
from featward_operator.settings import load
from operator_kit import PARTS
set_up(Form.JSON, Level.INFO)
parts = [PARTS[name] for name in sys.argv[3:]]
asyncio.run(run(load(Path(sys.argv[1])), sys.argv[2], lambda _: parts))
"""


async def _write_lines(operator: Operator, lost: Lost) -> None:
    """What a leader does: a line all the time while it may."""
    while not lost.is_set():
        print(time.time(), operator.instance, "acts", flush=True)
        await asyncio.sleep(0.02)
    await asyncio.Event().wait()


async def _yield(_: Operator, lost: Lost) -> None:
    """Ends when the lead does, at the same moment."""
    await lost.wait()


async def _get_ready(_: Operator, gate: Gate) -> None:
    gate.close("half a second to pass")
    await asyncio.sleep(0.5)
    gate.open()
    await asyncio.Event().wait()


async def _fail(_: Operator, gate: Gate) -> None:
    gate.open()
    await asyncio.sleep(1)
    raise RuntimeError("out of luck")


async def _fail_leading(_: Operator, lost: Lost) -> None:
    await asyncio.sleep(1)
    raise RuntimeError("out of luck")


async def _cling(_: Operator, lost: Lost) -> None:
    """Never ends, whatever it is told."""
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            continue


PARTS = {
    "writes": Part("writes", lead=_write_lines),
    "yields": Part("yields", lead=_yield),
    "readies": Part("readies", serve=_get_ready),
    "fails": Part("fails", serve=_fail),
    "fails-leading": Part("fails-leading", lead=_fail_leading),
    "clings": Part("clings", lead=_cling),
}


class Replica:
    """One process."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, said: Path, log: Path) -> None:
        self.process = process
        self._url = f"http://127.0.0.1:{port}"
        self._said = said
        self._log = log

    def acts(self) -> list[float]:
        """When it did what leaders do, in seconds of the day."""
        return [float(line.split()[0]) for line in self._said.read_text().splitlines()]

    def log(self) -> list[dict[str, Any]]:
        """Its log; what is no JSON is Python's last word."""
        lines = self._log.read_text().splitlines()
        return [json.loads(line) if line.startswith("{") else {"message": line} for line in lines]

    async def get(self, path: str) -> tuple[int, str]:
        """Status and text; 0 when nobody answers."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(self._url + path, timeout=aiohttp.ClientTimeout(total=5)) as answer,
            ):
                return answer.status, await answer.text()
        except aiohttp.ClientConnectionError:
            return 0, ""

    async def ended(self, seconds: float = 20.0) -> int:
        """Its exit status."""
        return await asyncio.to_thread(self.process.wait, seconds)


def free_port() -> int:
    """Free at this moment, on all addresses."""
    with socket.socket() as one:
        one.bind(("", 0))
        port: int = one.getsockname()[1]
        return port


def configuration(namespace: str, **given: Any) -> dict[str, Any]:
    """One that is right."""
    environment = {"name": "prod", "trustDomain": "prod.acme.example", "ca": "featward-ca:8443"}
    return {
        "namespace": namespace,
        "cluster": "eu1",
        "image": "localhost/featward:0.2.0",
        "environments": [environment],
    } | given


@contextmanager
def replica(
    folder: Path, kubeconfig: Path, namespace: str, name: str, *parts: str
) -> Iterator[Replica]:
    """A replica of short times, made of these parts; killed at the end if it runs still."""
    port = free_port()
    lease = {"duration": "4s", "renew": "2s", "retry": "1s"}
    file = folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(configuration(namespace, ports={"health": port}, lease=lease)))
    said, log = folder / f"{name}.out", folder / f"{name}.log"
    shared = str(Path(__file__).parent)
    environment = {
        **os.environ,
        "POD_NAME": name,
        "PYTHONPATH": os.pathsep.join([shared, *sys.path]),
    }
    command = [sys.executable, "-c", _PROGRAM, str(file), str(kubeconfig), *parts]
    with said.open("wb") as output, log.open("wb") as errors:
        process = subprocess.Popen(command, stdout=output, stderr=errors, env=environment)
        try:
            yield Replica(process, port, said, log)
        finally:
            process.kill()
            process.wait()
