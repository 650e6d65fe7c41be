"""The `featward` command: its root, and the subcommands that the installed parts bring along.

A subcommand is an entry point of the group `featward.commands`: a Typer application or a function. It is
imported when it is asked for or listed, so that one whose extra is missing costs a sentence, not the command.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from featward.cli.console import fail
from featward.errors import FeatwardError

__all__ = ["GROUP", "build", "main"]

GROUP = "featward.commands"


class _Root(TyperGroup):
    """Ends in one sentence, without a traceback, where an error of ours says what is wrong."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except FeatwardError as error:
            fail(str(error))


def main() -> None:
    """The console script."""
    build()()


def build() -> typer.Typer:
    """The root application with every subcommand that is installed."""
    app = typer.Typer(
        name="featward",
        cls=_Root,
        callback=_root,
        no_args_is_help=True,
        rich_markup_mode="markdown",
        # Local variables may hold tokens and keys.
        pretty_exceptions_show_locals=False,
    )
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name):
        _add(app, entry)
    return app


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"featward {version('featward')}")
        raise typer.Exit


def _root(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and exit.", callback=_show_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Makes machine-learning feature APIs safe to offer: identities, authorisation, and the record of both."""


def _add(app: typer.Typer, entry: EntryPoint) -> None:
    try:
        command = entry.load()
    except ModuleNotFoundError as error:
        app.command(entry.name, help=_missing(entry, error))(_refusing(_missing(entry, error)))
        return
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=entry.name)
    else:
        app.command(entry.name)(command)


def _missing(entry: EntryPoint, error: ModuleNotFoundError) -> str:
    extra = entry.extras[0] if entry.extras else "all"
    return f"{entry.name} needs the package {error.name}: pip install 'featward[{extra}]'"


def _refusing(message: str) -> Callable[[], None]:
    def refuse() -> None:
        fail(message)

    return refuse
