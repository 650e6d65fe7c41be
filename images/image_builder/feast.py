"""Feast with the demo's repository, for the image `featward-demo`: a feature server to protect."""

import shutil
import sys
from datetime import UTC, datetime
from pathlib import Path

from featward_demo.feast_environment import NEWEST, ensure
from image_builder.commands import run
from image_builder.errors import BuildError
from image_builder.recipe import DEMO_REPOSITORY, FEAST, PYTHON, ROOT

__all__ = ["NEWEST", "REPOSITORY", "copy_feast", "lay_out_repository", "week"]

REPOSITORY = ROOT / "demo" / "featward_demo" / "feast_repository"
"""What the demo's Feast serves."""

# Needed to build and to check types, and the web interface: a third of it all.
_DROPPED = (
    "*__mypyc*.so",
    "ast_serialize",
    "mypy",
    "mypyc",
    "greenlet-stubs",
    "docs",
    "requirements",
    "feast/ui",
    "pandas/tests",
    "pyarrow/include",
    "pyarrow/tests",
    "pyarrow/src",
    "**/__pycache__",
    "**/*.pyi",
    "**/*.pxd",
    "**/*.h",
    "*.dist-info/RECORD",
)


def copy_feast(root: Path) -> Path:
    """Feast and what it needs, out of the environment that the demo has, into its folder below `root`.

    Raises BuildError where this Python is not the image's: what is compiled would not fit.
    """
    if sys.version_info[:2] != PYTHON:
        raise BuildError(
            "featward-demo takes Feast from an environment of this Python, which has to be"
            f" {PYTHON[0]}.{PYTHON[1]} for that; run make with PYTHON=python{PYTHON[0]}.{PYTHON[1]}"
        )
    site = next((ensure().folder / "lib").glob("python*/site-packages"))
    target = root / FEAST
    shutil.copytree(site, target, symlinks=True)
    for pattern in _DROPPED:
        for path in sorted(target.glob(pattern)):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.exists():
                path.unlink()
    return target


def lay_out_repository(root: Path) -> None:
    """The demo's feature repository with its registry and rows, below `root`."""
    target = root / DEMO_REPOSITORY
    shutil.copytree(REPOSITORY, target, ignore=shutil.ignore_patterns("__pycache__"))
    run([ensure().python, "-B", "build.py"], folder=target)


def week() -> str:
    """The rows live for 30 days, so those of an image are made anew each week."""
    return datetime.now(UTC).strftime("%G-%V")
