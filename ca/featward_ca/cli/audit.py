"""`featward ca why-expiry`."""

from typing import Annotated

import typer

from featward.cli.console import console
from featward.cli.output import Output
from featward_ca.cli.connection import TIMEOUT, admin
from featward_ca.cli.options import AdminOption, WhereOption

_OutputOption = Annotated[Output, typer.Option(help="How to print it.")]


def why_expiry(
    serial: Annotated[str, typer.Argument(help="The serial number, in hex.")],
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    output: _OutputOption = Output.TABLE,
) -> None:
    """Say which bound set the end of an SVID."""
    from featward.authority.v1 import authority_pb2
    from featward_ca.report import as_json, show_caps

    with admin(data, admin_socket) as stub:
        request = authority_pb2.WhyExpiryRequest(serial=serial)
        answer = stub.WhyExpiry(request, timeout=TIMEOUT)
    if output is Output.JSON:
        typer.echo(as_json(answer))
    else:
        show_caps(answer, console)
