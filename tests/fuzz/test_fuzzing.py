"""Every parser of strangers' bytes holds against some thousand mutated inputs; `make fuzz` tries more.

The seed of the mutations is fixed, so that a failure here is one of the change that is tested.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).parent
# As many as take some seconds.
RUNS = {
    "certificate": 20_000,
    "csr": 8_000,
    "join_token": 100_000,
    "json_web_token": 60_000,
    "manifest": 3_000,
}
# Refuses one thing in a way that no caller expects.
FRAGILE = """
def one(data):
    if data[:2] == b"no":
        raise KeyError("nobody expects this")
"""


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"fuzz_{name}", HERE / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fuzz = _load("__main__")


def test_every_target_is_run_here() -> None:
    assert set(RUNS) == set(fuzz.targets())


@pytest.mark.timeout(180)
@pytest.mark.parametrize("target", RUNS)
def test_mutated_input_ends_in_an_answer_or_a_refusal(target: str, tmp_path: Path) -> None:
    options = (f"-runs={RUNS[target]}", "-seed=1")
    command = fuzz.command(target, tmp_path / "corpus", *options)
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert f"stat::number_of_executed_units: {RUNS[target]}" in done.stderr


@pytest.mark.timeout(120)
def test_an_exception_that_nobody_expects_is_found(tmp_path: Path) -> None:
    (tmp_path / "fragile.py").write_text(FRAGILE)
    (tmp_path / "fuzz.py").write_text((HERE / "fuzz.py").read_text())
    (tmp_path / "targets").mkdir()
    (tmp_path / "fragile.py").rename(tmp_path / "targets" / "fragile.py")
    command = [sys.executable, str(tmp_path / "fuzz.py"), "fragile", "-seed=1", "-runs=1000000"]
    options = ["-max_len=8", f"-artifact_prefix={tmp_path}/"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "KeyError: 'nobody expects this'" in done.stdout + done.stderr
    (crash,) = tmp_path.glob("crash-*")
    assert crash.read_bytes().startswith(b"no")
