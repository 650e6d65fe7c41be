"""The proxies that are compared: how each is started, and what it takes of the machine."""

import os
import sys
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import Popen

from sidebyside.world import FEATURES, SERVER_WORKLOAD, TEMPLATES, World, running

OURS = ("featward-shadow", "featward")
NAMES = (*OURS, "envoy-rbac", "envoy-lua", "envoy-opa")


@dataclass(frozen=True)
class Usage:
    """CPU microseconds since the start and resident kilobytes, of a proxy and its policy server."""

    cpu: float
    rss: int
    policy_cpu: float = 0.0
    policy_rss: int = 0

    def since(self, before: "Usage") -> "Usage":
        """The CPU spent since then; memory as it is now."""
        return replace(
            self, cpu=self.cpu - before.cpu, policy_cpu=self.policy_cpu - before.policy_cpu
        )


@dataclass(frozen=True)
class Running:
    """A proxy that serves."""

    process: Popen[bytes]
    policy: Popen[bytes] | None = None

    def usage(self) -> Usage:
        """What it has taken so far."""
        if self.policy is None:
            return Usage(_cpu(self.process.pid), _rss(self.process.pid))
        policy = self.policy.pid
        return Usage(_cpu(self.process.pid), _rss(self.process.pid), _cpu(policy), _rss(policy))


@contextmanager
def started(name: str, world: World, core: int | None) -> Iterator[Running]:
    """The proxy of that name, on one core of its own where `core` says which."""
    with ExitStack() as stack:
        policy = None
        if name == "envoy-opa":
            policy = stack.enter_context(
                running(pinned(_opa(world), core), world.folder / "opa.log", world.authz)
            )
        command = _featward(name, world) if name in OURS else _envoy(name, world)
        log = world.folder / f"{name}.log"
        process = stack.enter_context(running(pinned(command, core), log, world.proxy))
        yield Running(process, policy)


def pinned(command: list[str], core: int | None) -> list[str]:
    """The command, kept on one core; both featward and Envoy then run one worker."""
    return command if core is None else ["taskset", "-c", str(core), *command]


def _featward(name: str, world: World) -> list[str]:
    manifests = world.manifests if name == "featward" else world.shadow_manifests
    state = world.folder / "state"
    command = [
        "featward",
        "sidecar",
        "run",
        "--workload",
        SERVER_WORKLOAD,
        "--manifests",
        str(manifests),
    ]
    command += [
        "--ca",
        f"127.0.0.1:{world.ca}",
        "--join-token-file",
        str(world.token(SERVER_WORKLOAD)),
    ]
    command += ["--listen", f"127.0.0.1:{world.proxy}", "--state", str(state)]
    return command


def _envoy(name: str, world: World) -> list[str]:
    text = (TEMPLATES / "envoy.yaml").read_text()
    values = {
        "FOLDER": str(world.folder),
        "LISTEN": str(world.proxy),
        "UPSTREAM": str(world.upstream),
    }
    values |= {"AUTHZ": str(world.authz), "FILTER": _filter(name)}
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    path = world.folder / f"{name}.yaml"
    path.write_text(text)
    return [_beside_python("envoy"), "-c", str(path), "--concurrency", "1", "--log-level", "warn"]


def _filter(name: str) -> str:
    """The HTTP filter that tells the kinds of Envoy apart, indented for the template."""
    if name == "envoy-rbac":
        return ""
    text = (TEMPLATES / ("lua.yaml" if name == "envoy-lua" else "authz.yaml")).read_text()
    allowed = ", ".join(f'["{feature}"] = true' for feature in FEATURES)
    return textwrap.indent(text.replace("@ALLOWED@", allowed), " " * 10).strip()


def _opa(world: World) -> list[str]:
    policy = TEMPLATES.parent / "authz" / "policy.rego"
    command = [str(world.folder.parent / "authz"), "-address", f"127.0.0.1:{world.authz}"]
    return [*command, "-policy", str(policy), "-data", str(world.folder / "bindings.json")]


def _beside_python(program: str) -> str:
    return str(Path(sys.executable).parent / program)


def _cpu(pid: int) -> float:
    tasks = Path(f"/proc/{pid}/task")
    return (
        sum(int((tasks / task / "schedstat").read_text().split()[0]) for task in os.listdir(tasks))
        / 1e3
    )


def _rss(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
