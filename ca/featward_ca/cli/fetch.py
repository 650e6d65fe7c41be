"""`featward ca fetch-svid`."""

from pathlib import Path
from typing import Annotated

import typer

from featward.cli.console import console, fail
from featward.cli.output import Output, OutputOption
from featward_ca.cli.options import address


def fetch_svid(
    ca: Annotated[str, typer.Option(help="Where the CA listens: host:port, or unix:PATH.")],
    token_file: Annotated[
        Path, typer.Option(help="A file that holds a join token for the workload.")
    ],
    out: Annotated[Path, typer.Option(help="The folder for key.pem, svid.pem and bundle.pem.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Get an SVID into files, for a workload without a sidecar."""
    import json

    from featward.identity.join_token import JoinToken
    from featward_ca.fetch import fetch_svid as fetch

    files = fetch(address(ca, "--ca", unix=True), JoinToken.parse(_text(token_file)), out)
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


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        fail(f"the token file {file} can't be read: {error}")
