"""Runs the bench of the operator: ``python -m fleet``; ``make bench-operator`` does."""

import argparse
import asyncio
import os
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console

from admission_kit import install_webhook
from crd_kit import apply, install
from featward.kubernetes.gateway import Gateway
from featward.kubernetes.resource import PODS
from fleet.admissions import admit
from fleet.report import Edits, Figures, show
from fleet.sidecars import Sidecars, sidecars
from fleet.world import DOMAIN, OWN_NAMESPACE, UNIT, World, team_of
from kubernetes_kit import ISSUER, Kubernetes, Pod, running_kubernetes
from operator_process import Replica, running, running_ca, settings_of

FEW = 10


def main() -> None:
    """Measure once, print a table."""
    options = _options()
    with tempfile.TemporaryDirectory(prefix="fleet") as folder:
        asyncio.run(_measure(Path(folder), options, Console()))


async def _measure(folder: Path, options: argparse.Namespace, console: Console) -> None:
    async with AsyncExitStack() as stack:
        kubernetes = stack.enter_context(running_kubernetes(folder))
        login = kubernetes.kubeconfig("operator", "system:masters")
        gateway = await stack.enter_async_context(await Gateway.open(str(login), agent="bench"))
        world = World(gateway)
        _lay_out(kubernetes)
        await world.platform()
        await world.grow(FEW, options.streams * 50)
        ca, root = stack.enter_context(running_ca(kubernetes, folder))
        settings = settings_of(kubernetes, folder, ca, root)
        replica = stack.enter_context(running(folder, settings, login))
        ready = await replica.ready()
        _say(console, f"the operator is ready after {ready:.1f} s")
        address = f"127.0.0.1:{settings['ports']['policy']}"
        pods = await _pods_of(gateway, team_of(0), options.streams)
        found = await stack.enter_async_context(
            sidecars(kubernetes, pods, ca, root, address, folder)
        )
        _say(console, f"{len(pods)} sidecars have their policy")
        few = await _edits(world, found, replica, options.edits)
        await world.grow(options.bindings, options.pods)
        await found.newest(time.monotonic())
        _say(console, f"{options.bindings:,} bindings and {options.pods:,} pods")
        await _quiet(replica)
        many = await _edits(world, found, replica, options.edits)
        rss, peak = replica.megabytes(), replica.megabytes("VmHWM")
        install_webhook(kubernetes, settings["ports"]["webhook"])
        await _published(gateway)
        admissions = await admit(gateway, replica, options.rate, options.seconds)
        figures = Figures(ready, rss, peak, few, many, admissions)
        show(figures, options.pods, options.bindings, len(pods), console)


def _lay_out(kubernetes: Kubernetes) -> None:
    install(kubernetes)
    kubernetes.namespace(name=OWN_NAMESPACE)
    cluster = {"name": "eu1", "issuer": ISSUER}
    for kind, name, spec in (
        ("Environment", "prod", {"trustDomain": DOMAIN, "clusters": [cluster]}),
        ("BusinessUnit", f"prod.{UNIT}", {}),
    ):
        tree = {"apiVersion": "featward.dev/v1alpha1", "kind": kind, "metadata": {"name": name}}
        status, answer = apply(kubernetes, {**tree, "spec": spec}, "bench")
        if status != 201:
            raise SystemExit(f"error: {kind} {name} was not taken: {answer}")


async def _pods_of(gateway: Gateway, namespace: str, count: int) -> list[Pod]:
    found = await gateway.ask("GET", PODS.path(namespace), query=[("limit", str(count))])
    return [
        Pod(namespace, one["metadata"]["name"], one["metadata"]["uid"], "feast")
        for one in found["items"]
    ]


async def _edits(world: World, found: Sidecars, replica: Replica, count: int) -> Edits:
    last, cpu = [], replica.cpu_seconds()
    for _ in range(count):
        began = time.monotonic()
        await world.edit()
        last.append(max(await found.newest(began)))
    return Edits(last, (replica.cpu_seconds() - cpu) / count)


async def _quiet(replica: Replica) -> None:
    """Until what came before is done with."""
    while True:
        before = replica.cpu_seconds()
        await asyncio.sleep(2)
        if replica.cpu_seconds() - before < 0.05:
            return


async def _published(gateway: Gateway) -> None:
    """Wait until the API server knows what the webhook's certificate is to be judged by."""
    path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/featward"
    for _ in range(300):
        webhooks = (await gateway.ask("GET", path))["webhooks"]
        if all(one["clientConfig"].get("caBundle") for one in webhooks):
            break
        await asyncio.sleep(0.2)
    await asyncio.sleep(1)  # the server follows its own objects, and tells nobody how far it is


def _say(console: Console, text: str) -> None:
    console.print(f"[dim]load {os.getloadavg()[0]:.1f}[/dim]  {text}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fleet", description=__doc__)
    add = parser.add_argument
    add("--pods", type=int, default=5_000, help="in the cluster (default 5,000)")
    add("--bindings", type=int, default=2_000, help="in the cluster (default 2,000)")
    add("--streams", type=int, default=50, help="sidecars of the edited set (default 50)")
    add("--edits", type=int, default=20, help="of one binding (default 20)")
    add("--rate", type=float, default=50, help="pods made a second (default 50)")
    add("--seconds", type=float, default=30, help="for so long (default 30)")
    add(
        "--smoke", action="store_true", help="tiny: shows that the bench works and measures nothing"
    )
    options = parser.parse_args()
    if options.smoke:
        options.pods, options.bindings, options.streams, options.edits = 150, 100, 2, 2
        options.rate, options.seconds = 5.0, 1.0
    return options


if __name__ == "__main__":
    main()
