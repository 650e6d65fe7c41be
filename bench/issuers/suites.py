"""Closed loops of 1, 8 and 32 clients, on one issuer at a time, which has a core of its own."""

import itertools
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import Popen

from issuers.featward import Ca
from issuers.step import Step, set_up
from issuers.world import World
from sidebyside.proxies import Running, pinned
from sidebyside.world import free_ports

Row = dict[str, float]
SERVER_CORE, LOAD_CORE = 0, 1
WARM_UP = 1.0
# More than step-ca has ever signed in a second here.
_BODIES_A_SECOND = 2500


@dataclass(frozen=True)
class Issuer:
    """What is asked of whom."""

    name: str
    mode: str
    peer: bool = False
    path: str = ""


ISSUERS = (
    Issuer("featward renew", "renew"),
    Issuer("featward batch of 20", "batch"),
    Issuer("step-ca sign", "post", peer=True, path="/1.0/sign"),
    Issuer("step-ca renew", "post", peer=True, path="/1.0/renew"),
)


@dataclass
class Bench:
    """Measures issuers in a world. `step` is the peer's program, None to measure ours alone."""

    world: World
    load: Path
    step: Path | None
    seconds: float
    split: bool = True
    _runs: Iterator[int] = field(default_factory=itertools.count)

    @property
    def issuers(self) -> list[Issuer]:
        """Those that can be measured."""
        return [one for one in ISSUERS if self.step or not one.peer]

    def run(self, issuer: Issuer, clients: int) -> Row:
        """Start the issuer with nothing but what its clients need, load it, stop it."""
        with (
            self._step(issuer, clients) if issuer.peer else self._featward(issuer) as (
                process,
                command,
            )
        ):
            command += ["--connections", str(clients), "--seconds", str(self.seconds)]
            return _measured(command, Running(process))

    @contextmanager
    def _featward(self, issuer: Issuer) -> Iterator[tuple[Popen[bytes], list[str]]]:
        data = self.world.fresh_data(f"ca-{next(self._runs)}")
        port, health = free_ports(2)
        ca = Ca(self.world, data, port, health, self._core(SERVER_CORE))
        where = str(ca.socket) if issuer.mode == "batch" else ca.address
        with ca.started() as process:
            command = self._command(issuer.mode, where, "--csrs", str(self.world.csrs))
            world = self.world
            command += ["--ca", str(world.roots), "--clients", str(world.clients)]
            yield process, [*command, "--key", str(world.client_key)]

    @contextmanager
    def _step(self, issuer: Issuer, clients: int) -> Iterator[tuple[Popen[bytes], list[str]]]:
        assert self.step is not None  # noqa: S101  # `issuers` gives peers only with it
        (port,) = free_ports(1)
        step = set_up(self.world.folder / f"step-{next(self._runs)}", port)
        command = self._command(issuer.mode, f"127.0.0.1:{port}", "--path", issuer.path)
        command += ["--ca", str(step.roots)]
        with step.started(self.step, self._core(SERVER_CORE)) as process:
            if issuer.path.endswith("sign"):
                # Only now: it takes no token that is older than it is itself.
                command += ["--bodies", str(step.bodies(self._bodies()))]
            else:
                command += self._enrolled(step, clients)
            yield process, command

    def _bodies(self) -> int:
        return int((self.seconds + WARM_UP) * _BODIES_A_SECOND)

    def _enrolled(self, step: Step, clients: int) -> list[str]:
        chains, key = step.folder / "clients.pem", step.folder / "client.key"
        step.enrol(clients, chains, key)
        return ["--clients", str(chains), "--key", str(key)]

    def _command(self, *words: str) -> list[str]:
        command = [str(self.load), *words, "--warm", str(WARM_UP)]
        return pinned(command, self._core(LOAD_CORE))

    def _core(self, core: int) -> int | None:
        return core if self.split else None


def _measured(command: list[str], server: Running) -> Row:
    """The load program's figures, with what the server has spent on each certificate."""
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as load:
        assert load.stdout is not None  # noqa: S101  # asked for in the line above
        assert load.stderr is not None  # noqa: S101
        begun = load.stdout.readline() == "begin\n"
        before = server.usage()
        line = load.stdout.read()
        used, said = server.usage().since(before), load.stderr.read()
    if not begun or load.returncode != 0:
        raise SystemExit(f"the load program failed: {said[-500:]}")
    pairs = (pair.partition("=") for pair in line.split())
    row = {key: float(value) for key, _, value in pairs}
    made = max(row["certificates"], 1)
    seconds = float(command[command.index("--seconds") + 1])
    row["rate"] = row["certificates"] / seconds
    return row | {"cpu": used.cpu / made, "per_core": made / (used.cpu / 1e6), "rss": used.rss}
