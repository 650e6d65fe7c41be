"""Tables of what was measured, the ratios, and whether they reach the targets of the design."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from issuers.suites import Row

# By issuer and number of clients, one row a round.
Runs = dict[tuple[str, int], list[Row]]
Rows = Sequence[Row]
_SIGN = "step-ca sign"


@dataclass(frozen=True)
class Target:
    """A figure of ours at 32 clients, alone or as a ratio to step-ca's in the same round."""

    what: str
    ours: str
    bound: float
    figure: Callable[[Row], float]
    peer: str | None = None

    def values(self, runs: Runs) -> list[float]:
        """One a round, in rising order; none where the peer was not measured."""
        ours = [self.figure(row) for row in runs.get((self.ours, 32), [])]
        if self.peer is None:
            return sorted(ours)
        theirs = [self.figure(row) for row in runs.get((self.peer, 32), [])]
        return sorted(a / b for a, b in zip(ours, theirs, strict=False))


def _rate(row: Row) -> float:
    return row["rate"]


def _per_core(row: Row) -> float:
    return row["per_core"]


TARGETS = (
    Target("SVIDs/s on one core, one a message", "featward renew", 600, _rate),
    Target("the same, against step-ca sign", "featward renew", 1, _rate, _SIGN),
    Target("SVIDs/s on one core, twenty a message", "featward batch of 20", 2500, _rate),
    Target("the same, against step-ca sign", "featward batch of 20", 4, _rate, _SIGN),
    Target("SVIDs a CPU second, against step-ca sign", "featward renew", 1, _per_core, _SIGN),
    # No target, and not reached: step-ca renews without looking whether it was done before, and so without
    # a row before the signature and without noticing that two parties renew one certificate.
    Target("the same, against step-ca renew", "featward renew", 0, _per_core, "step-ca renew"),
)
# Seconds in which a storm has to be over.
STORM_SECONDS = 20.0

COLUMNS: Sequence[tuple[str, str, float, int]] = (
    ("SVIDs/s", "rate", 1, 0),
    ("SVIDs a CPU second", "per_core", 1, 0),
    ("CPU µs", "cpu", 1, 0),
    ("p50 ms", "p50", 1000, 1),
    ("p99 ms", "p99", 1000, 1),
    ("RSS MB", "rss", 1024, 0),
)
STORM: Sequence[tuple[str, str, float, int]] = (
    ("clients", "clients", 1, 0),
    ("KB of RSS an idle stream", "stream_kb", 1, 1),
    ("cores while all are idle", "idle_core", 1, 3),
    ("all open after s", "open_seconds", 1, 1),
    ("CA serves again after s", "ready_seconds", 1, 1),
    ("all have renewed after s more", "drain_seconds", 1, 1),
    ("attempts that failed meanwhile", "failed_attempts", 1, 0),
    ("cores meanwhile", "cores", 1, 2),
    ("health asked", "probes", 1, 0),
    ("of it not healthy", "bad_probes", 1, 0),
    ("slowest answer ms", "worst_probe_ms", 1, 0),
    ("RSS MB after", "rss", 1024, 0),
)


def show(runs: Runs, storms: Rows, console: Console) -> None:
    """Print what there is."""
    if runs:
        console.print(_figures(runs))
        console.print(_targets(runs))
    if storms:
        console.print(_storms(storms))


def _figures(runs: Runs) -> Table:
    table = Table(title="issuers: smallest / middle / largest of the rounds")
    for name in ("issuer", "clients", *(column[0] for column in COLUMNS)):
        table.add_column(name, justify="left" if name == "issuer" else "right")
    for (name, clients), rows in sorted(runs.items(), key=lambda item: item[0]):
        cells = [
            _spread([row[key] / scale for row in rows], digits) for _, key, scale, digits in COLUMNS
        ]
        table.add_row(name, str(clients), *cells)
    return table


def _targets(runs: Runs) -> Table:
    table = Table(title="32 clients against the targets; ratios are taken within each round")
    for name in ("figure", "smallest", "middle", "largest", "target", "reached by the middle"):
        table.add_column(name, justify="left" if name == "figure" else "right")
    for target in TARGETS:
        if values := target.values(runs):
            middle = statistics.median(values)
            digits = 2 if target.peer else 0
            cells = [f"{value:,.{digits}f}" for value in (values[0], middle, values[-1])]
            bound, reached = f">= {target.bound:g}{' x' if target.peer else ''}", "yes"
            if not target.bound:
                bound = reached = "-"
            elif middle < target.bound:
                reached = "NO"
            table.add_row(target.what, *cells, bound, reached)
    return table


def _storms(storms: Rows) -> Table:
    table = Table(title="restart after kill -9: smallest / middle / largest of the rounds")
    table.add_column("figure")
    table.add_column("measured", justify="right")
    for title, key, scale, digits in STORM:
        table.add_row(title, _spread([row[key] / scale for row in storms], digits))
    drained = statistics.median(row["drain_seconds"] for row in storms) < STORM_SECONDS
    green = not any(row["bad_probes"] for row in storms)
    table.add_row(
        f"renewed in less than {STORM_SECONDS:g} s, health green",
        "yes" if drained and green else "NO",
    )
    return table


def _spread(values: list[float], digits: int) -> str:
    ordered = sorted(values)
    if len(ordered) == 1:
        return f"{ordered[0]:,.{digits}f}"
    return " / ".join(
        f"{value:,.{digits}f}" for value in (ordered[0], statistics.median(ordered), ordered[-1])
    )
