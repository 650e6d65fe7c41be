"""The store of a CA that is stopped, for the commands that change it: nobody else uses it meanwhile,
and of the embedded one a copy is kept.
"""

import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from featward_ca.clock import Clock
from featward_ca.core import lock_data
from featward_ca.errors import ConfigurationError, StoreError
from featward_ca.plurals import counted
from featward_ca.replicas import BEAT_SECONDS, DEAD_LOOKS, Replicas
from featward_ca.settings import embedded_file, embedded_store
from featward_ca.store import audit, copy, environment, replica_rows
from featward_ca.store.audit import Entry, Outcome
from featward_ca.store.engines import open_store
from featward_ca.store.store import Store


@dataclass(frozen=True)
class Stopped:
    """A store whose CA is stopped, and what it belongs to. `interrupted`: how many signatures and
    changes it had begun and not ended, which are closed now.
    """

    store: Store
    trust_domain: str
    clock: Clock
    interrupted: int = 0

    async def note(self, kind: str, detail: str) -> None:
        """One row of the audit table."""
        entry = Entry(
            self.clock.now(),
            self.store.replica,
            secrets.token_hex(8),
            kind,
            "command",
            Outcome.NOTED,
            detail=detail,
        )
        await self.store.run(lambda connection: audit.append(connection, entry))


@contextlib.asynccontextmanager
async def stopped(data: Path, address: str | None, clock: Clock) -> AsyncIterator[Stopped]:
    """The store of a CA that is not running, after a copy of it was laid aside. Raises
    ConfigurationError or StoreError.
    """
    file = embedded_file(data)
    if address is None and not file.exists():
        raise StoreError(
            f"there is no store in {data}; restore a backup (featward ca restore), or begin anew:"
            " featward ca recover store"
        )
    lock = lock_data(data)
    try:
        if address is None:
            _keep_copy(file)
        store = open_store(address or embedded_store(data))
        try:
            found = await store.read(environment.find)
            if found is None:
                raise StoreError("the store belongs to no environment yet; start the CA")
            await _check_alone(store, clock)
            replicas = Replicas(store, clock, lambda: 0)
            interrupted = await replicas.enter()
            try:
                yield Stopped(store, found.trust_domain, clock, interrupted)
            finally:
                await replicas.leave()
        finally:
            store.close()
    finally:
        os.close(lock)


async def _check_alone(store: Store, clock: Clock) -> None:
    since = clock.now() - DEAD_LOOKS * BEAT_SECONDS
    rows = await store.read(replica_rows.everybody) if store.shared else []
    if running := [row.id for row in rows if row.seen_at > since]:
        raise ConfigurationError(
            f"{counted(running, 'replica')} of the CA ran within the last"
            f" {DEAD_LOOKS * BEAT_SECONDS:g} s; stop all of them first"
        )


def _keep_copy(file: Path) -> None:
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    copy.check(file)
    copy.copy(file, file.with_name(f"{file.name}.before-recovery-{stamp}-{secrets.token_hex(2)}"))
