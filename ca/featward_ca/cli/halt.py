"""`featward ca halt` and `featward ca resume`."""

from typing import Annotated

import typer

from featward.cli.console import errors
from featward.cli.output import Output, OutputOption
from featward_ca.cli.connection import TIMEOUT, admin
from featward_ca.cli.options import AdminOption, WhereOption


def halt(
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    reason: Annotated[str, typer.Option(help="Why; it is on record, and in the status.")] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Issue nothing to workloads until `resume`. What was issued goes on; authorities can still be
    rotated.
    """
    from featward.authority.v1 import authority_pb2
    from featward_ca.report import as_json

    with admin(data, admin_socket) as stub:
        answer = stub.Halt(authority_pb2.HaltRequest(reason=reason), timeout=TIMEOUT)
    if output is Output.JSON:
        typer.echo(as_json(answer))
    elif answer.changed:
        errors.print("halted: no workload gets a certificate until featward ca resume")
    else:
        errors.print(f"it was halted before by {answer.halted.by}: {answer.halted.reason or '-'}")


def resume(
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Issue again after `halt`."""
    from featward.authority.v1 import authority_pb2
    from featward_ca.report import as_json

    with admin(data, admin_socket) as stub:
        answer = stub.Resume(authority_pb2.ResumeRequest(), timeout=TIMEOUT)
    if output is Output.JSON:
        typer.echo(as_json(answer))
    else:
        errors.print("resumed" if answer.changed else "it was not halted")
