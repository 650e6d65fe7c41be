"""``featward operator run | check | crds``: the only part of the operator that people type.

Imported by every `featward` command to show its help, so it imports nothing at the top that is not needed
for that.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featward.cli.console import console, errors

if TYPE_CHECKING:
    from featward_operator.errors import SettingsError
    from featward_operator.settings import Settings

__all__ = ["app"]

app = typer.Typer(help="The Kubernetes operator.", no_args_is_help=True)

USAGE = 2


@app.command()
def run(
    config: Annotated[
        Path,
        typer.Option(help="The configuration; the chart keeps it in a ConfigMap.", metavar="FILE"),
    ],
    kubeconfig: Annotated[
        Path | None,
        typer.Option(
            help="How to log in to the API server; without it, as the pod's service account.",
            metavar="FILE",
        ),
    ] = None,
) -> None:
    """Run one replica until SIGTERM."""
    settings = _load(config, USAGE)
    import asyncio

    from featward.descriptors import raise_limit
    from featward.logs import Form, Level, set_up
    from featward_operator.parts import parts_of
    from featward_operator.run import run as work

    set_up(Form(settings.log.format), Level(settings.log.level))
    raise_limit()
    asyncio.run(work(settings, None if kubeconfig is None else str(kubeconfig), parts_of))


@app.command()
def check(
    config: Annotated[Path, typer.Argument(help="The configuration.", metavar="FILE")],
) -> None:
    """Print everything that is wrong with a configuration. Exit status 1 on errors."""
    _load(config, 1)
    console.print("[green]ok[/]")


@app.command()
def crds() -> None:
    """Print the CustomResourceDefinitions of this version, as `kubectl apply -f -` takes them."""
    from featward.crds.writing import documents

    typer.echo("---\n".join(documents().values()), nl=False)


def _load(file: Path, exit_code: int) -> "Settings":
    from featward_operator.errors import SettingsError
    from featward_operator.settings import load

    try:
        return load(file)
    except SettingsError as error:
        raise _refusal(error, exit_code) from None


def _refusal(error: "SettingsError", exit_code: int) -> typer.Exit:
    for one in error.findings:
        place = f"{one.file}:{one.line}:{one.column}"
        _print(f"error: {place}: {one.message}; {one.remedy}")
    _print(f"error: {error}")
    return typer.Exit(exit_code)


def _print(line: str) -> None:
    errors.print(line, markup=False, highlight=False, soft_wrap=True)
