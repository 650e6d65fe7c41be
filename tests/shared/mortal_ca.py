"""A real CA that kills itself (SIGKILL) just before or just after a commit: a program of its own.

    python mortal_ca.py DATA MANIFESTS KEK FATAL before|after [LISTEN HEALTH [STORE]]

FATAL is the number of a commit, which count from the moment at which the file `armed` stands in the data
folder (0 never kills), or OWNER:STEP,…: the first commit that brings the newest rotation of one of these owners
to this step; which it was is written to `died`. STORE is a store's address; without it all is in the data
folder. With it heartbeats are short, since who comes after one that was killed waits for its burial. The
product has no hook for this: its store is wrapped from outside.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from featward_ca import opening, replicas, server
from featward_ca.settings import ServeSettings
from featward_ca.store import pruning, replica_rows
from featward_ca.store.engines import open_store
from featward_ca.store.replica_rows import ReplicaRow
from featward_ca.store.store import Connection, Store

_Result = TypeVar("_Result")
COUNTED = "commits"
DIED = "died"
BEAT_SECONDS = 0.3


@dataclass
class MortalStore:
    """The store that it wraps, until the fatal commit."""

    living: Store
    folder: Path
    fatal: str
    when: str
    commits: int = 0
    # What is written now is a replica's sign of life: those come when they like, and are not counted.
    beating: bool = False
    # Where each owner's rotation stood at the first commit of this process.
    began: dict[str, tuple[str, str]] | None = None

    @property
    def kind(self) -> str:
        return self.living.kind

    @property
    def shared(self) -> bool:
        return self.living.shared

    @property
    def file(self) -> Path | None:
        return self.living.file

    @property
    def replica(self) -> str:
        return self.living.replica

    def rename(self) -> None:
        self.living.rename()

    def changes(self) -> AsyncIterator[int]:
        return self.living.changes()

    async def run(self, work: Callable[[Connection], _Result]) -> _Result:
        return await self._write(self.living.run, work)

    async def read(self, query: Callable[[Connection], _Result]) -> _Result:
        return await self.living.read(query)

    async def exclusive(self, work: Callable[[Connection], _Result]) -> _Result:
        return await self._write(self.living.exclusive, work)

    async def _write(
        self,
        write: Callable[[Callable[[Connection], _Result]], Awaitable[_Result]],
        work: Callable[[Connection], _Result],
    ) -> _Result:
        mine = 0
        if self.began is None:
            self.began = await self.living.read(self._at)

        def watched(connection: Connection) -> _Result:
            nonlocal mine
            self.beating = False
            result = work(connection)
            mine = 0 if self.beating else self._count()
            if self.when == "before":
                self._die_at_step(self._at(connection))
            return result

        result = await write(watched)
        self._die(mine, "after")
        self._die_at_step(await self.living.read(self._at))
        return result

    def _at(self, connection: Connection) -> dict[str, tuple[str, str]]:
        """Each owner's newest rotation, and its step."""
        query = "SELECT owner, id, step FROM rotation ORDER BY started_at"
        return {row[0]: (row[1], row[2]) for row in connection.exec_driver_sql(query)}

    def _die_at_step(self, at: dict[str, tuple[str, str]]) -> None:
        for owner, reached in at.items():
            name = f"{owner}:{reached[1]}"
            if reached != (self.began or {}).get(owner) and name in self.fatal.split(","):
                (self.folder / DIED).write_text(name)
                os.kill(os.getpid(), signal.SIGKILL)

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
        if mine and str(mine) == self.fatal and when == self.when:
            os.kill(os.getpid(), signal.SIGKILL)


async def _nothing(*_: object) -> int:
    return 0


def main() -> None:
    """Serve until SIGTERM, or until the fatal commit."""
    data, manifests, kek = (Path(argument) for argument in sys.argv[1:4])
    fatal, when = sys.argv[4:6]
    listen, health = sys.argv[6:8] or ("127.0.0.1:0", "")
    address = sys.argv[8] if len(sys.argv) > 8 else None
    stores: list[MortalStore] = []

    def mortal(url: str) -> MortalStore:
        stores.append(MortalStore(open_store(url), data, fatal, when))
        return stores[-1]

    def beat(connection: Connection, row: ReplicaRow) -> bool:
        for store in stores:
            store.beating = True
        return replica_rows_beat(connection, row)

    if address:
        replicas.BEAT_SECONDS = BEAT_SECONDS
    setattr(opening, "open_store", mortal)  # noqa: B010  # not the module's to export
    # There is nothing to prune, and it would be counted when it came to it.
    setattr(pruning, "prune", _nothing)  # noqa: B010  # mypy wants the same signature
    replica_rows_beat, replica_rows.beat = replica_rows.beat, beat
    settings = ServeSettings(
        environment="prod",
        data=data,
        manifests=manifests,
        kek_file=kek,
        listen=listen,
        workload_socket=None,
        admin_socket=data / "admin.sock",
        health=health or None,
        unsafe_short_lives=True,
        store_address=address,
    )
    asyncio.run(server.serve(settings, lambda _: print("ready", flush=True)))


if __name__ == "__main__":
    main()
