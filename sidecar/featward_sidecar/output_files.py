"""Identity and trust as files, for apps that read nothing else.

All three change in one moment: they are links through `..data`, a link to a folder that is never written
again, and a change is a new folder and one rename. So an app that opens all files after a reload never has
the key of one SVID and the chain of another. The app is told by a command or a signal; until that has
succeeded, the change does not count as given.
"""

import logging
import os
import shutil
import tempfile
import threading
from pathlib import Path

from featward.logs import fields
from featward_sidecar.agent_status import AgentStatus, failure
from featward_sidecar.backoff import Backoff
from featward_sidecar.certificates import to_pem
from featward_sidecar.configuration import Output
from featward_sidecar.content import Content
from featward_sidecar.errors import SidecarError, StartError
from featward_sidecar.grpc_call import Status
from featward_sidecar.reload import reload_app

__all__ = ["OutputFiles"]

log = logging.getLogger(__name__)

_DATA = "..data"
_PREFIX = "..featward-"


class OutputFiles:
    """`run` is the thread's body; the rest is for other threads."""

    def __init__(self, output: Output, status: AgentStatus) -> None:
        self._folder = output.folder
        self._reload = output.reload
        self._status = status
        self._changed = threading.Condition()
        self._next: tuple[Content, int] | None = None
        self._written: dict[str, bytes] = {}
        self._reloaded = False
        self._given = 0
        self._stopped = False

    def try_folder(self) -> None:
        """Make the folder, and a file in it for as long as a moment. What would be wrong with it is to be known
        before there is an identity: the token for that is good for one use. Raises StartError."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._folder):
                pass
        except OSError as error:
            is_file = isinstance(error, FileExistsError)
            why = "it is a file" if is_file else error.strerror or str(error)
            raise StartError(
                f"output.folder {self._folder} can't hold the files: {why}; name a folder that user "
                f"{os.getuid()} may write to (no token was used)"
            ) from error

    def publish(self, content: Content, sequence: int) -> None:
        """Write this; a change that was not written yet is left out."""
        with self._changed:
            self._next = (content, sequence)
            self._changed.notify()

    def withhold(self, status: Status, why: str) -> None:
        """An app that reads files has nobody to ask."""

    def given(self) -> int:
        """The sequence of the newest change that was written and that the app was told of."""
        return self._given

    def stop(self) -> None:
        """The files stay: their app may outlive us."""
        with self._changed:
            self._stopped = True
            self._changed.notify()

    def run(self) -> None:
        """Write each change, and try again until it is written and the app told, or another comes."""
        backoff = Backoff()
        patience: float | None = None
        while (change := self._take(patience)) is not None:
            try:
                self._deliver(*change)
            except (SidecarError, OSError) as error:
                patience = backoff.next()
                self._retry(change, error, patience)
            else:
                backoff.reset()
                patience = None

    def _take(self, patience: float | None) -> tuple[Content, int] | None:
        """The next change, at once if there is a newer one than failed last; None at the end."""
        with self._changed:
            if patience is not None:
                before = self._next
                self._changed.wait_for(
                    lambda: self._stopped or self._next is not before, timeout=patience
                )
            self._changed.wait_for(lambda: self._stopped or self._next is not None)
            change, self._next = self._next, None
            return None if self._stopped else change

    def _retry(self, change: tuple[Content, int], error: Exception, patience: float) -> None:
        told = fields(folder=str(self._folder), error=str(error), retry_in=round(patience, 2))
        log.error("files not delivered", extra=told)
        self._status.update("apps", last_error=failure(f"{self._folder}: {error}"))
        with self._changed:
            self._next = self._next or change

    def _deliver(self, content: Content, sequence: int) -> None:
        files = _rendered(content)
        if files != self._written:
            self._write(files)
            self._written, self._reloaded = files, False
            log.info("files written", extra=fields(folder=str(self._folder)))
        if not self._reloaded:
            reload_app(self._reload)
            self._reloaded = True
        self._given = sequence
        self._status.update("apps", last_error=None)

    def _write(self, files: dict[str, bytes]) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        fresh = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=self._folder))
        fresh.chmod(0o755)  # who may read is said by each file's mode
        for name, content in files.items():
            _write_file(fresh / name, content, 0o600 if name == "key.pem" else 0o644)
        _link(self._folder / _DATA, fresh.name)
        for name in files:
            if (path := self._folder / name).is_symlink() and os.readlink(
                path
            ) == f"{_DATA}/{name}":
                continue
            _link(path, f"{_DATA}/{name}")
        _sync(self._folder)
        for old in self._folder.glob(f"{_PREFIX}*"):
            if old != fresh:
                _remove(old)


def _remove(folder: Path) -> None:
    """A folder of before. What can't be removed does not undo what was written."""
    try:
        shutil.rmtree(folder)
    except OSError as error:
        log.warning("old files not removed", extra=fields(folder=str(folder), error=str(error)))


def _rendered(content: Content) -> dict[str, bytes]:
    return {
        "svid.pem": b"".join(map(to_pem, content.chain)),
        "key.pem": to_pem(content.key, "PRIVATE KEY"),
        "bundle.pem": b"".join(map(to_pem, content.own.roots)),
    }


def _write_file(path: Path, content: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # whatever the umask is
        file.write(content)
        file.flush()
        os.fsync(descriptor)


def _link(path: Path, target: str) -> None:
    """A symbolic link in place of whatever file is there, in one moment."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(path)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
