"""`featward ca serve`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featward.cli.console import errors
from featward.logs import Form, Level, set_up
from featward_ca.cli.connection import ADMIN_NAME
from featward_ca.cli.options import AdminOption, DataOption, StoreOption

if TYPE_CHECKING:
    from featward_ca.server import Addresses


def serve(
    environment: Annotated[str, typer.Option(help="The name of an Environment in the manifests.")],
    data: DataOption,
    manifests: Annotated[Path, typer.Option(help="The folder of manifests.")],
    kek_file: Annotated[
        Path | None,
        typer.Option(
            help=(
                "The key-encryption key: a 0600 file outside of the data directory, made at the"
                " first start. "
                "Without it FEATWARD_CA_KEK holds the key."
            )
        ),
    ] = None,
    store: StoreOption = None,
    listen: Annotated[
        str, typer.Option(help="Where workloads connect with mTLS.")
    ] = "127.0.0.1:8443",
    workload_socket: Annotated[
        Path | None, typer.Option(help="A UNIX socket where the kernel says who connects.")
    ] = None,
    admin_socket: AdminOption = None,
    health: Annotated[
        str | None,
        typer.Option(help="Where /healthz, /readyz and /metrics are; empty for nowhere."),
    ] = "127.0.0.1:8080",
    log_format: Annotated[
        Form,
        typer.Option(
            envvar="FEATWARD_CA_LOG_FORMAT",
            help="How lines of the log look; auto: console on a terminal, else JSON.",
        ),
    ] = Form.AUTO,
    log_level: Annotated[
        Level, typer.Option(envvar="FEATWARD_CA_LOG_LEVEL", help="The least severe level written.")
    ] = Level.INFO,
    unsafe_short_lives: Annotated[
        bool,
        typer.Option("--unsafe-short-lives", help="Allow lifetimes of seconds. For tests only."),
    ] = False,
) -> None:
    """Run the CA of one environment in the foreground."""
    import asyncio

    from featward.descriptors import raise_limit
    from featward_ca.garbage import collect_rarely
    from featward_ca.server import serve as run
    from featward_ca.settings import ServeSettings

    settings = ServeSettings(
        environment=environment,
        data=data,
        manifests=manifests,
        kek_file=kek_file,
        listen=listen,
        workload_socket=workload_socket and workload_socket.absolute(),
        admin_socket=admin_socket or data / ADMIN_NAME,
        health=health or None,
        unsafe_short_lives=unsafe_short_lives,
        store_address=store,
    )
    set_up(log_format, log_level)
    raise_limit()
    collect_rarely()
    asyncio.run(run(settings, _announce))


def _announce(addresses: "Addresses") -> None:
    for name, where in vars(addresses).items():
        errors.print(f"{name.replace('_', ' ')}: {where or 'off'}")
    errors.print("the CA is ready")
