"""`featward ca token …`."""

from typing import Annotated

import typer

from featward.cli.console import errors
from featward.cli.output import Output, OutputOption
from featward_ca.cli.connection import TIMEOUT, admin
from featward_ca.cli.options import AdminOption, WhereOption, seconds

app = typer.Typer(
    no_args_is_help=True, help="Join tokens: how a workload proves itself the first time."
)


@app.command("create")
def create_token(
    workload: Annotated[
        str,
        typer.Option(help="Whom the token is for: prod.payments/pricing-api, or its SPIFFE ID."),
    ],
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    ttl: Annotated[str, typer.Option(help="How long it may be used: 30s, 10m, 1h, 2d.")] = "1h",
    output: OutputOption = Output.TABLE,
) -> None:
    """Print a join token for a workload. It is good for one attestation; treat it as a password."""
    from featward.authority.v1 import authority_pb2
    from featward_ca.report import as_json

    request = authority_pb2.CreateJoinTokenRequest(
        workload=workload, lifetime_seconds=seconds(ttl, "--ttl")
    )
    with admin(data, admin_socket) as stub:
        answer = stub.CreateJoinToken(request, timeout=TIMEOUT)
    if output is Output.JSON:
        typer.echo(as_json(answer))
        return
    # Only the token goes to stdout, so that it can be redirected into a file.
    typer.echo(answer.token)
    errors.print(f"for {answer.spiffe_id}, to be used once within {ttl}")
    for warning in answer.warnings:
        errors.print(f"warning: {warning.text}; {warning.remedy}", style="yellow", soft_wrap=True)
