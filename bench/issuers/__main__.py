"""Runs the bench of the CA: ``python -m issuers --folder DIR``; ``make bench-ca`` prepares DIR."""

import argparse
import json
import os
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from issuers import storm
from issuers.report import Runs, show
from issuers.suites import Bench, Issuer, Row
from issuers.world import World, build

WIDTH = 150
CLIENTS = (1, 8, 32)
STORM_CLIENTS = 10_000
# So many that each connection of a closed loop has an identity of its own.
_ENOUGH = 64


def main() -> None:
    """Measure in interleaved rounds, print tables, keep every line."""
    options = _options()
    console = Console(width=max(Console().width, WIDTH))
    clients = options.clients if "storm" in options.suites else 0
    if not storm.enough_descriptors(clients):
        raise SystemExit(f"error: {clients} clients need more open files; raise `ulimit -Hn`")
    folder = Path(tempfile.mkdtemp(prefix="issuers-", dir=options.folder))
    try:
        world = build(folder, max(clients, _ENOUGH))
        runs = _loops(world, options, console) if "loops" in options.suites else {}
        storms = _storms(world, options, console) if "storm" in options.suites else []
        show(runs, storms, console)
    finally:
        if not options.keep:
            shutil.rmtree(folder)


def _loops(world: World, options: argparse.Namespace, console: Console) -> Runs:
    step = None if options.no_peer else options.folder / "step-ca"
    bench = Bench(world, options.folder / "issue", step, options.seconds, not options.smoke)
    runs: Runs = defaultdict(list)
    for issuer, count in _interleaved(bench.issuers, options.rounds):
        row = bench.run(issuer, count)
        runs[issuer.name, count].append(row)
        _keep(options.folder, {"issuer": issuer.name, "clients": count}, row)
        _say(
            console,
            f"{issuer.name}, {count} clients: {row['rate']:,.0f}/s, {row['cpu']:.0f} µs CPU each",
        )
    return runs


def _storms(world: World, options: argparse.Namespace, console: Console) -> list[Row]:
    rows = []
    for number in range(options.storms):
        row = storm.run(world, options.folder / "issue", options.clients, number)
        rows.append(row)
        _keep(options.folder, {"suite": "storm"}, row)
        _say(console, f"storm {number + 1}: renewed after {row['drain_seconds']:.1f} s")
    return rows


def _interleaved(issuers: list[Issuer], rounds: int) -> Iterator[tuple[Issuer, int]]:
    """Every issuer once a round for each number of clients, each round from another one on."""
    for turn in range(rounds):
        first = turn % len(issuers)
        for count in CLIENTS:
            for issuer in issuers[first:] + issuers[:first]:
                yield issuer, count


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="issuers", description=__doc__)
    add = parser.add_argument
    add("--folder", type=Path, required=True, help="where `make bench-ca` put issue and step-ca")
    add("--rounds", type=int, default=3, help="how often each loop is measured (default 3)")
    add("--seconds", type=float, default=4, help="length of one loop (default 4)")
    add("--storms", type=int, default=3, help="how often the CA is killed (default 3)")
    add("--clients", type=int, default=STORM_CLIENTS, help="of a storm (default 10,000)")
    add("--suites", nargs="+", default=["loops", "storm"], choices=["loops", "storm"])
    add("--no-peer", action="store_true", help="leave step-ca out")
    add(
        "--smoke", action="store_true", help="tiny: shows that the bench works and measures nothing"
    )
    add("--keep", action="store_true", help="keep the folder of the run, with all logs")
    options = parser.parse_args()
    if options.smoke:
        options.rounds = options.storms = 1
        options.seconds, options.clients, options.no_peer = 1.0, 50, True
    return options


def _say(console: Console, text: str) -> None:
    console.print(f"[dim]load {os.getloadavg()[0]:.1f}[/dim]  {text}")


def _keep(folder: Path, of: dict[str, object], row: Row) -> None:
    line = {"load": os.getloadavg()[0]} | of | row
    with (folder / "issuers.jsonl").open("a") as results:
        results.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
