"""`featward explain`: what the engine would decide, and why. The same Rust decision as the proxy's."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from featward.cli.asked import FeatureSetOption, FeaturesOption, RowsOption, ServiceOption
from featward.cli.console import fail
from featward.cli.output import Output, OutputOption, print_json

__all__ = ["explain"]


def explain(
    manifests: Annotated[Path, typer.Option(help="The folder of manifests.")] = Path("manifests"),
    identity: Annotated[
        str | None,
        typer.Option(
            help="The caller: a SPIFFE ID, a workload (prod.payments/pricing-api) or a service account "
            "(namespace/name)."
        ),
    ] = None,
    feature_set: FeatureSetOption = None,
    features: FeaturesOption = None,
    service: ServiceOption = None,
    rows: RowsOption = 1,
    who: Annotated[
        str | None, typer.Option(metavar="FEATURE", help="Show who can read this feature.")
    ] = None,
    can: Annotated[
        str | None, typer.Option(metavar="IDENTITY", help="Show what this identity can read.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Explain a decision, who can read a feature (--who), or what an identity can read (--can)."""
    from featward.cli import explanation
    from featward.manifests.loading import load
    from featward.policy.explaining import Explainer

    asked = [
        name
        for name, value in (("--feature-set", feature_set), ("--who", who), ("--can", can))
        if value
    ]
    if who is not None and feature_set is not None and can is None:
        asked = ["--who"]
    if len(asked) != 1:
        raise typer.BadParameter(
            "ask one thing: --feature-set with --features, --who FEATURE, or --can IDENTITY"
        )
    explainer = Explainer(load(manifests), int(time.time()))
    if who is not None:
        readers = explainer.readers(who, feature_set)
        print_json(readers) if output is Output.JSON else explanation.show_readers(who, readers)
    elif can is not None:
        grants = explainer.grants(can)
        print_json(grants) if output is Output.JSON else explanation.show_grants(can, grants)
    elif feature_set is not None:
        names = [name.strip() for name in (features or "").split(",") if name.strip()]
        if bool(names) == (service is not None):
            fail(
                "a request names features or a service: give --features view:column,… or --service NAME"
            )
        decision = explainer.decide(identity, feature_set, names or None, service, rows)
        print_json(decision) if output is Output.JSON else explanation.show_decision(decision)
