"""What several commands take: where the CA is, and lengths of time."""

from pathlib import Path
from typing import Annotated

import typer

DataOption = Annotated[
    Path, typer.Option("--data", envvar="FEATWARD_CA_DATA", help="The CA's data directory.")
]
# For commands that only need the admin socket in it.
WhereOption = Annotated[
    Path | None,
    typer.Option("--data", envvar="FEATWARD_CA_DATA", help="The CA's data directory."),
]
AdminOption = Annotated[
    Path | None,
    typer.Option(
        "--admin-socket",
        envvar="FEATWARD_CA_ADMIN_SOCKET",
        help="The admin socket. Default: admin.sock in the data directory.",
    ),
]

KekOption = Annotated[
    Path | None,
    typer.Option(
        "--kek-file",
        help="The key-encryption key. Without it FEATWARD_CA_KEK holds the key.",
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        envvar="FEATWARD_CA_STORE",
        help=(
            "PostgreSQL, for several replicas: postgresql+psycopg://USER@HOST/DATABASE. Default:"
            " a file in the data directory."
        ),
    ),
]


def address(text: str, option: str, *, unix: bool = False) -> str:
    """``host:port``, or with ``unix`` also ``unix:PATH``. Raises BadParameter, which names the option."""
    if unix and text.startswith("unix:") and text != "unix:":
        return text
    host, _, port = text.rpartition(":")
    fits = host and port.isascii() and port.isdigit() and int(port) <= 65535
    # The address of a machine has colons of its own only in IPv6, where brackets tell them apart.
    if fits and (":" not in host or (host.startswith("[") and host.endswith("]"))):
        return text
    forms = "host:port, such as 127.0.0.1:8443"
    other = ", or unix: and the path of a socket" if unix else ""
    raise typer.BadParameter(f"{text!r} is no address; write {forms}{other}", param_hint=option)


def seconds(text: str, option: str) -> float:
    """A length of time as people write it. Raises BadParameter, which names the option."""
    from featward.manifests.text import seconds as parse

    if not (found := parse(text)):
        raise typer.BadParameter(
            f"{text!r} is no duration; write 30s, 10m, 1h or 2d", param_hint=option
        )
    return found
