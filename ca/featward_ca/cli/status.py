"""`featward ca status`."""

import typer

from featward.cli.console import console
from featward.cli.output import Output, OutputOption
from featward_ca.cli.connection import TIMEOUT, admin
from featward_ca.cli.options import AdminOption, WhereOption


def status(
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show the authorities, what lives of what they signed, and the runway."""
    from featward.authority.v1 import authority_pb2
    from featward_ca.report import as_json, show

    with admin(data, admin_socket) as stub:
        answer = stub.Show(authority_pb2.ShowRequest(), timeout=TIMEOUT)
    if output is Output.JSON:
        typer.echo(as_json(answer))
    else:
        show(answer, console)
