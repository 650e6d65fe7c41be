"""Runs the comparison: ``python -m sidebyside --folder DIR``; ``make bench`` prepares DIR."""

import argparse
import json
import os
import shutil
import tempfile
from collections import defaultdict
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from sidebyside.proxies import NAMES
from sidebyside.report import Runs, show
from sidebyside.suites import SUITES, Bench, Suite
from sidebyside.world import built

WIDTH = 150


def main() -> None:
    """Measure every suite and proxy in interleaved rounds, print tables, keep every line."""
    options = _options()
    # In a narrower one the figures of three rounds break into a column of slashes.
    console = Console(width=max(Console().width, WIDTH))
    runs: Runs = defaultdict(list)
    suites = [suite for suite in SUITES if suite.name in options.suites]
    folder = Path(tempfile.mkdtemp(prefix="run-", dir=options.folder))
    try:
        with built(folder) as world, Progress(console=console) as progress:
            task = progress.add_task(
                "measuring", total=options.rounds * sum(len(_proxies(s)) for s in suites)
            )
            for suite in suites:
                bench = Bench(world, suite, options.seconds)
                for proxy in _interleaved(suite, options.rounds):
                    progress.update(task, description=f"{suite.name}: {proxy}")
                    row = bench.run(proxy)
                    runs[suite.name, proxy].append(row)
                    _keep(options.folder / "results.jsonl", suite.name, proxy, row)
                    progress.advance(task)
        show(runs, console)
    finally:
        if not options.keep:
            shutil.rmtree(folder)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="sidebyside", description=__doc__)
    names = [suite.name for suite in SUITES]
    parser.add_argument(
        "--folder", type=Path, required=True, help="where `make bench` put load and authz"
    )
    parser.add_argument(
        "--rounds", type=int, default=3, help="how often each proxy is measured (default 3)"
    )
    parser.add_argument(
        "--seconds", type=float, default=4, help="length of one measurement (default 4)"
    )
    parser.add_argument("--suites", nargs="+", default=names, choices=names, help="default: all")
    parser.add_argument(
        "--keep", action="store_true", help="keep the folder of the run, with all logs"
    )
    return parser.parse_args()


def _proxies(suite: Suite) -> list[str]:
    return [name for name in ("direct", *NAMES) if name == "featward" or name in suite.against]


def _interleaved(suite: Suite, rounds: int) -> list[str]:
    """Every proxy once a round, each round from another one on, so that drift hits all alike."""
    names = _proxies(suite)
    return [
        name
        for turn in range(rounds)
        for name in names[turn % len(names) :] + names[: turn % len(names)]
    ]


def _keep(path: Path, suite: str, proxy: str, row: dict[str, float]) -> None:
    line = {"suite": suite, "proxy": proxy, "load": os.getloadavg()[0]} | row
    with path.open("a") as results:
        results.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
