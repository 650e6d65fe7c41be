"""Where the command line writes: answers to standard output, everything else to standard error."""

from typing import NoReturn

import typer
from rich.console import Console
from rich.markup import escape

__all__ = ["console", "errors", "fail"]

console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def fail(message: str) -> NoReturn:
    """End the command with one sentence and exit status 1."""
    errors.print(f"[bold red]error:[/] {escape(message)}")
    raise typer.Exit(1)
