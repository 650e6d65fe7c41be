"""Ten thousand streams: what each costs while nothing happens, and how long all need to come back.

The CA is killed without warning and started again on the same data. Every client then notices at
once, comes back by the sidecar's rule for delays, shakes hands, opens its stream, receives the trust
and renews its SVID, which in life only a part of them would. Meanwhile the CA's health is asked four
times a second, as an orchestrator would that kills what does not answer.
"""

import os
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen
from typing import IO

from issuers.featward import Ca
from issuers.suites import Row
from issuers.world import World
from sidebyside.proxies import Running
from sidebyside.world import free_ports

_PROBE_SECONDS = 0.25
# What a probe of Kubernetes' waits for by default is one second; a CA may be asked to have more.
_PATIENCE = 10.0
# All that was acknowledged is stored, and memory has been given back where it will be.
_SETTLE_SECONDS = 3.0


@dataclass
class Prober:
    """Asks for health until it is stopped."""

    url: str
    worst: float = 0.0
    bad: int = 0
    asked: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        """For a thread of its own."""
        while not self._stop.wait(_PROBE_SECONDS):
            started = time.monotonic()
            try:
                urllib.request.urlopen(self.url, timeout=_PATIENCE).close()  # noqa: S310  # http
            except (OSError, urllib.error.URLError):
                self.bad += 1
            self.asked += 1
            self.worst = max(self.worst, time.monotonic() - started)

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()


def run(world: World, load: Path, clients: int, number: int) -> Row:
    """One storm; both the CA and the load program use all cores."""
    port, health = free_ports(2)
    ca = Ca(world, world.fresh_data(f"storm-{number}"), port, health, None)
    command = [str(load), "hold", ca.address, "--csrs", str(world.csrs), "--ca", str(world.roots)]
    command += ["--clients", str(world.clients), "--key", str(world.client_key)]
    command += ["--connections", str(clients)]
    with ExitStack() as stack:
        process = stack.enter_context(ca.started())
        log = stack.enter_context((world.folder / "hold.log").open("ab"))
        held = stack.enter_context(Popen(command, stdout=subprocess.PIPE, stderr=log, text=True))
        stack.callback(held.kill)
        assert held.stdout is not None  # noqa: S101  # asked for above
        return _idle(process, held.stdout) | _back_after_kill(ca, process, held.stdout)


def _idle(process: Popen[bytes], said: IO[str]) -> Row:
    server = Running(process)
    alone = server.usage().rss
    opened = _expect("open", said)
    time.sleep(_SETTLE_SECONDS)
    idle_from = server.usage()
    time.sleep(_SETTLE_SECONDS)
    idle = server.usage().since(idle_from)
    return {
        "clients": opened["count"],
        "open_seconds": opened["seconds"],
        "rss_alone": alone,
        "stream_kb": (idle.rss - alone) / opened["count"],
        "idle_core": idle.cpu / 1e6 / _SETTLE_SECONDS,
    }


def _back_after_kill(ca: Ca, process: Popen[bytes], said: IO[str]) -> Row:
    process.send_signal(signal.SIGKILL)
    process.wait()
    killed = time.monotonic()
    with ca.started() as process:
        ready, server = time.monotonic(), Running(process)
        prober = Prober(f"http://127.0.0.1:{ca.health}/healthz")
        thread = threading.Thread(target=prober.run)
        thread.start()
        before = server.usage()
        try:
            renewed = _expect("renewed", said)
            drained, used = time.monotonic(), server.usage().since(before)
        finally:
            prober.stop()
            thread.join()
    return {
        "ready_seconds": ready - killed,
        "drain_seconds": drained - ready,
        "renewed": renewed["count"],
        "failed_attempts": renewed["failed"],
        "cores": used.cpu / 1e6 / (drained - ready),
        "probes": prober.asked,
        "bad_probes": prober.bad,
        "worst_probe_ms": prober.worst * 1000,
        "rss": used.rss,
    }


def _expect(word: str, said: IO[str]) -> Row:
    line = said.readline()
    name, _, pairs = line.strip().partition(" ")
    if name != word:
        raise SystemExit(f"the load program ended before all were {word}; see hold.log")
    return {key: float(value) for key, _, value in (pair.partition("=") for pair in pairs.split())}


def enough_descriptors(clients: int) -> bool:
    """Whether this process's children may open so many connections."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = clients + 512
    if hard not in (resource.RLIM_INFINITY, os.sysconf("SC_OPEN_MAX")) and hard < wanted:
        return False
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(wanted, 1024), hard))
    return True
