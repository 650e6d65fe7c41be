"""The forms in which a command shows its answer."""

import json
from enum import StrEnum
from typing import Annotated, Any, TypeAlias

import typer

__all__ = ["Output", "OutputOption", "print_json"]


class Output(StrEnum):
    """A table for people, JSON for programs."""

    TABLE = "table"
    JSON = "json"


OutputOption: TypeAlias = Annotated[
    Output, typer.Option("--output", "-o", help="A table for people, or JSON for programs.")
]


def print_json(value: Any) -> None:
    """Plain JSON, whatever the terminal: never coloured or wrapped."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))
