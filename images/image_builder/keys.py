"""What a build depends on, as keys of the cache: whatever may change the result changes its key."""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from image_builder.recipe import IMAGES, ROOT, architecture

__all__ = ["builder", "key", "tree", "whole"]

# What the wheel is built of, as pyproject.toml says.
_PARTS = ("common", "engine", "ca", "sidecar", "operator", "demo")
_FILES = ("pyproject.toml", "hatch_build.py", "README.md", "LICENSE")
_LEFT_OUT = {"target", "__pycache__"}
_KEY = 16


def key(*parts: str) -> str:
    """Short enough for the name of a file."""
    return hashlib.sha256("\0".join([architecture(), *parts]).encode()).hexdigest()[:_KEY]


def builder() -> str:
    """This program itself and its lists."""
    return _hash(path for path in _files(IMAGES) if path.suffix in {".py", ".txt"})


def tree() -> str:
    """All that our wheel is built of."""
    inside = (path for part in _PARTS for path in _files(ROOT / part))
    return _hash([*inside, *(ROOT / name for name in _FILES)])


def whole(folder: Path) -> str:
    """All of a folder of the checkout."""
    return _hash(_files(folder))


def _hash(files: Iterable[Path]) -> str:
    found = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        found.update(f"{file.relative_to(ROOT)} {len(content)} ".encode())
        found.update(content)
    return found.hexdigest()


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name in _LEFT_OUT or path.suffix in {".so", ".pyc"}:
            continue
        if path.is_dir():
            yield from _files(path)
        else:
            yield path
