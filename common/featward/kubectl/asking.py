"""The commands that only read: `status`, `explain`, `unprotected`."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Annotated

import typer

from featward.cli.asked import FeatureSetOption, FeaturesOption, RowsOption, ServiceOption
from featward.cli.columns import columns
from featward.cli.console import console, fail
from featward.cli.output import Output, OutputOption, print_json
from featward.kubectl.options import (
    KubeconfigOption,
    NamespaceOption,
    context_namespace,
    place_of,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from featward.kubectl.cluster import Cluster
    from featward.kubectl.explained import Explained
    from featward.kubectl.overview import Found
    from featward.kubectl.protection import Unprotected
    from featward.kubectl.screen import Section

__all__ = ["explain", "status", "unprotected"]

AllOption = Annotated[bool, typer.Option("--all-namespaces", "-A", help="Of all namespaces.")]
# As often as the operator writes what has changed; lists cost the API server more than watches.
_WATCH_SECONDS = 3.0
# Less than a few words of a message say nothing.
_NARROWEST = 20


def status(
    everywhere: AllOption = False,
    namespace: NamespaceOption = None,
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Show it again every 3 s, until Ctrl-C.")
    ] = False,
    kubeconfig: KubeconfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show how everything stands, on one screen: what is wrong first."""
    inside = None if everywhere else namespace or context_namespace(kubeconfig)

    async def work(cluster: Cluster) -> None:
        while True:
            found = await _overview(cluster, inside)
            _show_status(found, output, watch=watch)
            if not watch:
                return
            cluster.unread.clear()
            await asyncio.sleep(_WATCH_SECONDS)

    run(work, kubeconfig)


async def _overview(cluster: Cluster, inside: str | None) -> Found:
    from featward.kubernetes.resource import DOCUMENTS

    kinds = ("Environment", "BusinessUnit", "Override", "Namespace")
    found = {kind: await cluster.readable(DOCUMENTS[kind], inside or "") for kind in kinds}
    for kind in ("FeatureSet", "FeatureBinding"):
        found[kind] = await cluster.listed(DOCUMENTS[kind], inside)
    return found


def _show_status(found: Found, output: Output, *, watch: bool) -> None:
    from featward.kubectl.overview import as_json, sections
    from featward.kubectl.screen import fitted

    if output is Output.JSON:
        print_json(as_json(found))
        return
    shown = sections(found)
    if console.is_terminal:
        if watch:
            console.clear()
        # One line is the prompt's.
        shown = fitted(shown, console.height - 1)
    _print_sections(one for one in shown if one.rows)


def _print_sections(shown: Iterable[Section]) -> None:
    empty = True
    for one in shown:
        if not empty:
            console.print()
        empty = False
        table = columns(_cut(one), (one.headings[0].upper(), *one.headings[1:]))
        console.print(table)
        if one.summary:
            console.print(f"[dim]{one.summary}[/]")
    if empty:
        console.print("There is nothing of featward here: kubectl featward status -A shows all.")


def _cut(section: Section) -> list[list[str]]:
    """The rows. On a terminal the last column, which is prose, has what the others leave of the line; what is
    copied, such as names, is never cut.
    """
    rows = [list(row.cells) for row in section.rows]
    if not console.is_terminal or len(section.headings) == 1:
        return rows
    others = zip(section.headings[:-1], *(row[:-1] for row in rows), strict=True)
    room = max(_NARROWEST, console.width - sum(max(map(len, one)) + 2 for one in others))
    for row in rows:
        if len(row[-1]) > room:
            row[-1] = f"{row[-1][: room - 1]}…"
    return rows


def explain(
    pod: Annotated[str, typer.Argument(help="The pod, or namespace/pod.", metavar="POD")],
    feature_set: FeatureSetOption = None,
    features: FeaturesOption = None,
    service: ServiceOption = None,
    rows: RowsOption = 1,
    namespace: NamespaceOption = None,
    kubeconfig: KubeconfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Explain what a pod may read, what it was refused of late, and what one request of it would get."""
    from featward.kubectl import explained

    inside, name = place_of(pod, namespace, kubeconfig)
    names = [one.strip() for one in (features or "").split(",") if one.strip()]
    if feature_set is None and (names or service):
        fail("features are of a set: give --feature-set with them")
    if feature_set is not None and bool(names) == (service is not None):
        fail(
            "a request names features or a service: give --features view:column,… or --service NAME"
        )

    async def work(cluster: Cluster) -> Explained:
        asked = explained.Asked(feature_set, tuple(names), service, rows)
        return await explained.explained(cluster, inside, name, asked, int(time.time()))

    found = run(work, kubeconfig)
    print_json(found.as_json()) if output is Output.JSON else explained.show(found)


def unprotected(
    everywhere: AllOption = False,
    namespace: NamespaceOption = None,
    kubeconfig: KubeconfigOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List the pods that should have a sidecar and have none, each with the reason."""
    inside = None if everywhere else namespace or context_namespace(kubeconfig)

    async def work(cluster: Cluster) -> list[Unprotected]:
        from featward.kubectl.protection import unprotected as judged
        from featward.kubernetes.resource import FEATURE_SETS, NAMESPACES, PODS

        pods = await cluster.listed(PODS, inside)
        namespaces = await cluster.readable(NAMESPACES, inside or "")
        sets = await cluster.listed(FEATURE_SETS, inside)
        serving: dict[tuple[str, str], set[str]] = {}
        for one in sets:
            where = one["metadata"]["namespace"]
            account = (one["spec"]["serving"].get("workload") or {}).get("serviceAccount")
            if account:
                called = f"{where}/{one['metadata']['name']}"
                serving.setdefault((where, account), set()).add(called)
        return list(judged(pods, namespaces, serving))

    found = run(work, kubeconfig)
    if output is Output.JSON:
        print_json([one.as_json() for one in found])
    elif not found:
        console.print("Every pod that should have a sidecar has one.")
    else:
        rows = [(f"{one.namespace}/{one.pod}", one.account, one.reason, one.why) for one in found]
        console.print(columns(rows, ("pod", "service account", "reason", "why")))
