"""The CA of a mesh that kills itself (SIGKILL) when a rotation comes to a step; see `mortal_ca`."""

import sys
from dataclasses import dataclass
from pathlib import Path

from featward_demo.authority import Authority
from featward_demo.errors import ProgramError
from featward_demo.ports import HOST
from featward_demo.program import Program
from mesh import Mesh
from mortal_ca import DIED

PROGRAM = Path(__file__).with_name("mortal_ca.py")
# On a busy machine a step takes as long as the slowest renewal.
DIES_SECONDS = 120.0


@dataclass
class MortalAuthority(Authority):
    """One CA on the folder of an ordinary one. `fatal`: OWNER:STEP,…, or 0 for one that lives on."""

    fatal: str = "0"
    when: str = "after"

    @classmethod
    def instead_of(cls, ca: Authority) -> "MortalAuthority":
        """Stop that one and be ready to take its place."""
        ca.stop()
        return cls(ca.environment, ca.folder, ca.manifests, ca.log, ca.port, ca.health_port)

    def start(self) -> None:
        """Start it, again too."""
        self.stop()
        arguments = [str(PROGRAM), str(self.data), str(self.manifests), str(self.folder / "kek")]
        arguments += [self.fatal, self.when, self.address, f"{HOST}:{self.health_port}"]
        self._program = Program("the mortal CA", [sys.executable, *arguments], self.log)
        self._program.start()

    @property
    def died_of(self) -> str:
        """At which step it killed itself."""
        return (self.data / DIED).read_text()

    def lives(self) -> bool:
        """Wait until it is healthy, or until it has died of what it was to die of."""
        try:
            self.ready()
        except ProgramError:
            if self.program.alive():
                raise
        return self.program.alive()


def begin(mesh: Mesh, fatal: str, when: str) -> MortalAuthority:
    """The mesh's CA, started again to die at these steps; it may be dead when this returns."""
    assert isinstance(mesh.ca, MortalAuthority)
    mesh.ca.fatal, mesh.ca.when = fatal, when
    mesh.ca.start()
    mesh.ca.lives()
    return mesh.ca
