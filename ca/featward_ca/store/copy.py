"""Copies of the embedded store: made while it is in use, and looked at before they are trusted.

SQLite's own backup reads one moment of the store; with WAL it locks nobody out, and nobody it.
"""

import contextlib
import hashlib
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path

from featward_ca.errors import StoreError

_SUFFIXES = ("", "-wal", "-shm")
_BLOCK = 1 << 20


@dataclass(frozen=True)
class Copy:
    """What was written."""

    bytes: int
    sequence: int
    sha256: str


def copy(source: Path, target: Path) -> Copy:
    """Write the store's state of this moment to a new file, 0600, whole or not at all. Raises
    StoreError.
    """
    partial = _begun(target)
    try:
        sequence = _copy(source, partial)
        _sync(partial)
        partial.rename(target)
        _sync(target.absolute().parent)
    except sqlite3.Error as error:
        raise StoreError(f"the store {source} can't be copied to {target}: {error}") from error
    except OSError as error:
        raise StoreError(f"the backup {target} can't be written: {error.strerror}") from error
    finally:
        # Whatever is left of it is no reason to hide what is wrong with the backup.
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
    return Copy(target.stat().st_size, sequence, _digest(target))


def _begun(target: Path) -> Path:
    """An empty file beside the target, which nobody else writes. Raises StoreError."""
    partial = target.with_name(f".{target.name}.partial")
    try:
        if target.exists():
            raise StoreError(f"there is a file {target} already; a backup overwrites nothing")
        os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError as error:
        raise StoreError(
            f"another backup to {target} is under way, or was killed; if none is, delete {partial}"
        ) from error
    except OSError as error:
        raise StoreError(f"the backup {target} can't be written: {error.strerror}") from error
    return partial


def check(file: Path) -> None:
    """Raise StoreError for a file that is no whole store."""
    if not file.is_file():
        raise StoreError(f"there is no file {file}")
    try:
        with contextlib.closing(_reading(file)) as connection:
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
            (environments,) = connection.execute("SELECT count(*) FROM environment").fetchone()
    except sqlite3.Error as error:
        raise StoreError(f"{file} is no store of a CA, or it is damaged: {error}") from error
    if found != "ok" or environments != 1:
        raise StoreError(f"{file} is damaged ({found}); take an older backup")


def move(source: Path, target: Path) -> None:
    """Rename a store that nobody uses, with what belongs to it."""
    for suffix in _SUFFIXES:
        file = Path(f"{source}{suffix}")
        if file.exists():
            file.rename(f"{target}{suffix}")
    _sync(target.absolute().parent)


def remove(file: Path) -> None:
    """Delete a store with what belongs to it."""
    for suffix in _SUFFIXES:
        Path(f"{file}{suffix}").unlink(missing_ok=True)


def _copy(source: Path, target: Path) -> int:
    with (
        contextlib.closing(_reading(source)) as reading,
        contextlib.closing(sqlite3.connect(target)) as writing,
    ):
        reading.backup(writing)
        # One file, which needs no other beside it.
        writing.execute("PRAGMA journal_mode = DELETE")
        (sequence,) = writing.execute("SELECT sequence FROM trust").fetchone()
    return int(sequence)


def _reading(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        while block := content.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
