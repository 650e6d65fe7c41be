"""Asks the API server again and again for a pod that wants a sidecar, and notes when it was let in."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import pairwise
from typing import Any

from cluster.running import Cluster

__all__ = ["Prober", "probing"]

# Together 20 times a second. Some keep their connection and some make one for each request, so that neither
# a kept one that leads to a dead replica nor the making of new ones goes unseen.
_EVERY_SECONDS = 0.2
_KEPT = (True, True, False, False)
_LONGEST = 10.0


class Prober:
    """What it saw, while the context lasts."""

    def __init__(self, cluster: Cluster, namespace: str, pod: dict[str, Any]) -> None:
        self._kubernetes = cluster.kubernetes
        self._path = f"/api/v1/namespaces/{namespace}/pods?dryRun=All"
        self._body = json.dumps(pod)
        self.admitted: list[float] = []
        """When, on a clock that nobody sets."""
        self.failed: list[tuple[float, str]] = []
        """When, and why."""
        self.unprotected = 0
        """Let in without a sidecar: never."""

    def gap(self) -> float:
        """The longest time in which nothing was let in."""
        moments = sorted(self.admitted)
        return max((after - before for before, after in pairwise(moments)), default=float("inf"))

    def run(self, stopped: threading.Event, *, kept: bool) -> None:
        """Ask until then."""
        connection, due = self._connect(), time.monotonic()
        while not stopped.wait(max(0.0, due - time.monotonic())):
            due = max(due + _EVERY_SECONDS, time.monotonic() - _EVERY_SECONDS)
            if not self._ask(connection) or not kept:
                connection.close()
                connection = self._connect()
        connection.close()

    def _connect(self) -> http.client.HTTPSConnection:
        host = self._kubernetes.server.removeprefix("https://")
        return http.client.HTTPSConnection(host, context=self._kubernetes.tls, timeout=_LONGEST)

    def _ask(self, connection: http.client.HTTPSConnection) -> bool:
        try:
            connection.request("POST", self._path, self._body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            told = json.loads(answer.read())
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.failed.append((time.monotonic(), f"{type(error).__name__}: {error}"))
            return False
        if answer.status != 201:
            why = f"{answer.status} {told.get('message', '')[:300]}"
            self.failed.append((time.monotonic(), why))
            return answer.status < 500
        self.admitted.append(time.monotonic())
        names = [one["name"] for one in told["spec"].get("initContainers", ())]
        self.unprotected += "featward-sidecar" not in names
        return True


@contextmanager
def probing(cluster: Cluster, namespace: str, pod: dict[str, Any]) -> Iterator[Prober]:
    """By dry run: nothing is made."""
    prober, stopped = Prober(cluster, namespace, pod), threading.Event()
    threads = [
        threading.Thread(target=prober.run, args=(stopped,), kwargs={"kept": kept}, daemon=True)
        for kept in _KEPT
    ]
    for thread in threads:
        thread.start()
    try:
        yield prober
    finally:
        stopped.set()
        for thread in threads:
            with suppress(RuntimeError):
                thread.join(2 * _LONGEST)
