"""`featward ca why-expiry` and `featward ca check-issued`."""

from pathlib import Path
from typing import Annotated

import typer

from featward.cli.console import console, errors, fail
from featward.cli.output import Output, OutputOption
from featward_ca.cli.connection import TIMEOUT, admin
from featward_ca.cli.options import AdminOption, StoreOption, WhereOption
from featward_ca.plurals import counted


def why_expiry(
    serial: Annotated[str, typer.Argument(help="The serial number, in hex.")],
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    output: OutputOption = Output.TABLE,
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


def check_issued(
    data: WhereOption = None,
    store: StoreOption = None,
    certificate: Annotated[
        list[Path] | None,
        typer.Option(
            help="A certificate found elsewhere, PEM or DER: is it one of ours? May be repeated."
        ),
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Check everything that is stored again, beside the running CA and without it: each
    certificate by the rules, each signature by its rows.
    """
    from featward_ca.check_issued import check
    from featward_ca.errors import CaError
    from featward_ca.settings import embedded_file
    from featward_ca.store.read_only import read_only

    where = store or (embedded_file(data) if data else None)
    if where is None:
        raise typer.BadParameter("say where the state is: --data, or --store for PostgreSQL")
    try:
        with read_only(where) as connection:
            found = check(connection, certificate or ())
    except CaError as error:
        fail(str(error))
    if output is Output.JSON:
        typer.echo(found.as_json())
    else:
        for finding in found.findings:
            typer.echo(f"{finding.code}  {finding.subject}: {finding.text}")
    errors.print(
        f"{counted(found.certificates, 'certificate')} and"
        f" {counted(found.rows, 'row')} of the audit table checked:"
        f" {counted(found.findings, 'finding')}"
    )
    if found.findings:
        raise typer.Exit(1)
