"""`make bench-operator` works; what it measures in so short a time says nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from kubernetes_programs import BUILD_SECONDS

ROOT = Path(__file__).parents[2]


@pytest.mark.timeout(BUILD_SECONDS)
def test_the_bench_runs_and_prints_its_table() -> None:
    command = [sys.executable, "-m", "fleet", "--smoke"]
    shared = str(ROOT / "tests" / "shared")
    environment = os.environ | {"PYTHONPATH": shared, "COLUMNS": "120"}
    done = subprocess.run(
        command, cwd=ROOT / "bench", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [line.split("│")[1:-1] for line in done.stdout.splitlines() if line.startswith("│")]
    measured = {row[0].strip(): row[1].strip() for row in rows}
    assert (measured["pods admitted"], measured["pods not admitted"]) == ("5", "0")
    assert float(measured["edit to all sidecars, slowest s"]) > 0
    assert float(measured["RSS MB"]) > 20
