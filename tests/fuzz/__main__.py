"""Runs all targets for a while each: ``python tests/fuzz --seconds 60``, which is ``make fuzz``.

What has reached new code is kept in a folder outside of the checkout, so that the next run goes on
from there; the few files in seeds/ are where the first one starts.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
# More than any input that is not refused for its size.
LONGEST_INPUT = 8192
# Of one input. Ours take a millisecond; a machine that does other things takes longer.
HANGS_AFTER = 20


def targets() -> list[str]:
    """Their names."""
    return sorted(path.stem for path in (HERE / "targets").glob("*.py"))


def command(target: str, corpus: Path, *options: str) -> list[str]:
    """Fuzz one target; `corpus` is read and added to."""
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = [HERE / "seeds" / target, *([EXAMPLES] if target == "manifest" else [])]
    program = [sys.executable, str(HERE / "fuzz.py"), target, str(corpus), *map(str, seeds)]
    crashes = f"-artifact_prefix={corpus.parent}/{target}-"
    limits = [f"-max_len={LONGEST_INPUT}", f"-timeout={HANGS_AFTER}", crashes]
    return [*program, *limits, "-print_final_stats=1", *options]


def main() -> None:
    """Run them one after another; the first crash ends it."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="of each target (default 60)")
    parser.add_argument("--targets", nargs="+", default=targets(), choices=targets())
    options = parser.parse_args()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "featward" / "fuzz"
    for target in options.targets:
        print(f"== {target} for {options.seconds} s", file=sys.stderr)
        fuzzing = command(target, cache / target, f"-max_total_time={options.seconds}")
        status = subprocess.run(fuzzing, check=False).returncode
        if status:
            raise SystemExit(f"error: {target} ended with {status}; the input is in {cache}")


if __name__ == "__main__":
    main()
