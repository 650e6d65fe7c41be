"""A folder as a layer of an image: the same bytes for the same files, whoever made them and when."""

import gzip
import hashlib
import shutil
import stat
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["SHARED", "Layer", "write_layer"]

SHARED = {"tmp": 0o1777}
"""Folders that everybody may write to; all others are root's."""

_LEVEL = 6


@dataclass(frozen=True)
class Layer:
    """A compressed layer in a file; `diff` is the digest of what is in it, as images name both."""

    file: Path
    digest: str
    diff: str
    size: int
    made_by: str


def write_layer(root: Path, file: Path, made_by: str) -> Layer:
    """All that is below `root`, with root as owner; `made_by` is a word on where it comes from."""
    plain = file.with_name(f"{file.name}.plain")
    with tarfile.open(plain, "w", format=tarfile.PAX_FORMAT) as tar:
        for path in _below(root):
            _add(tar, path, path.relative_to(root).as_posix())
    # Without a name and a time in its header.
    with (
        plain.open("rb") as read,
        file.open("wb") as raw,
        gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as packed,
    ):
        shutil.copyfileobj(read, packed)
    diff = _digest(plain)
    plain.unlink()
    return Layer(file, _digest(file), diff, file.stat().st_size, made_by)


def _digest(file: Path) -> str:
    """As an image writes it."""
    with file.open("rb") as read:
        return f"sha256:{hashlib.file_digest(read, 'sha256').hexdigest()}"


def _below(root: Path) -> Iterator[Path]:
    """Folders before what is in them, everything in the order of its name."""
    for path in sorted(root.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _below(path)


def _add(tar: tarfile.TarFile, path: Path, name: str) -> None:
    entry = tarfile.TarInfo(name)
    if path.is_symlink():
        entry.type, entry.linkname, entry.mode = tarfile.SYMTYPE, str(path.readlink()), 0o777
        tar.addfile(entry)
    elif path.is_dir():
        entry.type, entry.mode = tarfile.DIRTYPE, SHARED.get(name, 0o755)
        tar.addfile(entry)
    else:
        runs = path.stat().st_mode & stat.S_IXUSR
        entry.size, entry.mode = path.stat().st_size, 0o755 if runs else 0o644
        with path.open("rb") as file:
            tar.addfile(entry, file)
