"""`featward ca clients`."""

from typing import Annotated

import typer

from featward.cli.console import console
from featward.cli.output import Output, OutputOption
from featward_ca.cli.connection import TIMEOUT, admin
from featward_ca.cli.options import AdminOption, WhereOption


def clients(
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    behind: Annotated[
        int,
        typer.Option(
            help="Only those that have not acknowledged this sequence.", min=0, max=2**63 - 1
        ),
    ] = 0,
    authority: Annotated[
        str, typer.Option(help="Only those that use an SVID of this authority.")
    ] = "",
    limit: Annotated[int, typer.Option(help="How many at most, up to 1000.", min=1)] = 100,
    after: Annotated[
        str, typer.Option(help="Go on after this client, as the answer before said.")
    ] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """List who lives: which SVID each uses, and which trust it has acknowledged."""
    from featward.authority.v1 import authority_pb2
    from featward_ca.listing import show_clients
    from featward_ca.report import as_json

    request = authority_pb2.ListClientsRequest(
        limit=limit, after=after, behind_sequence=behind, authority=authority
    )
    with admin(data, admin_socket) as stub:
        answer = stub.ListClients(request, timeout=TIMEOUT)
    if output is Output.JSON:
        typer.echo(as_json(answer))
    else:
        show_clients(answer, console)
