"""`featward ca ban …`."""

from typing import Annotated

import typer

from featward.cli.console import console, errors
from featward.cli.output import Output, OutputOption
from featward_ca.cli.connection import TIMEOUT, admin
from featward_ca.cli.options import AdminOption, WhereOption, seconds

app = typer.Typer(
    no_args_is_help=True, help="Refuse an identity, one SVID or a replaced authority, at once."
)


@app.command("add")
def add(
    reason: Annotated[str, typer.Option(help="Why; everybody who looks it up reads it.")],
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    identity: Annotated[
        str,
        typer.Option(
            help="All SVIDs of an identity: its SPIFFE ID, or of a Workload prod.payments/pricing-api."
        ),
    ] = "",
    serial: Annotated[str, typer.Option(help="One SVID, by its serial number in hex.")] = "",
    authority: Annotated[
        str, typer.Option(help="All that an authority has signed, by its id or SPKI SHA-256.")
    ] = "",
    ttl: Annotated[
        str, typer.Option(help="For how long: 30m, 1h, 2d. Default: until lifted.")
    ] = "",
    output: OutputOption = Output.TABLE,
) -> None:
    """Refuse somebody from now on. Connected sidecars cut live connections within a second."""
    from featward.authority.v1 import authority_pb2
    from featward_ca.listing import show_bans
    from featward_ca.report import as_json

    if sum(map(bool, (identity, serial, authority))) != 1:
        raise typer.BadParameter("name one of --identity, --serial and --authority")
    request = authority_pb2.AddBanRequest(
        spiffe_id=identity,
        serial=serial,
        authority=authority,
        reason=reason,
        lifetime_seconds=seconds(ttl, "--ttl") if ttl else 0,
    )
    with admin(data, admin_socket) as stub:
        answer = stub.AddBan(request, timeout=TIMEOUT)
    if output is Output.JSON:
        typer.echo(as_json(answer))
    else:
        show_bans([answer.ban], console)
        said = "announced as" if answer.changed else "held already at"
        errors.print(f"{said} sequence {answer.sequence}; SVIDs in force: {answer.live_svids}")
        if not answer.live_svids:
            errors.print(
                "warning: no SVID of this environment that is in force is meant by it; if that is a"
                " typo, featward ca clients lists who lives",
                style="yellow",
            )


@app.command("remove")
def remove(
    ban: Annotated[str, typer.Argument(help="The ban's id, as featward ca ban list shows it.")],
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Lift a ban."""
    from featward.authority.v1 import authority_pb2
    from featward_ca.report import as_json

    with admin(data, admin_socket) as stub:
        answer = stub.RemoveBan(authority_pb2.RemoveBanRequest(id=ban), timeout=TIMEOUT)
    if output is Output.JSON:
        typer.echo(as_json(answer))
    else:
        errors.print(f"{answer.ban.kind} {answer.ban.value} is banned no more", soft_wrap=True)


@app.command("list")
def list_bans(
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """List all bans, those that have ended too."""
    from featward.authority.v1 import authority_pb2
    from featward_ca.listing import show_bans
    from featward_ca.report import as_json

    whole = authority_pb2.ListBansResponse()
    with admin(data, admin_socket) as stub:
        while True:
            request = authority_pb2.ListBansRequest(limit=1000, after=whole.next)
            page = stub.ListBans(request, timeout=TIMEOUT)
            whole.bans.extend(page.bans)
            whole.next = page.next
            if not page.next:
                break
    if output is Output.JSON:
        typer.echo(as_json(whole))
    else:
        show_bans(whole.bans, console)
