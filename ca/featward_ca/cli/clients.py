"""`featward ca clients`."""

from typing import Annotated

import typer

from featward.cli.console import console
from featward.cli.output import Output, OutputOption
from featward_ca.cli.connection import TIMEOUT, admin
from featward_ca.cli.options import AdminOption, WhereOption

_NOW = "now"
_LARGEST = 2**63 - 1


def clients(
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    behind: Annotated[
        str,
        typer.Option(
            help="Only those that have not acknowledged this sequence; `now`: the newest.",
            metavar="SEQUENCE",
        ),
    ] = "",
    authority: Annotated[
        str,
        typer.Option(
            help="Only those that use an SVID of this authority: its id, or the owner whose active one"
            " is meant."
        ),
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
        limit=limit, after=after, behind_sequence=_sequence(behind), authority=authority
    )
    with admin(data, admin_socket) as stub:
        if behind == _NOW:
            shown = stub.Show(authority_pb2.ShowRequest(), timeout=TIMEOUT)
            request.behind_sequence = shown.sequence
        answer = stub.ListClients(request, timeout=TIMEOUT)
    if output is Output.JSON:
        typer.echo(as_json(answer))
    else:
        show_clients(answer, console)


def _sequence(text: str) -> int:
    """Of `now` nothing, because the CA has to be asked. Raises BadParameter."""
    if text in ("", _NOW):
        return 0
    if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= _LARGEST:
        return int(text)
    raise typer.BadParameter(
        f"{text!r} is no sequence: write a number as featward ca status shows it, or {_NOW}",
        param_hint="--behind",
    )
