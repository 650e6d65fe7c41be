"""`featward check`: everything that is wrong with a folder of manifests, each with its place and a remedy."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from featward.cli.console import console
from featward.cli.output import Output, OutputOption, print_json

if TYPE_CHECKING:
    from featward.manifests.findings import Finding

__all__ = ["check"]


def check(
    folder: Annotated[Path, typer.Argument(help="The folder of manifests.", metavar="DIR")] = Path(
        "manifests"
    ),
    output: OutputOption = Output.TABLE,
) -> None:
    """Check a folder of manifests: every error with file and line. Exit status 1 on errors."""
    from featward.manifests.findings import Severity
    from featward.manifests.loading import load
    from featward.manifests.validation import validate

    loaded = load(folder)
    findings = sorted((*loaded.findings, *validate(loaded)))
    failed = any(finding.severity is Severity.ERROR for finding in findings)
    if output is Output.JSON:
        print_json(
            {
                "ok": not failed,
                "documents": len(loaded.documents),
                "findings": [f.as_json() for f in findings],
            }
        )
    else:
        _show(findings, len(loaded.documents))
    raise typer.Exit(1 if failed else 0)


def _show(findings: Iterable[Finding], documents: int) -> None:
    from rich.markup import escape

    from featward.manifests.findings import Severity

    counts = dict.fromkeys(Severity, 0)
    lines: dict[str, list[str]] = {}
    for finding in findings:
        counts[finding.severity] += 1
        colour = "red" if finding.severity is Severity.ERROR else "yellow"
        place = f"{finding.file}:{finding.line}:{finding.column}"
        console.print(
            f"[bold]{escape(place)}[/]: [{colour}]{finding.severity}[/] [dim]{finding.code}[/]: "
            f"{escape(finding.message)}"
        )
        for line in _excerpt(finding, lines):
            console.print(f"  [dim]{escape(line)}[/]")
        console.print(f"  [green]→[/] {escape(finding.remedy)}\n")
    errors, warnings = counts[Severity.ERROR], counts[Severity.WARNING]
    verdict = "[green]ok[/]" if errors == 0 else "[red]failed[/]"
    console.print(
        f"{verdict}: {_count(documents, 'document')}, {_count(errors, 'error')}, {_count(warnings, 'warning')}"
    )


def _excerpt(finding: Finding, files: dict[str, list[str]]) -> list[str]:
    """The line itself and a caret below the place."""
    if finding.file not in files:
        try:
            files[finding.file] = Path(finding.file).read_text("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError):
            files[finding.file] = []
    lines = files[finding.file]
    if finding.line > len(lines):
        return []
    line, start = lines[finding.line - 1], finding.column - 1
    # A long line is cut around the place, so that the caret stays in sight.
    cut = max(0, start - _BEFORE)
    number = f"{finding.line:>4} | "
    # One mark for each, so that the caret stays below its place.
    shown = "".join(
        mark if mark.isprintable() else _TAB if mark == "\t" else " "
        for mark in line[cut : cut + _WIDTH]
    )
    return [number + shown, " " * (len(number) + start - cut) + "^"]


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


# A tab looks like the spaces that should be there in its place.
_TAB = "⇥"
_BEFORE = 60
_WIDTH = 110
