"""A real Feast server on loopback: its repository laid out, filled, and served.

It runs stock Feast from an environment of its own; nothing here imports Feast.
"""

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import as_file, files
from pathlib import Path

from featward_demo.errors import ProgramError
from featward_demo.feast_environment import FeastEnvironment
from featward_demo.ports import HOST
from featward_demo.program import Program, answers

# Feast restarts its worker after 1,000 requests by default, which cuts connections under load:
# never here.
SERVE_OPTIONS = ("--max-requests", "0", "--registry_ttl_sec", "3600")
BUILD_SECONDS = 180


@dataclass
class FeastServer:
    """One ``feast serve`` with its repository."""

    environment: FeastEnvironment
    repository: Path
    port: int
    log: Path
    _program: Program | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where it listens, without featward before it."""
        return f"http://{HOST}:{self.port}"

    @property
    def registry(self) -> Path:
        """The registry file that ``feast apply`` wrote."""
        return self.repository / "data" / "registry.db"

    def build(self) -> None:
        """Lay the repository out and fill its registry and its online store."""
        with as_file(files("featward_demo") / "feast_repository") as template:
            shutil.copytree(template, self.repository, ignore=shutil.ignore_patterns("__pycache__"))
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = [str(self.environment.python), "build.py"]
        with self.log.open("ab") as log:
            done = subprocess.run(
                command,
                cwd=self.repository,
                stdout=log,
                stderr=log,
                timeout=BUILD_SECONDS,
                check=False,
            )
        if done.returncode != 0:
            raise ProgramError(f"Feast's repository could not be built; see {self.log}")

    def start(self) -> None:
        """Serve; `ready` waits."""
        command = [str(self.environment.feast), "serve", "--host", HOST, "--port", str(self.port)]
        self._program = Program(
            "Feast",
            [*command, *SERVE_OPTIONS],
            self.log,
            # Where gunicorn lays its control socket; else it is one in the home directory for all.
            environment={"XDG_RUNTIME_DIR": str(self.repository)},
            folder=self.repository,
        )
        self._program.start()

    def ready(self) -> float:
        """Wait until it is healthy; returns for how long."""
        assert self._program is not None  # noqa: S101  started before
        return self._program.wait_until(lambda: answers(HOST, self.port, "/health"))

    def stop(self) -> None:
        """End it."""
        if self._program is not None:
            self._program.stop()

    def requests(self) -> list[str]:
        """What it was asked so far, from its access log.

        ``POST /get-online-features 200``; health left out.
        """
        return [request for request in _accesses(self.log) if not request.startswith("GET /health")]


def _accesses(log: Path) -> Iterator[str]:
    for line in log.read_text(errors="replace").splitlines():
        parts = line.split('"')
        if len(parts) == 3 and parts[1].endswith(("HTTP/1.1", "HTTP/1.0")):
            method, path, _ = parts[1].split(" ", 2)
            yield f"{method} {path} {parts[2].strip()}"
