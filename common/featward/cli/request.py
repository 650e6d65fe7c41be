"""`featward request`: the binding to ask an owner for, ready to be added to the owner's manifests."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from featward.cli.console import errors, fail

__all__ = ["request"]


def request(
    feature_set: Annotated[str, typer.Option(help="The feature set: name, or namespace/name.")],
    identity: Annotated[
        str,
        typer.Option(
            help="Who asks: a SPIFFE ID, a workload (prod.payments/pricing-api) or a service account "
            "(namespace/name).",
            envvar="FEATWARD_IDENTITY",
        ),
    ],
    features: Annotated[
        str, typer.Option(help="The features, or services, with commas between.")
    ] = "",
    service: Annotated[str, typer.Option(help="The service, instead of features.")] = "",
    manifests: Annotated[Path, typer.Option(help="The folder of manifests.")] = Path("manifests"),
    purpose: Annotated[
        str, typer.Option(help="What the features are for.")
    ] = "to be agreed with the owner",
) -> None:
    """Print the FeatureBinding that would grant these features, ready for the owner's manifests."""
    from featward.manifests.catalogue import Catalogue
    from featward.manifests.loading import load
    from featward.manifests.naming import feature_set_called, identity_called
    from featward.manifests.proposal import NEED_CONSENT, propose, refused
    from featward.manifests.writing import dump

    loaded = load(manifests)
    catalogue = Catalogue(loaded.documents)
    wanted = feature_set_called(catalogue, feature_set)
    names = [name.strip() for name in (*features.split(","), service) if name.strip()]
    if not names:
        fail("nothing is named: give --features view:column,view:column or --service NAME")
    who = identity_called(catalogue, identity)
    today = datetime.now(UTC).date()
    binding = propose(catalogue, wanted, who, names, purpose=purpose, today=today)
    for finding in refused(loaded, binding, int(time.time())):
        if finding.code not in NEED_CONSENT:
            fail(f"such a binding would not pass: {finding.message}; {finding.remedy}")
        errors.print(f"note: {finding.message}; {finding.remedy}", markup=False)
    owner = wanted.model.spec.owner
    errors.print(
        f"Ask {owner.team} ({owner.contact}) to add this beside {wanted.name}:", markup=False
    )
    typer.echo(dump(binding), nl=False)
