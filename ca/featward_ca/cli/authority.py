"""`featward ca authority …`: the steps of a rotation by hand, and what is under way."""

from typing import TYPE_CHECKING

import typer

from featward.cli.console import console
from featward.cli.output import Output, OutputOption
from featward_ca.cli import rotation
from featward_ca.cli.connection import TIMEOUT, admin
from featward_ca.cli.options import AdminOption, WhereOption
from featward_ca.cli.ordering import (
    AuthorityArgument,
    DryRunOption,
    ForceOption,
    GenerationOption,
    OwnerArgument,
    ReasonOption,
    finish,
)

if TYPE_CHECKING:
    from featward.authority.v1 import authority_pb2

app = typer.Typer(
    no_args_is_help=True,
    help="Authorities and their rotation: prepare, activate, taint, revoke; or rotate for all.",
)


@app.command("list")
def list_authorities(
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Show all authorities, and the rotations that are under way."""
    from featward.authority.v1 import authority_pb2
    from featward_ca.report import as_json, authorities, rotations

    with admin(data, admin_socket) as stub:
        shown = stub.Show(authority_pb2.ShowRequest(), timeout=TIMEOUT)
    if output is Output.JSON:
        kept = authority_pb2.ShowResponse(
            environment=shown.environment,
            trust_domain=shown.trust_domain,
            sequence=shown.sequence,
            authorities=shown.authorities,
            rotations=shown.rotations,
            server_time=shown.server_time,
        )
        fields = ("environment", "trust_domain", "sequence", "authorities", "rotations")
        typer.echo(as_json(kept, (*fields, "server_time")))
        return
    console.print(authorities(shown.authorities, shown.server_time))
    if shown.rotations:
        console.print("\n", rotations(shown.rotations, shown.server_time), sep="")


@app.command()
def prepare(
    owner: OwnerArgument,
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    generation: GenerationOption = 0,
    reason: ReasonOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make an owner's next authority and announce it. Nothing is signed by it yet."""
    from featward.authority.v1 import authority_pb2

    request = authority_pb2.StepRequest(
        authority=owner, generation=generation, reason=reason, dry_run=dry_run
    )
    with admin(data, admin_socket) as stub:
        finish(stub.Prepare(request, timeout=TIMEOUT), output, dry_run)


@app.command()
def activate(
    authority: AuthorityArgument,
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    generation: GenerationOption = 0,
    force: ForceOption = False,
    reason: ReasonOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Sign with a prepared authority from now on. Waits for everybody to have heard of it."""
    request = _request(authority, generation, force, reason, dry_run)
    with admin(data, admin_socket) as stub:
        finish(stub.Activate(request, timeout=TIMEOUT), output, dry_run)


@app.command()
def taint(
    authority: AuthorityArgument,
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    generation: GenerationOption = 0,
    reason: ReasonOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Have all that an old authority signed renewed."""
    request = _request(authority, generation, False, reason, dry_run)
    with admin(data, admin_socket) as stub:
        finish(stub.Taint(request, timeout=TIMEOUT), output, dry_run)


@app.command()
def revoke(
    authority: AuthorityArgument,
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    generation: GenerationOption = 0,
    force: ForceOption = False,
    reason: ReasonOption = "",
    dry_run: DryRunOption = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Let nobody accept a tainted authority any more. Waits until nobody uses what it signed."""
    request = _request(authority, generation, force, reason, dry_run)
    with admin(data, admin_socket) as stub:
        finish(stub.Revoke(request, timeout=TIMEOUT), output, dry_run)


for _command in (rotation.rotate, rotation.pause, rotation.resume, rotation.cancel):
    app.command()(_command)


def _request(
    authority: str, generation: int, force: bool, reason: str, dry_run: bool
) -> "authority_pb2.StepRequest":
    from featward.authority.v1 import authority_pb2

    return authority_pb2.StepRequest(
        authority=authority, generation=generation, force=force, reason=reason, dry_run=dry_run
    )
