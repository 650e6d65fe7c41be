"""What the tour shows: to people as it goes, and to programs at the end."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from featward.cli.columns import columns, wrapped
from featward_demo.command_line import command
from featward_demo.ports import HOST
from featward_demo.stack import Stack
from featward_demo.tour import Outcome

# The width of "came back" and of the gap after it.
LABEL = 11


def show(console: Console, outcome: Outcome) -> None:
    """One step: what was tried, what came back, why, and how long it took."""
    seen = outcome.seen
    mark = "[green]as it should[/]" if seen.behaved else "[bold red]not as it should[/]"
    console.print(
        f"\n[bold]{outcome.number}. {outcome.step.title}[/]  {mark}, {_span(seen.seconds)}"
    )
    told = (("tried", seen.tried), ("came back", seen.came_back), ("why", seen.why))
    for label, text in told:
        console.print(f"   [dim]{label:<{LABEL}}[/]{escape(wrapped(text, console, 3 + LABEL))}")


def summary(console: Console, outcomes: Sequence[Outcome]) -> None:
    """All steps in one table."""
    rows = [
        (str(one.number), one.step.title, _span(one.seen.seconds), _behaved(one.seen.behaved))
        for one in outcomes
    ]
    console.print("\n[bold]The tour[/]")
    console.print(columns(rows, ("", "step", "time", "behaved"), right=(0, 2)))


def by_hand(console: Console, stack: Stack, keep: bool) -> None:
    """Commands to try while it is running; without `keep` as a foretaste, since it is about to be stopped."""
    who = stack.identity("reporting")
    body = '{"features": ["driver_hourly_stats:conv_rate"], "entities": {"driver_id": [1001]}}'
    read = f"{HOST}:{stack.ports.server}/get-online-features"
    json_body = f"-H 'Content-Type: application/json' -d '{body}'"
    featward = command()
    lines = (
        (
            "as the app beside its own sidecar, in the clear",
            f"curl -s {json_body} http://{HOST}:{stack.ports.drivers}/get-online-features",
        ),
        (
            "as reporting; curl knows no SPIFFE IDs, so with --insecure it does not check the server",
            f"curl -s --insecure --cert {who.svid} --key {who.key} {json_body} https://{read}",
        ),
        (
            "who called, and what would be refused",
            f"{featward} sidecar status --config {stack.server.configuration}",
        ),
        ("the CA", f"{featward} ca status --data {stack.ca.data}"),
        ("edit a binding, and ask again", f"$EDITOR {stack.manifests / 'bindings.yaml'}"),
        ("the record", f"tail -n 3 {stack.server.record}"),
    )
    console.print("\n[bold]Try it by hand[/]")
    if not keep:
        console.print(
            "These commands need what is stopped now. What leaves it running, and prints them with its own "
            f"addresses and files:\n\n  [bold]{escape(keeping())}[/]"
        )
    for what, line in lines:
        console.print(f"\n  [dim]# {what}[/]")
        console.print(f"  {escape(line)}", soft_wrap=True, highlight=False)


def keeping() -> str:
    """The command that leaves the demo running, as who reads it can type it: by make, by name or by path."""
    if by_make := os.environ.get("FEATWARD_DEMO_KEEP"):
        return by_make
    ours, found = command(), shutil.which("featward")
    on_path = found is not None and Path(found).resolve() == Path(ours).resolve()
    return f"{'featward' if on_path else ours} demo --keep"


def facts(stack: Stack, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Every address and file, and every step's outcome, for other programs."""
    sidecars = {
        sidecar.folder.name: {
            "workload": sidecar.workload,
            "configuration": str(sidecar.configuration),
            "record": str(sidecar.record) if sidecar.listen else None,
            "health": f"http://{HOST}:{sidecar.health}",
            "mtls": f"{HOST}:{sidecar.listen}" if sidecar.listen else None,
            "plain": f"http://{HOST}:{sidecar.plain}" if sidecar.plain else None,
            "outbound": {name: f"http://{HOST}:{port}" for name, port in sidecar.outbound.items()},
            "log": str(sidecar.log),
        }
        for sidecar in stack.sidecars
    }
    identities = {
        name: {key: str(value) for key, value in vars(stack.identity(name)).items()}
        for name in ("reporting", "fraud-batch")
    }
    authorities = {
        ca.environment: {
            "address": ca.address,
            "data": str(ca.data),
            "health": f"http://{HOST}:{ca.health_port}/healthz",
            "manifests": str(ca.manifests),
            "log": str(ca.log),
        }
        for ca in (stack.ca, stack.dev_ca)
    }
    return {
        "folder": str(stack.folder),
        "feast": {
            "version": stack.feast.environment.version,
            "python": str(stack.feast.environment.python),
            "url": stack.feast.url,
            "repository": str(stack.feast.repository),
            "registry": str(stack.feast.registry),
            "log": str(stack.feast.log),
        },
        "authorities": authorities,
        "sidecars": sidecars,
        "identities": identities,
        "steps": [{"title": outcome.step.title, **vars(outcome.seen)} for outcome in outcomes],
        "behaved": all(outcome.seen.behaved for outcome in outcomes),
    }


def _behaved(well: bool) -> Text:
    return Text("yes", style="green") if well else Text("no", style="bold red")


def _span(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
