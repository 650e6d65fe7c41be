"""A real PostgreSQL, started and ended by the tests: on a UNIX socket alone, with nothing kept.

The program is Debian's. It refuses to run as root, so for root it becomes its package's user, whose
folder can neither lie in pytest's own nor in a TMPDIR of root's, which that user can't enter.
"""

import contextlib
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pwd import getpwnam

import psycopg

from full_disk import mounted

_USER = "postgres"
# Where any user can enter a folder of its own, whatever TMPDIR says.
_OPEN = "/tmp"  # noqa: S108  # mkdtemp's names can't be guessed
_MISSING = (
    "these tests need PostgreSQL's server programs and there are none: on Debian, apt install"
    " postgresql"
)


@dataclass
class Server:
    """A running server; its one user is a superuser without a password."""

    folder: Path
    process: subprocess.Popen[bytes]
    has_disk: bool = False
    _count: Iterator[int] = field(default_factory=itertools.count)

    @contextlib.contextmanager
    def database(self) -> Iterator[str]:
        """The address of an empty database, which ends with the context."""
        name = f"test_{next(self._count)}"
        self.execute(f"CREATE DATABASE {name}")
        yield self.address(name)
        self.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def address(self, database: str) -> str:
        """Of a database of this name."""
        return f"postgresql+psycopg://{_USER}@/{database}?host={self.folder}"

    def execute(self, statement: str, database: str = "postgres") -> None:
        """Run one statement as the superuser."""
        with self._connect(database) as connection:
            connection.execute(statement.encode())

    def ready(self) -> bool:
        """Whether it answers."""
        with contextlib.suppress(psycopg.OperationalError):
            self._connect("postgres").close()
            return True
        return False

    def wait(self) -> None:
        """Return when it answers; it says so nowhere else than in its answer."""
        while not self.ready():
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(0.05)
                raise AssertionError((self.folder / "log").read_text())

    def restart(self) -> None:
        """Start it again on the same data after it has ended."""
        self.process = _process(self.folder)
        self.wait()

    def _connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(host=str(self.folder), user=_USER, dbname=database, autocommit=True)


@contextlib.contextmanager
def running(disk: str = "") -> Iterator[Server]:
    """A server on an empty folder, for as long as the context lasts; `disk`: the size of a disk that
    nobody but the server sees, at `disk` in its folder, where something can be mounted.
    """
    root = os.geteuid() == 0
    folder = Path(tempfile.mkdtemp(prefix="featward-postgresql-", dir=_OPEN if root else None))
    if root:
        shutil.chown(folder, _USER, _USER)
    try:
        data = folder / "data"
        subprocess.run(
            [*_as_user(), _program("initdb"), "-D", data, "-U", _USER, "-A", "trust", "--no-sync"],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        start = _with_disk(folder, disk) if disk else None
        server = Server(folder, _process(folder, start or []), has_disk=start is not None)
        server.wait()
        try:
            yield server
        finally:
            server.process.send_signal(signal.SIGQUIT)
            server.process.wait(30)
    finally:
        shutil.rmtree(folder)


def _with_disk(folder: Path, size: str) -> list[str] | None:
    """What starts a program that sees a disk of its user's there. Only root becomes that user."""
    place = folder / "disk"
    place.mkdir()
    return None if os.geteuid() else mounted(place, size, f"uid={getpwnam(_USER).pw_uid}")


def _process(folder: Path, start: Sequence[str] = ()) -> subprocess.Popen[bytes]:
    command = [*start, *_as_user(), _program("postgres"), "-D", f"{folder}/data", "-k", str(folder)]
    settings = {"listen_addresses": "", "fsync": "on", "max_connections": "200"}
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)


def _as_user() -> list[str]:
    """It ends with us, however we end."""
    command = ["setpriv", "--pdeathsig", "QUIT"]
    if os.geteuid() == 0:
        command += ["--reuid", _USER, "--regid", _USER, "--clear-groups"]
    return command


def _program(name: str) -> str:
    folders = [Path("/usr/lib/postgresql", version, "bin") for version in _versions()]
    if asked := shutil.which("pg_config"):
        told = subprocess.run([asked, "--bindir"], capture_output=True, text=True, check=True)
        folders.insert(0, Path(told.stdout.strip()))
    for folder in folders:
        if (folder / name).exists():
            return str(folder / name)
    raise RuntimeError(_MISSING)


def _versions() -> list[str]:
    folder = Path("/usr/lib/postgresql")
    found = [path.name for path in folder.iterdir()] if folder.exists() else []
    return sorted(found, key=int, reverse=True)
