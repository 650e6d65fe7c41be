"""Byte code of all that is in an image, by the image's own interpreter.

The file system of a container can't be written to, so what isn't compiled here would be compiled anew at
each start. The byte code is never compared with its source (`unchecked-hash`): times differ in images.
"""

from collections.abc import Sequence
from pathlib import Path

from image_builder.commands import run
from image_builder.errors import BuildError
from image_builder.recipe import TRIPLETS, architecture

__all__ = ["compile_all"]

_LOADERS = {"amd64": "lib64/ld-linux-x86-64.so.2", "arm64": "lib/ld-linux-aarch64.so.1"}


def compile_all(root: Path, folders: Sequence[Path], *, below: Path | None = None) -> None:
    """Compile the sources in these folders, whose place in the image is that below `below` (`root` where
    nothing is said). Raises BuildError where one is no Python.

    `root` has the interpreter. It runs with its own libraries and without being made the root of a process.
    """
    triplet = TRIPLETS[architecture()]
    libraries = f"{root / 'lib' / triplet}:{root / 'usr/lib' / triplet}"
    loader = root / _LOADERS[architecture()]
    if not loader.exists():
        raise BuildError(
            f"{loader} is not there: libc6 is missing in packages.txt, or it has moved"
        )
    # One process in a set order: byte code marks what is referred to more than once in its process.
    options = ["-q", "-f", "--invalidation-mode", "unchecked-hash"]
    options += ["-s", str(below or root), "-p", "/"]
    python: list[str | Path] = [loader, "--library-path", libraries, root / "usr/bin/python3.11"]
    run(
        [*python, "-S", "-m", "compileall", *options, *folders],
        environment={
            "PYTHONHOME": str(root / "usr"),
            "PYTHONPATH": "",
            "PYTHONHASHSEED": "0",
            "PYTHONDONTWRITEBYTECODE": "",
        },
    )
