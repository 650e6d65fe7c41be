"""`featward ca …`: the commands, and nothing but their wiring; what they need is imported when
they run.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, cast

import typer

from featward.cli.console import console, errors, fail
from featward.cli.output import Output
from featward.logs import Form, Level, set_up

if TYPE_CHECKING:
    import grpc

    from featward.authority.v1.authority_pb2_grpc import AuthorityServiceStub
    from featward_ca.server import Addresses

app = typer.Typer(no_args_is_help=True, help="Run and look after the certificate authority.")
token = typer.Typer(
    no_args_is_help=True, help="Join tokens: how a workload proves itself the first time."
)
app.add_typer(token, name="token")

_ADMIN_NAME = "admin.sock"
_TIMEOUT = 10.0

DataOption = Annotated[
    Path, typer.Option("--data", envvar="FEATWARD_CA_DATA", help="The CA's data directory.")
]
AdminOption = Annotated[
    Path | None,
    typer.Option(
        "--admin-socket",
        envvar="FEATWARD_CA_ADMIN_SOCKET",
        help="The admin socket. Default: admin.sock in the data directory.",
    ),
]


@app.command()
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
    listen: Annotated[
        str, typer.Option(help="Where workloads connect with mTLS.")
    ] = "127.0.0.1:8443",
    workload_socket: Annotated[
        Path | None, typer.Option(help="A UNIX socket where the kernel says who connects.")
    ] = None,
    admin_socket: AdminOption = None,
    health: Annotated[
        str | None, typer.Option(help="Where /healthz and /metrics are; empty for nowhere.")
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
    from featward_ca.server import serve as run
    from featward_ca.settings import ServeSettings

    settings = ServeSettings(
        environment=environment,
        data=data,
        manifests=manifests,
        kek_file=kek_file,
        listen=listen,
        workload_socket=workload_socket and workload_socket.absolute(),
        admin_socket=admin_socket or data / _ADMIN_NAME,
        health=health or None,
        unsafe_short_lives=unsafe_short_lives,
    )
    set_up(log_format, log_level)
    raise_limit()
    asyncio.run(run(settings, _announce))


@token.command("create")
def create_token(
    workload: Annotated[
        str, typer.Option(help="Whom the token is for: prod.payments/pricing-api.")
    ],
    data: Annotated[
        Path | None, typer.Option(envvar="FEATWARD_CA_DATA", help="The CA's data directory.")
    ] = None,
    admin_socket: AdminOption = None,
    ttl: Annotated[str, typer.Option(help="How long it may be used: 30s, 10m, 1h, 2d.")] = "1h",
) -> None:
    """Print a join token for a workload. It is good for one attestation; treat it as a password."""
    from featward.authority.v1 import authority_pb2

    request = authority_pb2.CreateJoinTokenRequest(
        workload=workload, lifetime_seconds=_seconds(ttl)
    )
    with _admin(data, admin_socket) as stub:
        answer = stub.CreateJoinToken(request, timeout=_TIMEOUT)
    # Only the token goes to stdout, so that it can be redirected into a file.
    typer.echo(answer.token)
    errors.print(f"for {answer.spiffe_id}, to be used once within {ttl}")


@app.command()
def status(
    data: Annotated[
        Path | None, typer.Option(envvar="FEATWARD_CA_DATA", help="The CA's data directory.")
    ] = None,
    admin_socket: AdminOption = None,
    output: Annotated[Output, typer.Option(help="How to print it.")] = Output.TABLE,
) -> None:
    """Show the authorities, what lives of what they signed, and the runway."""
    from featward.authority.v1 import authority_pb2
    from featward_ca.report import as_json, show

    with _admin(data, admin_socket) as stub:
        answer = stub.Show(authority_pb2.ShowRequest(), timeout=_TIMEOUT)
    if output is Output.JSON:
        typer.echo(as_json(answer))
    else:
        show(answer, console)


@app.command("fetch-svid")
def fetch_svid(
    ca: Annotated[str, typer.Option(help="Where the CA listens: host:port, or unix:PATH.")],
    token_file: Annotated[
        Path, typer.Option(help="A file that holds a join token for the workload.")
    ],
    out: Annotated[Path, typer.Option(help="The folder for key.pem, svid.pem and bundle.pem.")],
    output: Annotated[Output, typer.Option(help="How to print what was written.")] = Output.TABLE,
) -> None:
    """Get an SVID into files, for a workload without a sidecar."""
    import json

    from featward.identity.join_token import JoinToken
    from featward_ca.fetch import fetch_svid as fetch

    files = fetch(ca, JoinToken.parse(_text(token_file)), out)
    if output is Output.JSON:
        shown = {
            name: value if isinstance(value, int) else str(value)
            for name, value in vars(files).items()
        }
        typer.echo(json.dumps(shown))
    else:
        console.print(
            f"{files.spiffe_id}: {files.key}, {files.svid}, {files.bundle}",
            highlight=False,
            soft_wrap=True,
        )


def _announce(addresses: "Addresses") -> None:
    for name, where in vars(addresses).items():
        errors.print(f"{name.replace('_', ' ')}: {where or 'off'}")
    errors.print("the CA is ready")


@contextlib.contextmanager
def _admin(data: Path | None, admin_socket: Path | None) -> Iterator["AuthorityServiceStub"]:
    """The running CA's admin service; its refusals and its absence become one sentence."""
    import grpc

    from featward.authority.v1.authority_pb2_grpc import AuthorityServiceStub

    if admin_socket is None and data is None:
        raise typer.BadParameter(
            "name the CA's data directory or its admin socket", param_hint="--data"
        )
    socket = admin_socket or Path(data or "", _ADMIN_NAME)
    if not socket.exists():
        fail(f"no CA is listening on {socket}; start it with featward ca serve, or name its --data")
    with grpc.insecure_channel(f"unix:{socket.absolute()}") as channel:
        try:
            yield AuthorityServiceStub(channel)
        except grpc.RpcError as refusal:
            _fail_for(cast("grpc.Call", refusal), socket)


def _fail_for(refusal: "grpc.Call", socket: Path) -> NoReturn:
    """What a channel raises is the call itself, with its status."""
    from grpc import StatusCode

    if refusal.code() is StatusCode.UNAVAILABLE:
        fail(f"no CA answers on {socket}; start it with featward ca serve")
    fail(refusal.details() or refusal.code().name)


def _seconds(text: str) -> float:
    from featward.manifests.text import seconds

    if not (found := seconds(text)):
        raise typer.BadParameter(
            f"{text!r} is no duration; write 30s, 10m, 1h or 2d", param_hint="--ttl"
        )
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        fail(f"the token file {file} can't be read: {error}")
