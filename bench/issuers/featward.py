"""featward's CA as it is run, on a copy of the enrolled data directory."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from subprocess import Popen

from issuers.world import World
from sidebyside.proxies import pinned
from sidebyside.world import running


@dataclass(frozen=True)
class Ca:
    """One CA, which may be started several times."""

    world: World
    data: Path
    port: int
    health: int
    core: int | None

    @property
    def address(self) -> str:
        """Where clients connect with TLS."""
        return f"127.0.0.1:{self.port}"

    @property
    def socket(self) -> Path:
        """Where the kernel says who connects."""
        return self.data / "w.sock"

    @contextmanager
    def started(self) -> Iterator[Popen[bytes]]:
        """The CA, while the block runs."""
        command = [str(Path(sys.executable).parent / "featward"), "ca", "serve"]
        command += ["--environment", "prod", "--data", str(self.data)]
        command += ["--manifests", str(self.world.manifests), "--kek-file", str(self.world.kek)]
        command += ["--listen", self.address, "--workload-socket", str(self.socket)]
        command += ["--health", f"127.0.0.1:{self.health}"]
        log = self.world.folder / "ca.log"
        with running(pinned(command, self.core), log, self.port) as process:
            yield process
