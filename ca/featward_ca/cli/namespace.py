"""`featward ca namespace …`."""

from typing import Annotated

import typer

from featward.cli.console import console, errors
from featward.cli.output import Output, OutputOption
from featward_ca.cli.connection import TIMEOUT, admin
from featward_ca.cli.options import AdminOption, WhereOption

app = typer.Typer(no_args_is_help=True, help="Namespaces of Kubernetes clusters: whose they are.")


# Without a second command typer would take `move` for the group itself.
@app.callback()
def _group() -> None:
    pass


@app.command("move")
def move(
    namespace: Annotated[str, typer.Argument(help="Cluster and namespace: eu1/pricing.")],
    to: Annotated[
        str, typer.Option("--to", help="The business unit that it belongs to: prod.risk.")
    ],
    data: WhereOption = None,
    admin_socket: AdminOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say who is affected, and change nothing.")
    ] = False,
    output: OutputOption = Output.TABLE,
) -> None:
    """Let a namespace belong to another business unit than when the CA first saw it."""
    from featward.authority.v1 import authority_pb2
    from featward_ca.listing import show_moved
    from featward_ca.report import as_json

    cluster, slash, name = namespace.partition("/")
    if not slash or not cluster or not name:
        raise typer.BadParameter("write cluster/namespace, such as eu1/pricing")
    request = authority_pb2.MoveNamespaceRequest(
        cluster=cluster, namespace=name, business_unit=to, dry_run=dry_run
    )
    with admin(data, admin_socket) as stub:
        answer = stub.MoveNamespace(request, timeout=TIMEOUT)
    if output is Output.JSON:
        typer.echo(as_json(answer))
        return
    show_moved(answer, console)
    was = answer.before or "nobody"
    if answer.changed:
        said = f"was {was}'s and is {to}'s now; label it so too"
    else:
        said = f"is {to}'s already" if was == to else f"is {was}'s and would be {to}'s"
    errors.print(f"{namespace} {said}", soft_wrap=True, highlight=False)
