"""The commands that write an object: `relax`, `approve`, `rotate`. Roles of the cluster decide who may."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from featward.cli.console import console, errors, fail
from featward.cli.output import Output, OutputOption, print_json
from featward.kubectl.options import KubeconfigOption, NamespaceOption, context_namespace, run

if TYPE_CHECKING:
    from featward.kubectl.cluster import Cluster

__all__ = ["approve", "relax", "rotate"]


def relax(
    feature_set: Annotated[
        str, typer.Argument(help="The feature set: name, or namespace/name.", metavar="SET")
    ],
    for_: Annotated[
        str, typer.Option("--for", help="For how long, such as 1h or 30m.", metavar="DURATION")
    ],
    reason: Annotated[str, typer.Option(help="Why, for whoever reads it later.")],
    close: Annotated[
        bool,
        typer.Option("--close", help="Refuse every request in place of relaxing to shadow."),
    ] = False,
    namespace: NamespaceOption = None,
    kubeconfig: KubeconfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Relax a feature set to shadow, or close it, for a while: an Override, which ends by itself."""
    from featward.kubectl import overriding

    inside = namespace or context_namespace(kubeconfig)
    action = "close" if close else "relax"

    async def work(cluster: Cluster) -> dict[str, Any]:
        wish = overriding.Wish(action, feature_set, for_, reason)
        return await overriding.override(cluster, inside, wish, time.time())

    made = run(work, kubeconfig)
    if output is Output.JSON:
        print_json(made)
        return
    named, name = made["spec"]["target"]["featureSet"], made["metadata"]["name"]
    done = "closed" if close else "relaxed to shadow"
    console.print(
        f"{named['namespace']}/{named['name']} is {done} until {made['spec']['expires']}, on open connections "
        "too.",
        markup=False,
    )
    console.print(f"To end it sooner: kubectl delete override {name}", markup=False)


def approve(
    binding: Annotated[
        str, typer.Argument(help="The binding: namespace/name, or name.", metavar="BINDING")
    ],
    reason: Annotated[str, typer.Option(help="Why, for whoever reads the approval later.")],
    expires: Annotated[
        str, typer.Option(help="The last day of the consent, such as 2027-03-31.", metavar="DAY")
    ],
    namespace: NamespaceOption = None,
    kubeconfig: KubeconfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Consent, for the binding's business unit, to a binding as it stands now: a GrantApproval."""
    from featward.kubectl import overriding

    inside = namespace or context_namespace(kubeconfig)
    called = binding if "/" in binding else f"{inside}/{binding}"

    async def work(cluster: Cluster) -> tuple[dict[str, Any], list[str]]:
        return await overriding.approval(cluster, called, reason, expires)

    made, consequences = run(work, kubeconfig)
    if output is Output.JSON:
        print_json(made)
        return
    spec = made["spec"]
    console.print(
        f"{spec['businessUnit']} consents to {called} as it stands now, until {spec['expires']}:",
        markup=False,
    )
    for sentence in consequences:
        console.print(f"  {sentence}", markup=False)


def rotate(
    owner: Annotated[
        str,
        typer.Argument(
            help="A business unit, such as prod.payments, or an environment, for its root.",
            metavar="OWNER",
        ),
    ],
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Follow it until it has ended.")
    ] = False,
    pause: Annotated[
        bool, typer.Option("--pause", help="Have no step taken until --resume.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Let it go on.")] = False,
    kubeconfig: KubeconfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Replace the key of a business unit, or of an environment's root; pause or resume that."""
    from featward.kubectl import rotating

    if pause and (resume or watch):
        fail("a rotation is paused, or resumed, or followed: give --pause alone, or --resume")
    now = datetime.fromtimestamp(time.time(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    order = "pause" if pause else "resume" if resume else "rotate"

    async def work(cluster: Cluster) -> dict[str, Any]:
        asked = await rotating.ask(cluster, owner, order, now)
        _tell_asked(asked, order, owner, output)
        if watch:
            show = None if output is Output.JSON else _tell
            return await rotating.follow(cluster, owner, now if order == "rotate" else None, show)
        return asked

    found = run(work, kubeconfig)
    if output is Output.JSON:
        print_json({"owner": owner, "asked": order, "at": now, "status": found.get("status") or {}})
    if watch and rotating.state_of(found) == "cancelled":
        errors.print("it was given up at the CA", markup=False)
        raise typer.Exit(1)


def _tell_asked(asked: dict[str, Any], order: str, owner: str, output: Output) -> None:
    from featward.kubectl import rotating

    if output is Output.JSON:
        return
    if order == "pause":
        console.print(f"{owner}: no step of a rotation is taken until --resume.", markup=False)
    elif order == "resume":
        console.print(f"{owner}: rotation goes on.", markup=False)
    else:
        console.print(
            f"{owner}: rotation asked for. kubectl featward status shows how it goes.", markup=False
        )
        if rotating.is_under_way(asked):
            errors.print(
                f"note: one is under way, at {asked['status']['rotation']['step']}; where its new key does not "
                "sign yet, it is the one that you have asked for",
                markup=False,
            )


def _tell(line: str) -> None:
    console.print(line, markup=False)
