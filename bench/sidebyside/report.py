"""Tables of what was measured, the ratios, and whether they reach the targets of the design."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from sidebyside.suites import Row

SHADOW = "featward-shadow"
Runs = dict[tuple[str, str], list[Row]]


@dataclass(frozen=True)
class Target:
    """A ratio of featward to a peer, taken within each round, and its bound.

    `ours` is `featward-shadow` where the target is for deciding and recording alone.
    """

    what: str
    suite: str
    peer: str
    figure: Callable[[Row], float]
    bound: float
    at_least: bool = False
    ours: str = "featward"

    def ratios(self, runs: Runs) -> list[float]:
        """One ratio a round, in rising order."""
        ours, theirs = runs.get((self.suite, self.ours), []), runs.get((self.suite, self.peer), [])
        return sorted(self.figure(a) / self.figure(b) for a, b in zip(ours, theirs, strict=True))

    def holds(self, ratio: float) -> bool:
        """Whether a ratio reaches the target."""
        return ratio >= self.bound if self.at_least else ratio <= self.bound


def _cpu(row: Row) -> float:
    return row["cpu"]


def _rate(row: Row) -> float:
    return row["rate"]


TARGETS = (
    Target(
        "decide + record, CPU, against Envoy + Lua",
        "requests",
        "envoy-lua",
        _cpu,
        0.45,
        ours=SHADOW,
    ),
    Target(
        "decide + record, CPU, against Envoy", "requests", "envoy-rbac", _cpu, 0.55, ours=SHADOW
    ),
    Target("the same and filter, CPU, against Envoy", "requests", "envoy-rbac", _cpu, 0.65),
    Target(
        "decide + record, throughput, against Envoy + OPA",
        "requests",
        "envoy-opa",
        _rate,
        5.0,
        True,
        ours=SHADOW,
    ),
    Target(
        "the same and filter, throughput, against Envoy + OPA",
        "requests",
        "envoy-opa",
        _rate,
        5.0,
        True,
    ),
    Target("p99 at 1,000/s, against Envoy", "open", "envoy-rbac", lambda row: row["p99"], 1.0),
    Target(
        "handshakes a CPU second, against Envoy",
        "handshakes",
        "envoy-rbac",
        lambda row: 1 / _cpu(row),
        1.0,
        True,
    ),
    Target(
        "resident memory, warm, against Envoy",
        "requests",
        "envoy-rbac",
        lambda row: row["rss"],
        0.85,
    ),
)

COLUMNS: Sequence[tuple[str, str, float, int]] = (
    ("requests/s", "rate", 1, 0),
    ("CPU µs", "cpu", 1, 1),
    ("of it policy server", "policy_cpu", 1, 1),
    ("p50 ms", "p50", 1000, 2),
    ("p99 ms", "p99", 1000, 2),
    ("RSS MB", "rss", 1024, 1),
    ("policy server MB", "policy_rss", 1024, 1),
    ("KB an idle connection", "idle_kb", 1, 1),
)


def show(runs: Runs, console: Console) -> None:
    """Print one table of figures a suite and one of the targets."""
    for suite in dict.fromkeys(suite for suite, _ in runs):
        console.print(
            _figures(suite, {proxy: rows for (name, proxy), rows in runs.items() if name == suite})
        )
    console.print(_targets(runs))


def _figures(suite: str, rows: dict[str, list[Row]]) -> Table:
    columns = [
        column
        for column in COLUMNS
        if any(row.get(column[1]) for each in rows.values() for row in each)
    ]
    table = Table(title=f"{suite}: smallest / middle / largest of the rounds")
    for name in ("proxy", *(column[0] for column in columns), "failed"):
        table.add_column(name, justify="left" if name == "proxy" else "right")
    for proxy, each in rows.items():
        cells = [
            _spread([row.get(key, 0) / scale for row in each], digits)
            for _, key, scale, digits in columns
        ]
        table.add_row(proxy, *cells, f"{sum(row['failed'] for row in each):.0f}")
    return table


def _targets(runs: Runs) -> Table:
    table = Table(title="featward against its peers, ratios of neighbouring runs")
    for name in ("figure", "smallest", "middle", "largest", "target", "reached by the middle"):
        table.add_column(name, justify="left" if name == "figure" else "right")
    for target in TARGETS:
        if ratios := target.ratios(runs) if (target.suite, target.peer) in runs else []:
            middle = statistics.median(ratios)
            bound = f"{'>=' if target.at_least else '<='} {target.bound:g} x"
            cells = [f"{ratio:.2f}" for ratio in (ratios[0], middle, ratios[-1])]
            table.add_row(target.what, *cells, bound, "yes" if target.holds(middle) else "NO")
    return table


def _spread(values: list[float], digits: int) -> str:
    ordered = sorted(values)
    if len(ordered) == 1:
        return f"{ordered[0]:,.{digits}f}"
    return " / ".join(
        f"{value:,.{digits}f}" for value in (ordered[0], statistics.median(ordered), ordered[-1])
    )
