"""The figures beside what the design promises."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from fleet.admissions import Admissions

__all__ = ["Edits", "Figures", "show"]


@dataclass(frozen=True)
class Edits:
    """Edits of one binding: seconds until the last sidecar had it, and CPU seconds of the operator each."""

    last: list[float]
    cpu: float


@dataclass(frozen=True)
class Figures:
    """One run."""

    ready: float
    rss: float
    peak: float
    few: Edits
    many: Edits
    admissions: Admissions


def show(figures: Figures, pods: int, bindings: int, streams: int, console: Console) -> None:
    """Print the table."""
    few, many, admitted = figures.few, figures.many, figures.admissions
    rows: Sequence[tuple[str, str, str, bool | None]] = (
        ("ready from start, s", f"{figures.ready:.1f}", "-", None),
        ("RSS MB", f"{figures.rss:.0f}", "<= 150", figures.rss <= 150),
        ("RSS MB, the most", f"{figures.peak:.0f}", "-", None),
        ("edit to all sidecars, middle s", f"{statistics.median(many.last):.2f}", "-", None),
        ("edit to all sidecars, slowest s", f"{max(many.last):.2f}", "<= 2", max(many.last) <= 2),
        ("the same with 10 bindings, slowest s", f"{max(few.last):.2f}", "-", None),
        ("operator's CPU an edit, ms", f"{many.cpu * 1000:.1f}", "-", None),
        ("the same with 10 bindings, ms", f"{few.cpu * 1000:.1f}", "-", None),
        ("pods admitted", str(admitted.made), "-", None),
        ("pods not admitted", str(admitted.failed), "0", admitted.failed == 0),
        ("admission p50, ms at most", f"{admitted.p50 * 1000:g}", "-", None),
        ("admission p99, ms at most", f"{admitted.p99 * 1000:g}", "<= 10", admitted.p99 <= 0.01),
        ("operator's CPU an admission, ms", f"{admitted.cpu * 1000:.2f}", "-", None),
        ("pod made, p99 ms", f"{admitted.created_p99 * 1000:.0f}", "-", None),
    )
    title = f"{pods:,} pods, {bindings:,} bindings, {streams} sidecars of the edited set"
    table = Table(title=title)
    for name in ("figure", "measured", "target", "reached"):
        table.add_column(name, justify="left" if name == "figure" else "right")
    for what, measured, target, reached in rows:
        table.add_row(
            what, measured, target, "-" if reached is None else "yes" if reached else "NO"
        )
    console.print(table)
