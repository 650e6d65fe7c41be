"""Runs the `featward` command of this installation, as a person would type it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from featward_demo.errors import ProgramError

# A command starts Python and asks a socket; minutes mean that something hangs.
SECONDS = 120


def command() -> str:
    """The `featward` beside this interpreter, else the one on the PATH."""
    beside = Path(sys.executable).with_name("featward")
    found = str(beside) if beside.exists() else shutil.which("featward")
    if found is None:
        raise ProgramError(
            "the featward command is not installed; run pip install 'featward[demo]'"
        )
    return found


def run(*arguments: object, accept: tuple[int, ...] = (0,)) -> str:
    """What it prints on standard output. Raises ProgramError with what it says on standard error."""
    done = subprocess.run(
        [command(), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if done.returncode not in accept:
        said = done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}"
        raise ProgramError(f"`featward {' '.join(map(str, arguments[:2]))}` failed: {said}")
    return done.stdout


def ask(*arguments: object, accept: tuple[int, ...] = (0,)) -> Any:
    """The same with ``--output json``, read."""
    return json.loads(run(*arguments, "--output", "json", accept=accept))
