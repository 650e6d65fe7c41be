"""The `featward` command: its root, and the subcommands that the installed parts bring along.

A subcommand is an entry point of the group `featward.commands`: a Typer application or a function. All are
imported whichever is asked for, so their modules import at the top only what help needs. An entry point names
the extra that its command needs, and without it the command ends in a sentence that says how to get it.
"""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from featward.cli.console import fail
from featward.cli.extras import absent
from featward.errors import FeatwardError

__all__ = ["GROUP", "build", "main"]

GROUP = "featward.commands"


class _Root(TyperGroup):
    """Ends in one sentence, without a traceback, where an error of ours or an absent extra is what is wrong."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        # Completion resolves commands as well, and has nobody to tell.
        if not ctx.resilient_parsing:
            _require_extras(str(name))
        return name, command, rest

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
    command = entry.load()
    if isinstance(command, typer.Typer):
        app.add_typer(command, name=entry.name)
    else:
        app.command(entry.name)(command)


def _require_extras(name: str) -> None:
    extras = [extra for entry in entry_points(group=GROUP, name=name) for extra in entry.extras]
    for extra in extras:
        if package := absent(extra):
            fail(f"{name} needs the package {package}: pip install 'featward[{extra}]'")
