"""`featward ca compromise`."""

from typing import Annotated

import typer

from featward.cli.console import console
from featward.cli.output import Output, OutputOption
from featward_ca.cli.connection import TIMEOUT, admin
from featward_ca.cli.options import AdminOption, WhereOption, seconds


def compromise(
    authority: Annotated[
        str, typer.Argument(help="The stolen authority's id, or the owner whose active one it is.")
    ],
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    within: Annotated[
        str, typer.Option(help="How long clients have to renew before it is revoked.")
    ] = "5m",
    reason: Annotated[str, typer.Option(help="Why; it is kept in the audit table.")] = "",
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say who breaks and how long it takes, and do nothing."),
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Replace a stolen authority, revoke it and ban its key, without waiting for who is away."""
    from featward.authority.v1 import authority_pb2
    from featward_ca.report import as_json, recovery

    request = authority_pb2.CompromiseRequest(
        authority=authority,
        dry_run=dry_run,
        within_seconds=seconds(within, "--within"),
        reason=reason,
    )
    with admin(data, admin_socket) as stub:
        answer = stub.Compromise(request, timeout=TIMEOUT)
    if output is Output.JSON:
        typer.echo(as_json(answer))
    else:
        recovery(answer, console, dry_run=dry_run)
