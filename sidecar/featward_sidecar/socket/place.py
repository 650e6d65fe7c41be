"""The file of the workload socket: how it comes to be there, and how it goes.

A client that starts while the file is missing may give up for good, so a stale file is replaced by a new
socket in one rename, and there is never a moment without one.
"""

import socket
import stat
from contextlib import suppress
from pathlib import Path

from featward_sidecar.errors import StartError

__all__ = ["Place"]


class Place:
    """A path and the mode of the socket there."""

    def __init__(self, path: Path, mode: int) -> None:
        self._path = path
        self._mode = mode
        self._inode: int | None = None

    def bind(self) -> socket.socket:
        """A listening socket. Raises StartError where the path can't be had."""
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self._refuse_taken()
            self._put(listener)
        except OSError as error:
            listener.close()
            why = error.strerror or error
            raise StartError(f"the workload socket {self._path} can't be bound: {why}") from error
        except StartError:
            listener.close()
            raise
        return listener

    def leave(self) -> None:
        """Remove the file, unless somebody else has put theirs there."""
        with suppress(OSError):
            if self._path.stat().st_ino == self._inode:
                self._path.unlink()

    def _put(self, listener: socket.socket) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        fresh = self._path.with_name(self._path.name + ".new")
        fresh.unlink(missing_ok=True)
        listener.bind(str(fresh))
        fresh.chmod(self._mode)  # nobody can connect before listen
        listener.listen(128)
        self._inode = fresh.stat().st_ino
        fresh.rename(self._path)

    def _refuse_taken(self) -> None:
        try:
            found = self._path.lstat()
        except FileNotFoundError:
            return
        if not stat.S_ISSOCK(found.st_mode):
            raise StartError(
                f"{self._path} is no socket; remove it, or choose another workloadSocket"
            )
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(self._path))
            except ConnectionRefusedError:
                return  # left by a process that was killed
        raise StartError(
            f"the workload socket {self._path} is served by another process; stop it, or choose "
            "another path"
        )
