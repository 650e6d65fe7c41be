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


def seconds(text: str, option: str) -> float:
    """A length of time as people write it. Raises BadParameter, which names the option."""
    from featward.manifests.text import seconds as parse

    if not (found := parse(text)):
        raise typer.BadParameter(
            f"{text!r} is no duration; write 30s, 10m, 1h or 2d", param_hint=option
        )
    return found
