"""The CA of one environment as a program: started, asked for tokens, and for certificates in files."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from featward_demo.calls import Identity
from featward_demo.command_line import ask, command, run
from featward_demo.ports import HOST
from featward_demo.program import Program, answers


@dataclass
class Authority:
    """One ``featward ca serve``."""

    environment: str
    folder: Path
    manifests: Path
    log: Path
    port: int
    health_port: int
    # Lifetimes of seconds, so that renewals can be watched. Never for anything real.
    short_lives: bool = False
    # More options of `featward ca serve`.
    options: Sequence[str] = ()
    _program: Program | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """Where workloads connect."""
        return f"{HOST}:{self.port}"

    @property
    def data(self) -> Path:
        """Its database and sockets."""
        return self.folder / "data"

    def start(self) -> None:
        """Start it, again too; `ready` waits."""
        self.stop()
        self.data.mkdir(mode=0o700, parents=True, exist_ok=True)
        options = ["--environment", self.environment, "--manifests", str(self.manifests)]
        options += ["--data", str(self.data), "--kek-file", str(self.folder / "kek")]
        options += ["--listen", self.address, "--health", f"{HOST}:{self.health_port}"]
        options += ["--unsafe-short-lives"] if self.short_lives else []
        options += self.options
        name = f"the CA of {self.environment}"
        self._program = Program(name, [command(), "ca", "serve", *options], self.log)
        self._program.start()

    def ready(self) -> float:
        """Wait until it is healthy; returns for how long."""
        return self.program.wait_until(lambda: answers(HOST, self.health_port, "/healthz"))

    def restart(self) -> None:
        """Start it again with what it left behind, and wait until it is healthy."""
        self.start()
        self.ready()

    @property
    def program(self) -> Program:
        """The running process, for tests that hurt it."""
        assert self._program is not None  # noqa: S101  started before
        return self._program

    def stop(self) -> None:
        """End it."""
        if self._program is not None:
            self._program.stop()

    def token(self, workload: str, file: Path) -> Path:
        """A join token for a workload, in a file that only we can read."""
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(run("ca", "token", "create", "--workload", workload, "--data", self.data))
        return file

    def identity(self, workload: str, folder: Path) -> Identity:
        """A certificate for a workload that has no sidecar, in files."""
        token = self.token(workload, folder / "token")
        got = ask("ca", "fetch-svid", "--ca", self.address, "--token-file", token, "--out", folder)
        return Identity(got["spiffe_id"], Path(got["key"]), Path(got["svid"]), Path(got["bundle"]))
