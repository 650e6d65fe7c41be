"""`featward ca fetch-svid`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from featward.cli.console import console, fail
from featward.cli.output import Output, OutputOption
from featward_ca.cli.options import address

if TYPE_CHECKING:
    from featward.identity.join_token import JoinToken


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

    from featward_ca.fetch import fetch_svid as fetch

    files = fetch(address(ca, "--ca", unix=True), _token(token_file), out)
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


def _token(file: Path) -> "JoinToken":
    """The token in a file. Ends the command where there is none."""
    from featward.identity.join_token import JoinToken, JoinTokenError

    try:
        return JoinToken.parse(file.read_text("ascii"))
    except OSError as error:
        _refuse(file, f"can't be read: {error.strerror}")
    except UnicodeDecodeError:
        _refuse(file, "can't be read: it is no text in ASCII")
    except JoinTokenError as error:
        _refuse(file, f"is not usable: {error}")


def _refuse(file: Path, why: str) -> NoReturn:
    make = f"featward ca token create --workload prod.payments/pricing-api > {file}"
    fail(f"the token file {file} {why}; make one: {make}")
