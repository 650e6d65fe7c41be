"""The sidecar's folder on disk: private, and used by one sidecar at a time."""

import fcntl
import os
import stat
from pathlib import Path

from featward_sidecar.errors import StartError

__all__ = ["StateFolder"]


class StateFolder:
    """Makes the folder (0700) and holds its lock for as long as this object lives."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check(path)
            self._lock = os.open(path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartError(
                f"the state folder {path} can't be used: {error.strerror or error}"
            ) from error
        self._take_lock()

    def _take_lock(self) -> None:
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            pid = os.pread(self._lock, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._lock)
            raise StartError(
                f"the state folder {self.path} is used by another sidecar (process {pid}); "
                "stop that one, or give this one a folder of its own with --state"
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, str(os.getpid()).encode(), 0)

    def close(self) -> None:
        os.close(self._lock)


def _check(path: Path) -> None:
    found = path.stat()
    if found.st_uid != os.getuid():
        raise StartError(
            f"the state folder {path} belongs to user {found.st_uid}, not to us ({os.getuid()})"
        )
    if stat.S_IMODE(found.st_mode) & 0o077:
        raise StartError(f"the state folder {path} is open to other users; run `chmod 700 {path}`")
