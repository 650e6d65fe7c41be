"""`featward approve`: the consent of a business unit to a binding, ready to be added to its manifests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from featward.cli.console import errors

__all__ = ["approve"]


def approve(
    binding: Annotated[
        str, typer.Argument(help="The binding, as namespace/name.", metavar="BINDING")
    ],
    reason: Annotated[str, typer.Option(help="Why, for whoever reads the approval later.")],
    expires: Annotated[
        str, typer.Option(help="The last day of the consent, such as 2027-03-31.", metavar="DAY")
    ],
    manifests: Annotated[Path, typer.Option(help="The folder of manifests.")] = Path("manifests"),
) -> None:
    """Print the GrantApproval by which a business unit consents to a binding as it now stands."""
    from featward.manifests import approving
    from featward.manifests.catalogue import Catalogue
    from featward.manifests.loading import load
    from featward.manifests.naming import binding_called
    from featward.manifests.standing import consent_wanted
    from featward.manifests.writing import dump

    catalogue = Catalogue(load(manifests).documents)
    named = binding_called(catalogue, binding)
    approval = approving.approve(catalogue, named, reason=reason, expires=expires)
    errors.print(
        f"By adding this, {approval.spec.business_unit} consents to {named.name} as it now stands "
        f"({named.source.name}:{named.line}):",
        markup=False,
    )
    for sentence in approving.consequences(named, consent_wanted(catalogue, named)):
        errors.print(f"  {sentence}", markup=False)
    typer.echo(dump(approval), nl=False)
