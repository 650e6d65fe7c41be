"""A box: namespaces of processes, mounts and network in which all of a cluster runs, and with which it ends.

Whoever kills its first process, or the process that has made it, ends all that runs in it, and the kernel takes
down mounts, network and firewall rules. Nothing of it is seen on the machine but processes.
"""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

from cluster import machine
from cluster.machine import Ground

__all__ = ["Box", "open_box"]

_INIT = Path(__file__).with_name("init.py")
_START_SECONDS = 30.0
_STOP_SECONDS = 20.0
# Its number inside is known before the program is there, which then takes the shell's place.
_NOTED = 'echo $$ >"$1" && shift && exec "$@"'


class Box:
    """Starts programs inside, by name, each with a log in the folder; `pid` is its first process, and `port`
    of 127.0.0.1 leads to the API server.
    """

    def __init__(self, folder: Path, ground: Ground, pid: int, port: int) -> None:
        self.folder = folder
        self.ground = ground
        self.pid = pid
        self.port = port
        self._enter = ["nsenter", "--target", str(pid), "--pid", "--mount", "--net", "--"]
        self._started: dict[str, tuple[subprocess.Popen[bytes], list[str]]] = {}

    def start(self, name: str, program: Path | str, *arguments: str) -> None:
        """It runs until it is stopped or the box ends."""
        self._launch(name, [str(program), *arguments])

    def restart(self, name: str) -> None:
        """Start it with the same arguments, after it was stopped or has died."""
        self._launch(name, self._started[name][1])

    def stop(self, name: str, with_signal: Signals = SIGTERM) -> None:
        """Send it a signal, and return when it is gone; killed where it takes too long."""
        process = self._started[name][0]
        self._signal(name, with_signal)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._signal(name, SIGKILL)
            process.wait()

    def run(self, *command: str, text: str = "", seconds: float = 60.0) -> str:
        """A command inside and what it says. Raises RuntimeError with its complaint if it fails."""
        done = subprocess.run(
            [*self._enter, *command], input=text, capture_output=True, text=True, timeout=seconds
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}")
        return done.stdout

    def log(self, name: str) -> Path:
        """What a program says."""
        return self.folder / f"{name}.log"

    def check(self, name: str) -> None:
        """Raises RuntimeError with the end of its log if it doesn't run."""
        status = self._started[name][0].poll()
        if status is not None:
            raise RuntimeError(
                f"{name} has ended with {status}: {self.log(name).read_text()[-2000:]}"
            )

    def wait(self) -> None:
        """Return when all of its programs have ended, as they do with the box."""
        for process, _ in self._started.values():
            process.wait(_STOP_SECONDS)

    def pids(self) -> dict[str, int]:
        """The numbers that programs have inside, by name."""
        return {name: int(self._pid_file(name).read_text()) for name in self._started}

    def _launch(self, name: str, command: list[str]) -> None:
        if name in self._started:
            self._started[name][0].wait(_STOP_SECONDS)
        self._pid_file(name).unlink(missing_ok=True)
        noted = ["sh", "-c", _NOTED, "sh", str(self._pid_file(name))]
        with self.log(name).open("ab") as log:
            process = subprocess.Popen(
                [*self._enter, *noted, *command],
                env=_environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._started[name] = (process, command)

    def _signal(self, name: str, number: Signals) -> None:
        if self._started[name][0].poll() is None:
            self.run("busybox", "kill", f"-{number.value}", str(self.pids()[name]))

    def _pid_file(self, name: str) -> Path:
        return self.folder / f"{name}.pid"


def _environment() -> dict[str, str]:
    """Ours without proxies: there is none in the box, nor a way to one."""
    return {
        name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")
    }


@contextmanager
def open_box(folder: Path, *, keep: bool = False) -> Iterator[Box]:
    """A box, whose logs are in `folder`, until the context or this process ends; with `keep` until its
    process is killed, which machine.owner() knows by the name in `folder/box`.
    """
    machine.require()
    machine.remove_leftovers()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        process = _unshared(folder / "box.log", listening, keep=keep)
        port = listening.getsockname()[1]
    ground = Ground(process.pid)
    box = None
    try:
        ground.make()
        (folder / "box").write_text(ground.name)
        _prepare(process, ground.folder, folder / "box.log")
        box = Box(folder, ground, _child_of(process.pid), port)
        yield box
    except BaseException:
        keep = False
        raise
    finally:
        if not keep and process.poll() is None:
            # Its parent then sees it end, which the kernel lets it only when all others in it have.
            os.kill(box.pid if box else process.pid, SIGKILL)
        for stream in (process.stdin, process.stdout):
            if stream:
                stream.close()
        if not keep:
            process.wait()
            if box:
                box.wait()
            ground.remove()


def _unshared(log: Path, listening: socket.socket, *, keep: bool) -> subprocess.Popen[str]:
    dies = [] if keep else ["setpriv", "--pdeathsig", "KILL"]
    command = ["unshare", "--pid", "--mount", "--net", "--fork", "--kill-child", "--mount-proc"]
    number = listening.fileno()
    with log.open("wb") as complaints:
        return subprocess.Popen(
            [*dies, *command, sys.executable, "-I", _INIT, str(number)],
            pass_fds=[number],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
            start_new_session=True,
        )


def _prepare(process: subprocess.Popen[str], folder: Path, log: Path) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{folder}\n")
    process.stdin.flush()
    if process.stdout.readline() != "ready\n":
        raise RuntimeError(f"no box can be made here: {log.read_text()[-2000:]}")


def _child_of(pid: int) -> int:
    """The first process of the box, by its number outside."""
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end:
        for file in Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = file.read_text().rpartition(")")[2].split()[1]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(parent) == pid:
                return int(file.parent.name)
    raise RuntimeError(f"process {pid} has no child")
