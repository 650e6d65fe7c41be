"""The command `kubectl-featward`, which kubectl calls as `kubectl featward`: its root and its subcommands."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from featward.cli.console import fail
from featward.cli.extras import absent
from featward.errors import FeatwardError
from featward.kubectl.acting import approve, relax, rotate
from featward.kubectl.asking import explain, status, unprotected
from featward.kubectl.exposing import exposure

__all__ = ["app", "main"]


class _Root(TyperGroup):
    """Ends in one sentence, without a traceback, where an error of ours is what is wrong."""

    def invoke(self, ctx: Any) -> Any:
        if package := absent("kubernetes"):
            fail(f"this needs the package {package}: pip install 'featward[kubernetes]'")
        try:
            return super().invoke(ctx)
        except FeatwardError as error:
            fail(str(error))
        except KeyboardInterrupt:
            raise typer.Exit(130) from None


app = typer.Typer(
    name="kubectl-featward",
    cls=_Root,
    no_args_is_help=True,
    rich_markup_mode="markdown",
    # Local variables may hold tokens and keys.
    pretty_exceptions_show_locals=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kubectl-featward {version('featward')}")
        raise typer.Exit


@app.callback()
def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """How a protected cluster stands, why a pod is refused, and decisions by hand, all with your own rights."""


for _command in (status, explain, unprotected, exposure, relax, approve, rotate):
    app.command()(_command)


def main() -> None:
    """The console script."""
    app(prog_name="kubectl-featward")
