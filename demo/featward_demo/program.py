"""One program that we start, watch until it is ready, and stop.

All programs of the demo (the CA, the sidecars, Feast) go through here, so that none is left running,
not even by a demo that is killed, and each has its log in a file.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from featward_demo import tethered
from featward_demo.errors import ProgramError

# A slow start on a busy machine is no failure; Feast alone imports for ten seconds with two busy
# cores.
READY_SECONDS = 90.0
POLL_SECONDS = 0.05
# More than the ten seconds that a sidecar drains by default.
STOP_SECONDS = 15.0
LOG_LINES_SHOWN = 12


@dataclass
class Program:
    """A command with its log file; `start` it, `wait_until` it is ready, `stop` it."""

    name: str
    command: Sequence[str]
    log: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start it in a process group of its own, so that a Ctrl-C reaches it only through us.

        It gets SIGTERM when the thread that calls this has ended, however that came about.
        """
        if shutil.which(self.command[0]) is None:
            raise ProgramError(f"{self.name} could not be started: no program {self.command[0]}")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        tether = [sys.executable, "-I", "-S", str(tethered.__file__), str(os.getpid())]
        try:
            with self.log.open("ab") as log:
                self._process = subprocess.Popen(
                    [*tether, *self.command],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env={**os.environ, **self.environment},
                    cwd=self.folder,
                    start_new_session=True,
                )
        except OSError as error:
            raise ProgramError(f"{self.name} could not be started: {error}") from error

    @property
    def pid(self) -> int:
        """The process id; raises ProgramError before `start`."""
        return self._running().pid

    def alive(self) -> bool:
        """Whether it was started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], seconds: float = READY_SECONDS) -> float:
        """Wait until `ready()`; returns how long it took.

        Raises ProgramError with the end of the log.
        """
        started = time.monotonic()
        while not ready():
            code = self._running().poll()
            if code is not None:
                raise ProgramError(
                    f"{self.name} ended with status {code} before it was ready{self._tail()}"
                )
            if time.monotonic() - started > seconds:
                raise ProgramError(f"{self.name} was not ready after {seconds:.0f} s{self._tail()}")
            time.sleep(POLL_SECONDS)
        return time.monotonic() - started

    def signal(self, number: signal.Signals) -> None:
        """Send one signal to the process alone."""
        self._running().send_signal(number)

    def wait(self, seconds: float) -> int:
        """Wait for its end; returns the exit status."""
        return self._running().wait(seconds)

    def stop(self, seconds: float = STOP_SECONDS) -> None:
        """Ask it to end, and end its whole group when it does not."""
        if self._process is None:
            return
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                _kill_group(self._process)
        self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise ProgramError(f"{self.name} was not started")
        return self._process

    def _tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES_SHOWN:]
        return (
            f"; the end of {self.log}:\n  " + "\n  ".join(lines)
            if lines
            else f"; {self.log} is empty"
        )


def answers(host: str, port: int, path: str) -> bool:
    """Whether an HTTP server on loopback answers 200 to GET `path` now."""
    connection = HTTPConnection(host, port, timeout=2)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
