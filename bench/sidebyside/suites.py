"""What is measured: each suite puts one kind of load on one proxy and returns a row of figures."""

import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sidebyside.proxies import Running, pinned, started
from sidebyside.world import World, upstream

Row = dict[str, float]


@dataclass(frozen=True)
class Suite:
    """One kind of load. `split` keeps the proxy on core 0 and all else on core 1."""

    name: str
    measure: Callable[["Bench", Running], Row]
    rows: int = 20
    split: bool = True
    against: tuple[str, ...] = ("envoy-rbac",)


@dataclass(frozen=True)
class Bench:
    """A suite that runs in a world."""

    world: World
    suite: Suite
    seconds: float

    def run(self, proxy: str) -> Row:
        """Start the proxy, warm it, measure it, stop it."""
        core, other = (0, 1) if self.suite.split else (None, None)
        with upstream(self.world, self.suite.rows) as server:
            _keep_on(server.pid, other)
            if proxy == "direct":
                return self.load("requests", "--rate", "1000", port=self.world.upstream, plain=True)
            with started(proxy, self.world, core) as running:
                self.wait_until_it_answers()
                return self.suite.measure(self, running)

    def load(
        self,
        mode: str,
        *options: str,
        port: int | None = None,
        plain: bool = False,
        seconds: float = 0,
    ) -> Row:
        """Run the load program and return the figures that it prints."""
        command = self.command(mode, *options, port=port, plain=plain, seconds=seconds)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0 or "count=" not in done.stdout:
            raise SystemExit(f"the load program failed: {done.stderr[-500:]}")
        line = done.stdout.splitlines()[-1]
        return {
            key: float(value) for key, _, value in (pair.partition("=") for pair in line.split())
        }

    def command(
        self,
        mode: str,
        *options: str,
        port: int | None = None,
        plain: bool = False,
        seconds: float = 0,
    ) -> list[str]:
        """The load program's command line."""
        folder = self.world.folder
        command = [str(folder.parent / "load"), mode, f"127.0.0.1:{port or self.world.proxy}"]
        command += [
            "--body",
            str(folder / f"request-{self.suite.rows}.json"),
            "--seconds",
            str(seconds or self.seconds),
        ]
        client = folder / "client"
        files = [
            "--ca",
            str(client / "bundle.pem"),
            "--cert",
            str(client / "svid.pem"),
            "--key",
            str(client / "key.pem"),
        ]
        return pinned(
            [*command, *(["--plain"] if plain else files), *options],
            1 if self.suite.split else None,
        )

    def wait_until_it_answers(self) -> None:
        """A port that listens is not yet a proxy that has its policy."""
        end = time.monotonic() + 30
        command = self.command("requests", "--connections", "1", seconds=0.05)
        while (done := subprocess.run(command, capture_output=True, text=True, check=False)).stderr:
            if time.monotonic() > end:
                raise SystemExit(f"the proxy does not answer: {done.stderr[-300:]}")
            time.sleep(0.1)


def closed_loop(bench: Bench, proxy: Running) -> Row:
    """16 connections, one request at a time on each, as fast as answers come."""
    return _while_loaded(bench, proxy, "requests")


def open_loop(bench: Bench, proxy: Running) -> Row:
    """1,000 requests a second, latency counted from when each was due."""
    return _while_loaded(bench, proxy, "requests", "--rate", "1000")


def handshakes(bench: Bench, proxy: Running) -> Row:
    """Full TLS 1.3 handshakes with a client certificate, 8 at a time."""
    return _while_loaded(bench, proxy, "handshake", "--connections", "8")


def idle(bench: Bench, proxy: Running) -> Row:
    """Memory before and with 1,000 connections that do nothing."""
    before = proxy.usage().rss
    command = bench.command("idle", "--connections", "1000", seconds=3)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as held:
        assert held.stdout is not None  # noqa: S101 - asked for in the line above
        held.stdout.readline()
        time.sleep(1)
        after = proxy.usage().rss
    return {
        "rss": before,
        "rss_idle": after,
        "idle_kb": (after - before) / 1000,
        "failed": 0,
        "count": 1000,
    }


def _while_loaded(bench: Bench, proxy: Running, mode: str, *options: str) -> Row:
    bench.load(mode, *options, seconds=1.5)
    before = proxy.usage()
    row = bench.load(mode, *options)
    used = proxy.usage().since(before)
    count = max(row["count"], 1)
    cpu = {"cpu": (used.cpu + used.policy_cpu) / count, "policy_cpu": used.policy_cpu / count}
    return row | cpu | {"rss": used.rss, "policy_rss": used.policy_rss}


def _keep_on(pid: int, core: int | None) -> None:
    """Keep the upstream's processes off the proxy's core."""
    if core is None:
        return
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    for each in [str(pid), *children]:
        subprocess.run(["taskset", "-acp", str(core), each], check=True, capture_output=True)


SUITES = (
    Suite(
        "requests", closed_loop, against=("featward-shadow", "envoy-rbac", "envoy-lua", "envoy-opa")
    ),
    Suite(
        "small",
        closed_loop,
        rows=1,
        against=("featward-shadow", "envoy-rbac", "envoy-lua", "envoy-opa"),
    ),
    Suite("open", open_loop, split=False, against=("direct", "envoy-rbac", "envoy-opa")),
    Suite("handshakes", handshakes),
    Suite("idle", idle, split=False),
)
