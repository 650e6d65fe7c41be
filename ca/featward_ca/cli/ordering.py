"""What the commands of `featward ca authority` take in the same way, and how they show what came of it."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from featward.cli.console import console
from featward.cli.output import Output

if TYPE_CHECKING:
    from featward.authority.v1 import authority_pb2

ReasonOption = Annotated[
    str, typer.Option(help="Why; it is kept in the journal and the audit table.")
]
ForceOption = Annotated[
    bool, typer.Option("--force", help="Do it whatever stands in the way; says what breaks.")
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Say what stands in the way, and change nothing.")
]
GenerationOption = Annotated[
    int,
    typer.Option(
        help="Which of an owner's authorities; asked for twice it is done once.",
        min=0,
        max=2**31 - 1,
    ),
]
OwnerArgument = Annotated[str, typer.Argument(help="prod.payments, platform or root.")]
AuthorityArgument = Annotated[
    str, typer.Argument(help="An authority's id, or the owner whose one is meant.")
]


def finish(answer: "authority_pb2.StepResponse", output: Output, dry_run: bool) -> None:
    """Print; a step that was asked for and is blocked is a failure."""
    show_answer(answer, output)
    if answer.blockers and not answer.changed and not dry_run:
        raise typer.Exit(1)


def show_answer(answer: "authority_pb2.StepResponse", output: Output) -> None:
    from featward_ca.report import as_json, step

    if output is Output.JSON:
        typer.echo(as_json(answer))
    else:
        step(answer, console, time.time())
