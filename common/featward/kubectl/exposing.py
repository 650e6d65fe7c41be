"""The command `exposure`: it only reads, but for the pod of ``--probe``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from featward.cli.console import errors, fail
from featward.cli.output import Output, OutputOption, print_json
from featward.kubectl.options import KubeconfigOption, NamespaceOption, place_of, run

if TYPE_CHECKING:
    from featward.kubectl.cluster import Cluster
    from featward.kubectl.exposed import Exposed
    from featward.kubectl.probing import Dialled

__all__ = ["exposure"]


def exposure(
    pod: Annotated[
        str | None,
        typer.Argument(
            help="A pod, or namespace/pod; without it all with a sidecar.", metavar="POD"
        ),
    ] = None,
    network_policy: Annotated[
        bool,
        typer.Option(
            "--network-policy",
            help="Print, and do not apply, the NetworkPolicy that closes the feature server's own port.",
        ),
    ] = False,
    probe: Annotated[
        bool,
        typer.Option(
            "--probe", help="Dial the ports as well, from a pod that is made for it and deleted."
        ),
    ] = False,
    probe_from: Annotated[
        str | None,
        typer.Option(
            "--from", help="With --probe: the namespace to dial from; without it the pods' own."
        ),
    ] = None,
    namespace: NamespaceOption = None,
    kubeconfig: KubeconfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show who reaches which port of a protected pod past its sidecar, and what closes it."""
    from featward.kubectl import exposed, exposure_view, probing

    if network_policy and pod is None:
        fail("a NetworkPolicy is for the pods of one server: name one of them")
    if network_policy and probe:
        fail("--network-policy prints a policy and --probe dials: give one of them")
    if probe_from and not probe:
        fail("--from says where --probe dials from: give --probe with it")
    inside, name = place_of(pod or "", namespace, kubeconfig)

    async def work(cluster: Cluster) -> tuple[list[Exposed], Dialled | None]:
        found = await exposed.exposed(cluster, inside, name or None, time.time())
        return found, await probing.probed(cluster, found, probe_from) if probe else None

    found, dialled = run(work, kubeconfig)
    if network_policy:
        _print_policy(found[0], output)
    elif output is Output.JSON:
        print_json([one.as_json(dialled) for one in found])
    else:
        exposure_view.show(found, dialled)


def _print_policy(one: Exposed, output: Output) -> None:
    from featward.kubectl import exposed, exposure_view

    text, notes = exposed.closing(one)
    for note in notes:
        errors.print(f"note: {note}", markup=False)
    if output is Output.JSON:
        print_json(text)
    else:
        typer.echo(exposure_view.as_yaml(text), nl=False)
