"""What an app in a pod asks and what it is told: through its sidecar, or past all of ours."""

import json
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from cluster.pods import PYTHON, run_in, state_of
from cluster.running import Cluster
from cluster.waiting import wait_until

__all__ = [
    "ASK",
    "ASKING",
    "Answer",
    "Steady",
    "ask",
    "ask_until",
    "connect",
    "steadily",
    "watching",
]

ASKING = """
import json, os, sys, time, urllib.error, urllib.request
def ask(variable, features):
    names = ["driver_hourly_stats:" + one for one in features.split(",")]
    asked = {"features": names, "entities": {"driver_id": [1001, 1002]}}
    url = os.environ[variable] + "/get-online-features"
    request = urllib.request.Request(url, json.dumps(asked).encode(), {"Content-Type": "application/json"})
    try:
        answer = urllib.request.urlopen(request, timeout=10)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, answer.read().decode()
"""
"""Python that knows how to ask: `ask(variable, columns)` is a status and a text."""
ASK = ASKING + "print(json.dumps(ask(*sys.argv[1:])))"
"""A program that asks once; its arguments: the variable with the address, columns with commas between."""
_WATCH = (
    ASKING
    + """
before, end = None, time.monotonic() + 60
while time.monotonic() < end:
    status, _ = ask(*sys.argv[1:])
    if status != before:
        print(time.time(), status, flush=True)
    before = status
    time.sleep(0.02)
"""
)
_ENOUGH = "/tmp/enough"  # noqa: S108  a container's own
_STEADY = (
    ASKING
    + f"""
asked, slowest, failed, end = 0, 0.0, [], time.monotonic() + 900
while not os.path.exists({_ENOUGH!r}) and time.monotonic() < end:
    began = time.monotonic()
    try:
        status, body = ask(*sys.argv[1:])
    except OSError as error:
        status, body = 0, repr(error)
    slowest, asked = max(slowest, time.monotonic() - began), asked + 1
    if status != 200:
        failed.append([time.time(), status, body[:200]])
    time.sleep(0.02)
print(json.dumps([asked, slowest, failed]))
"""
)
_CONNECT = """
import socket, sys
try:
    socket.create_connection((sys.argv[1], int(sys.argv[2])), timeout=3).close()
    print("open")
except OSError as error:
    print(type(error).__name__)
"""


@dataclass(frozen=True)
class Answer:
    """Of a feature server or of a sidecar before it."""

    status: int
    body: dict[str, Any]

    @property
    def columns(self) -> dict[str, list[Any]]:
        """The values, by the name of the column."""
        names = self.body["metadata"]["feature_names"]
        results = self.body["results"]
        return {name: one["values"] for name, one in zip(names, results, strict=True)}


def ask(cluster: Cluster, pod: Mapping[str, Any], variable: str, columns: str) -> Answer:
    """The app asks for these columns of drivers 1001 and 1002."""
    status, body = json.loads(run_in(cluster, pod, ASK, variable, columns))
    return Answer(status, json.loads(body) if body else {})


def ask_until(
    cluster: Cluster,
    pod: Mapping[str, Any],
    variable: str,
    columns: str,
    status: int,
    seconds: float = 60.0,
) -> Answer:
    """Ask until the answer has this status; fails with all that is known of the pods."""
    found: list[Answer] = []

    def has() -> bool:
        found.append(ask(cluster, pod, variable, columns))
        return found[-1].status == status

    try:
        wait_until(has, f"{columns} is answered with {status}", seconds)
    except AssertionError as error:
        namespace = pod["metadata"]["namespace"]
        raise AssertionError(f"{error}: {found[-1]}\n{state_of(cluster, namespace)}") from error
    return found[-1]


def connect(cluster: Cluster, pod: Mapping[str, Any], host: str, port: int) -> str:
    """`open`, or the kind of error with which a connection from the app fails."""
    return run_in(cluster, pod, _CONNECT, host, str(port)).strip()


class Watched:
    """The statuses that an app gets which asks 50 times a second."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def next(self) -> tuple[float, int]:
        """When the status changed, by the machine's clock, and to which."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the app asks no more"
        when, status = line.split()
        return float(when), int(status)

    def becomes(self, status: int, seconds: float = 20.0) -> float:
        """When it first had this one, on the machine's clock."""
        end = time.time() + seconds
        while True:
            when, found = self.next()
            if found == status:
                return when
            assert time.time() < end, f"still {found} instead of {status}"


@contextmanager
def watching(
    cluster: Cluster, pod: Mapping[str, Any], variable: str, columns: str
) -> Iterator[Watched]:
    """The app asks all the time, for as long as the context lasts."""
    where = pod["metadata"]
    command = ["exec", "--namespace", where["namespace"], where["name"], "--container", "app"]
    command += ["--", PYTHON, "-c", _WATCH, variable, columns]
    program = [str(cluster.kubectl_program), f"--kubeconfig={cluster.kubeconfig}", *command]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield Watched(process)
        finally:
            # The program in the pod is told nothing of that, and ends within a minute by itself.
            process.kill()


@dataclass
class Steady:
    """What became of an app's requests, known when it has ended: how many it made, how many seconds the slowest
    took, and of those that were not answered with 200 the time, the status (0: none) and why."""

    asked: int = 0
    slowest: float = 0.0
    failed: Sequence[tuple[float, int, str]] = ()


@contextmanager
def steadily(
    cluster: Cluster, pod: Mapping[str, Any], variable: str, columns: str
) -> Iterator[Steady]:
    """The app asks, one request after another, up to 50 a second, for as long as the context lasts."""
    where, found = pod["metadata"], Steady()
    command = ["exec", "--namespace", where["namespace"], where["name"], "--container", "app"]
    command += ["--", PYTHON, "-c", _STEADY, variable, columns]
    program = [str(cluster.kubectl_program), f"--kubeconfig={cluster.kubeconfig}", *command]
    run_in(cluster, pod, f"import pathlib; pathlib.Path({_ENOUGH!r}).unlink(missing_ok=True)")
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield found
            run_in(cluster, pod, f"open({_ENOUGH!r}, 'w')")
            said, _ = process.communicate(timeout=60)
            found.asked, found.slowest, failed = json.loads(said)
            found.failed = [(when, status, why) for when, status, why in failed]
        finally:
            process.kill()
