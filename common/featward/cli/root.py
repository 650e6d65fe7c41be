"""The `featward` command: its root, and the subcommands that the installed parts bring along.

A subcommand is an entry point of the group `featward.commands`: a Typer application or a function, imported
when it is asked for. The help of the root asks for all of them, so their modules import at the top only what
help needs. An entry point names the extra that its command needs, and without it the command ends in a sentence
that says how to get it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import EntryPoint, entry_points, version
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from featward.cli.console import fail
from featward.cli.extras import absent
from featward.errors import FeatwardError

__all__ = ["GROUP", "build", "main"]

GROUP = "featward.commands"


class _Commands(Mapping[str, Any]):
    """The subcommands by name; each is imported when it is taken out, once."""

    def __init__(self) -> None:
        self.entries = {entry.name: entry for entry in entry_points(group=GROUP)}
        self._taken: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._taken:
            self._taken[name] = _command(self.entries[name])
        return self._taken[name]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.entries))

    def __len__(self) -> int:
        return len(self.entries)


class _Root(TyperGroup):
    """Imports what is asked for, and ends in one sentence, without a traceback, where an error of ours or an
    absent extra is what is wrong.
    """

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._installed = _Commands()
        # Typer's type wants a mapping that can be written to; nothing writes to this one.
        self.commands = self._installed  # type: ignore[assignment]

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        # Completion resolves commands as well, and has nobody to tell.
        if not ctx.resilient_parsing:
            _require_extras(self._installed.entries[str(name)])
        return name, command, rest

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except FeatwardError as error:
            fail(str(error))


def main() -> None:
    """The console script."""
    build()(prog_name="featward")  # also where it was started as a module


def build() -> typer.Typer:
    """The root application, of every subcommand that is installed."""
    return typer.Typer(
        name="featward",
        cls=_Root,
        callback=_root,
        no_args_is_help=True,
        rich_markup_mode=_MARKUP,
        # Local variables may hold tokens and keys.
        pretty_exceptions_show_locals=False,
    )


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


def _command(entry: EntryPoint) -> Any:
    """A subcommand as Typer would have made it of a root that knew it from the start."""
    loaded = entry.load()
    parent = typer.Typer(rich_markup_mode=_MARKUP)
    if isinstance(loaded, typer.Typer):
        parent.add_typer(loaded, name=entry.name)
    else:
        parent.command(entry.name)(loaded)
        # Without a callback, an application of one command is that command.
        parent.callback()(_root)
    return typer.main.get_group(parent).commands[entry.name]


def _require_extras(entry: EntryPoint) -> None:
    for extra in entry.extras:
        if package := absent(extra):
            fail(f"{entry.name} needs the package {package}: pip install 'featward[{extra}]'")


_MARKUP: Literal["markdown"] = "markdown"
