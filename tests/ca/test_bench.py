"""`make bench-ca` works; what it measures in so short a time says nothing.

Without step-ca: its build takes longer than all other tests together. That half of the bench is run where
the figures are wanted, by `make bench-ca`, and fails there.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the load program, built as cargo does for tests, where the engine is built."""
    folder = tmp_path_factory.mktemp("bench")
    target = os.environ.get("CARGO_TARGET_DIR") or str(ROOT / "engine" / "target")
    command = ["cargo", "build", "--locked", "--message-format=json", "--bin=issue"]
    command += ["--target-dir", target]
    done = subprocess.run(
        command, cwd=ROOT / "bench" / "load", stdout=subprocess.PIPE, text=True, check=True
    )
    built = [json.loads(line) for line in done.stdout.splitlines()]
    (program,) = [each["executable"] for each in built if each.get("executable")]
    (folder / "issue").symlink_to(program)
    return folder


@pytest.mark.timeout(900)  # the first build of the load program is in it
def test_every_suite_runs_and_leaves_its_figures(load: Path) -> None:
    command = [sys.executable, "-m", "issuers", "--folder", str(load), "--smoke"]
    done = subprocess.run(command, cwd=ROOT / "bench", capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [json.loads(line) for line in (load / "issuers.jsonl").read_text().splitlines()]
    loops = [row for row in rows if "issuer" in row]
    assert {row["issuer"] for row in loops} == {"featward renew", "featward batch of 20"}
    assert all(row["certificates"] > 0 and row["cpu"] > 0 for row in loops)
    (storm,) = [row for row in rows if row.get("suite") == "storm"]
    assert (storm["clients"], storm["renewed"], storm["bad_probes"]) == (50, 50, 0)
    assert storm["stream_kb"] > 0
    assert not list(load.glob("issuers-*")), "the folder of the run was left behind"
