"""One sidecar as a program: its configuration file, its addresses, and what it says of itself."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from featward_demo.command_line import ask, command
from featward_demo.ports import HOST
from featward_demo.program import Program, answers


@dataclass
class Sidecar:
    """One ``featward sidecar run``; a server's with `listen` (and `plain`), a client's with `outbound`."""

    workload: str
    ca: str
    manifests: Path
    # None: the kernel tells the CA who it is.
    token: Path | None
    folder: Path
    log: Path
    health: int
    listen: int | None = None
    plain: int | None = None
    # Feature set to local port.
    outbound: Mapping[str, int] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    # Where apps fetch the identity themselves.
    workload_socket: Path | None = None
    _program: Program | None = field(default=None, repr=False)

    @property
    def configuration(self) -> Path:
        """Its file, for `featward sidecar status --config`."""
        return self.folder / "sidecar.yaml"

    @property
    def record(self) -> Path:
        """The file with its decisions."""
        return self.folder / "record.jsonl"

    def start(self) -> None:
        """Write its configuration and start it, again too; `ready` waits."""
        self.stop()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.configuration.write_text(yaml.safe_dump(self._settings(), sort_keys=False))
        name = f"the sidecar of {self.workload}"
        arguments = [command(), "sidecar", "run", "--config", str(self.configuration)]
        self._program = Program(name, arguments, self.log)
        self._program.start()

    def ready(self) -> float:
        """Wait until it has identity and policy and its listeners are up; returns for how long."""
        return self.program.wait_until(self._can_call)

    def stop(self) -> None:
        """Let it drain and end."""
        if self._program is not None:
            self._program.stop()

    def status(self) -> Any:
        """What `featward sidecar status` says."""
        return ask("sidecar", "status", "--config", self.configuration)

    @property
    def program(self) -> Program:
        """The running process, for tests that hurt it."""
        assert self._program is not None  # noqa: S101  started before
        return self._program

    def _can_call(self) -> bool:
        if not answers(HOST, self.health, "/readyz"):
            return False
        # A client's probe is green with its listeners, so that no app waits for a CA; its first call would be
        # refused until it has an identity and knows where the servers are.
        status = self.status() if self.outbound else {"identity": True, "policy": True}
        return bool(status["identity"] and status["policy"])

    def _settings(self) -> dict[str, Any]:
        settings: dict[str, Any] = {
            "workload": self.workload,
            "manifests": str(self.manifests),
            "ca": self.ca,
            "state": str(self.folder),
            "health": f"{HOST}:{self.health}",
            "log": {"format": "json"},
        }
        if self.token is not None:
            settings["joinTokenFile"] = str(self.token)
        if self.listen is not None:
            settings["server"] = {"listen": f"{HOST}:{self.listen}"}
            settings["record"] = str(self.record)
        if self.plain is not None:
            settings["server"]["plain"] = f"{HOST}:{self.plain}"
        if self.workload_socket is not None:
            settings["workloadSocket"] = str(self.workload_socket)
        if self.limits:
            settings["limits"] = dict(self.limits)
        if self.outbound:
            settings["outbound"] = {name: f"{HOST}:{port}" for name, port in self.outbound.items()}
        return settings
