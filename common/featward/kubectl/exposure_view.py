"""How exposure looks on a terminal and as a manifest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml
from rich.text import Text

from featward.cli.columns import columns
from featward.cli.console import console
from featward.kubectl.dial import Answer

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from featward.kubectl.exposed import Exposed
    from featward.kubectl.exposure import Port
    from featward.kubectl.probing import Dialled

__all__ = ["as_yaml", "contradictions", "show"]

_COLOURS = {"open": "red", "accepted": "yellow", "closed-by-policy": "green", "loopback": "green"}


def as_yaml(policy: dict[str, Any]) -> str:
    """To be applied with kubectl."""
    return yaml.safe_dump(policy, sort_keys=False, default_flow_style=False)


def show(found: Sequence[Exposed], dialled: Dialled | None = None) -> None:
    """On a terminal."""
    if not found:
        console.print(
            "There is no pod with a server's sidecar here; name one, or give its namespace with -n."
        )
    for number, one in enumerate(found):
        if number:
            console.print()
        _show(one, dialled)


def contradictions(one: Exposed, dialled: Dialled) -> Iterator[str]:
    """Ports that should be closed and answer nevertheless, a sentence each."""
    for port in one.ports:
        if dialled.of(one.pod, port) is not Answer.ANSWERS:
            continue
        said = f"port {port.port} answers a pod of the namespace {dialled.origin}, though"
        if port.state == "closed-by-policy":
            yield f"{said} {port.why}: the cluster's network does not enforce NetworkPolicies"
        elif port.state == "loopback":
            yield f"{said} {port.why}, as its sidecar says: something else takes connections there"


def _show(one: Exposed, dialled: Dialled | None) -> None:
    serves = (
        f", which serves {', '.join(one.sets)}" if one.sets else ", which serves no feature set"
    )
    console.print(f"[bold]{one.name}[/]{serves}")
    if not one.has_sidecar:
        console.print("note: it has no sidecar: whoever reaches it reads everything", markup=False)
    if not one.knows_listening:
        console.print(
            "note: its sidecar does not say where it listens; ports that are not declared are missing"
        )
    _show_ports(one, dialled)
    for port in one.ports:
        if port.state in ("open", "accepted") and (found := one.probes.get(port.port)):
            console.print(
                f"note: on loopback port {port.port} would fail the {', the '.join(found)}: the kubelet calls"
                " it at the pod's address; make it an exec probe first, or close it by --network-policy",
                markup=False,
            )
    for sentence in contradictions(one, dialled) if dialled else ():
        console.print(Text(f"note: {sentence}", style="red"))
    for what, says in one.beyond:
        console.print(f"beyond the pod: {what}: {says}", markup=False)
    console.print("Processes of its node reach every port that is not on loopback.", style="dim")


def _show_ports(one: Exposed, dialled: Dialled | None) -> None:
    rows = [(*_cells(port), *_dialled(one, port, dialled), port.why) for port in one.ports]
    heading = (f"from {dialled.origin}",) if dialled else ()
    console.print(columns(rows, ("port", "what", "services", "state", *heading, "why")))


def _cells(port: Port) -> tuple[str | Text, ...]:
    services = ", ".join(port.services) or "none"
    state = Text(port.state, style=_COLOURS[port.state])
    return (f"{port.port}/{port.protocol}", port.what, services, state)


def _dialled(one: Exposed, port: Port, dialled: Dialled | None) -> tuple[str, ...]:
    if dialled is None:
        return ()
    return (dialled.of(one.pod, port) or "not dialled",)
