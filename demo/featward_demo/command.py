"""``featward demo``: builds the whole on loopback, walks through it, and takes it down or leaves it running."""

import contextlib
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featward.cli.output import Output

if TYPE_CHECKING:
    from rich.console import Console

    from featward_demo.stack import Stack
    from featward_demo.tour import Outcome


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it running after the tour, until Ctrl-C.")
    ] = False,
    folder: Annotated[
        Path | None, typer.Option(help="An empty folder for all files. [default: a temporary one]")
    ] = None,
    port_base: Annotated[
        int | None,
        typer.Option(min=1024, max=65000, help="First of a row of ports. [default: free ones]"),
    ] = None,
    output: Annotated[
        Output, typer.Option("--output", "-o", help="A tour for people, or JSON for programs.")
    ] = Output.TABLE,
) -> None:
    """Protect a real Feast server end to end on this machine, as a tour of calls answered and refused.

    Exits with 0 only if every step behaved. With --output json, standard output is one JSON object with every
    address and file, and what happens goes to standard error.
    """
    from featward.cli.console import console, errors, fail
    from featward_demo.errors import DemoError
    from featward_demo.stack import Stack

    _end_like_ctrl_c()
    shown = errors if output is Output.JSON else console
    try:
        with _folder(folder, keep) as place:
            stack = Stack(place, port_base)
            try:
                behaved = _walk(stack, shown, output, keep)
            finally:
                stack.stop()
    except DemoError as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit(1) from None
    if not behaved:
        raise typer.Exit(1)


def _end_like_ctrl_c() -> None:
    """A supervisor's request to end and a terminal that is closed are answered like Ctrl-C: nothing is left
    running. Under `nohup`, which ignores it, a closed terminal ends nothing.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.default_int_handler)


def _walk(stack: "Stack", console: "Console", output: Output, keep: bool) -> bool:
    """Start, tour, report; returns whether every step behaved."""
    from featward.cli.output import print_json
    from featward_demo.report import by_hand, facts, summary

    _start(stack, console)
    outcomes = _tour(stack, console)
    summary(console, outcomes)
    behaved = all(outcome.seen.behaved for outcome in outcomes)
    if output is Output.JSON:
        print_json(facts(stack, outcomes))
    by_hand(console, stack, keep)
    if keep:
        console.print("\nIt runs until Ctrl-C.")
        _wait()
    return behaved


def _start(stack: "Stack", console: "Console") -> None:
    from featward_demo.progress import progress

    started = time.monotonic()
    with progress(console) as tell:
        stack.start(tell)
    console.print(
        f"Feast {stack.environment.version}, two CAs and {len(stack.sidecars)} sidecars are running after "
        f"{time.monotonic() - started:.0f} s, all on loopback; their files are in {stack.folder}"
    )


def _tour(stack: "Stack", console: "Console") -> "list[Outcome]":
    from featward_demo.progress import progress
    from featward_demo.report import show
    from featward_demo.tour import tour

    outcomes = []
    with progress(console) as tell:
        # A step that is over in a moment has nothing to say but its outcome.
        for outcome in tour(stack, lambda _, step: tell(step.meanwhile)):
            show(console, outcome)
            outcomes.append(outcome)
    return outcomes


@contextlib.contextmanager
def _folder(wanted: Path | None, keep: bool) -> Iterator[Path]:
    """The folder for all files; a temporary one goes with the tour, unless something was kept running."""
    from featward_demo.errors import DemoError

    if wanted is None:
        with tempfile.TemporaryDirectory(prefix="featward-demo-") as place:
            yield Path(place)
        return
    try:
        wanted.mkdir(parents=True, exist_ok=True)
        filled = any(wanted.iterdir())
        # Writing is what fails on a file system that is read-only, and for who may not.
        tempfile.TemporaryFile(dir=wanted).close()
    except OSError as error:
        raise DemoError(
            f"{wanted} can't be written to: {error.strerror}; name another folder with --folder"
        ) from error
    if filled:
        raise DemoError(
            f"{wanted} is not empty; name a new folder with --folder, or remove what is in it"
        )
    yield wanted.resolve()


def _wait() -> None:
    """Until Ctrl-C or SIGTERM."""
    with contextlib.suppress(KeyboardInterrupt):
        while True:
            signal.pause()
