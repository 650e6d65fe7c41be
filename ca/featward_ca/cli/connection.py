"""The way from a command to the running CA: its admin socket, and its refusals as one sentence."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

import typer

from featward.cli.console import fail

if TYPE_CHECKING:
    import grpc

    from featward.authority.v1.authority_pb2_grpc import AuthorityServiceStub

ADMIN_NAME = "admin.sock"
TIMEOUT = 10.0


@contextlib.contextmanager
def admin(data: Path | None, admin_socket: Path | None) -> Iterator["AuthorityServiceStub"]:
    """The running CA's admin service; its refusals and its absence become one sentence."""
    import grpc

    from featward.authority.v1.authority_pb2_grpc import AuthorityServiceStub

    if admin_socket is None and data is None:
        raise typer.BadParameter(
            "name the CA's data directory or its admin socket", param_hint="--data"
        )
    socket = admin_socket or Path(data or "", ADMIN_NAME)
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

    said = refusal.details() or refusal.code().name
    # The CA names the request in all that it refuses; without that, nobody was there to say it.
    if refusal.code() is StatusCode.UNAVAILABLE and "(request " not in said:
        fail(f"no CA answers on {socket}; start it with featward ca serve")
    fail(said)
