"""Runs the programs that do the work."""

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from image_builder.errors import BuildError

__all__ = ["output_of", "run"]

_SHOWN = 30


def run(
    command: Sequence[str | Path],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run it to its end. Raises BuildError with the last lines that it said."""
    output_of(command, folder=folder, environment=environment)


def output_of(
    command: Sequence[str | Path],
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """What it writes to its standard output. Raises BuildError with the last lines that it said."""
    program = str(command[0])
    if shutil.which(program) is None:
        raise BuildError(
            f"{program} is not there; images are built on Debian 12, or from images/Containerfile"
        )
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_SHOWN:])
        raise BuildError(f"{Path(program).name} ended with status {done.returncode}:\n{said}")
    return done.stdout
