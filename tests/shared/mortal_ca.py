"""A real CA that kills itself (SIGKILL) just before or just after its n-th commit: a program of its own.

    python mortal_ca.py DATA MANIFESTS KEK N before|after

Commits count from the moment at which the file `armed` stands in the data folder. 0 never kills. The product
has no hook for this: its store is wrapped from outside.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from featward_ca import server
from featward_ca.settings import ServeSettings
from featward_ca.store.engines import open_store
from featward_ca.store.store import Connection, Store

_Result = TypeVar("_Result")
COUNTED = "commits"


@dataclass
class MortalStore:
    """The store that it wraps, until the fatal commit."""

    living: Store
    folder: Path
    fatal: int
    when: str
    commits: int = 0

    @property
    def kind(self) -> str:
        return self.living.kind

    @property
    def replica(self) -> str:
        return self.living.replica

    async def run(self, work: Callable[[Connection], _Result]) -> _Result:
        mine = self._count()
        result = await self.living.run(work)
        self._die(mine, "after")
        return result

    async def read(self, query: Callable[[Connection], _Result]) -> _Result:
        return await self.living.read(query)

    async def exclusive(self, work: Callable[[Connection], _Result]) -> _Result:
        mine = self._count()
        result = await self.living.exclusive(work)
        self._die(mine, "after")
        return result

    def close(self) -> None:
        self.living.close()

    def _count(self) -> int:
        if not (self.folder / "armed").exists():
            return 0
        self.commits += 1
        (self.folder / COUNTED).write_text(str(self.commits))
        self._die(self.commits, "before")
        return self.commits

    def _die(self, mine: int, when: str) -> None:
        if self.fatal and mine == self.fatal and when == self.when:
            os.kill(os.getpid(), signal.SIGKILL)


def main() -> None:
    """Serve until SIGTERM, or until the fatal commit."""
    data, manifests, kek = (Path(argument) for argument in sys.argv[1:4])
    fatal, when = int(sys.argv[4]), sys.argv[5]
    setattr(  # noqa: B010  # not the module's to export
        server, "open_store", lambda url: MortalStore(open_store(url), data, fatal, when)
    )
    settings = ServeSettings(
        environment="prod",
        data=data,
        manifests=manifests,
        kek_file=kek,
        listen="127.0.0.1:0",
        workload_socket=None,
        admin_socket=data / "admin.sock",
        health=None,
        unsafe_short_lives=True,
    )
    asyncio.run(server.serve(settings, lambda _: print("ready", flush=True)))


if __name__ == "__main__":
    main()
