"""Runs one target under atheris, which mutates what has reached new code: a program of its own.

    python tests/fuzz/fuzz.py TARGET CORPUS... [libFuzzer's options, such as -max_total_time=60]

Every exception that a target lets out is a crash, and so is an input that takes longer than
``-timeout`` seconds; libFuzzer then writes the input into a file and ends with a status that is not 0.
`make fuzz` runs all targets.
"""

import importlib
import sys
from pathlib import Path

import atheris

TARGETS = Path(__file__).parent / "targets"
# What is watched for new code that an input reaches.
WATCHED = ["featward", "featward_ca"]


def main(target: str, *arguments: str) -> None:
    """Fuzz until the options say to stop."""
    sys.path.insert(0, str(TARGETS))
    with atheris.instrument_imports(include=WATCHED, enable_loader_override=False):
        module = importlib.import_module(target)
    atheris.Setup([sys.argv[0], *arguments], module.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
