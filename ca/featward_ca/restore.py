"""`featward ca restore`: a backup takes the place of the store, or of one that was lost.

What happened since the backup is not in it. So the sequence goes on above all that sidecars may
have seen, no join token of then is good now, and what the store before had revoked stays revoked.
"""

import asyncio
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from featward_ca.clock import Clock
from featward_ca.core import lock_data
from featward_ca.errors import CaError, StoreError
from featward_ca.keys import EncryptedKeyStore, KeyStore
from featward_ca.settings import embedded_file
from featward_ca.stopped import stopped
from featward_ca.store import (
    audit,
    authority_rows,
    carried,
    copy,
    environment,
    replica_rows,
    svids,
)
from featward_ca.store.audit import Entry, Outcome
from featward_ca.store.carried import Carried
from featward_ca.store.engines import open_store
from featward_ca.store.read_only import read_only
from featward_ca.store.store import Connection, Store


@dataclass(frozen=True)
class Restored:
    """What came of it. `aside`: where the store before is now; `lost`: why it could not be read."""

    sequence: int
    join_token_clients: int
    aside: Path | None
    lost: str | None


def restore(file: Path, data: Path, kek: bytes, clock: Clock, *, replace: bool) -> Restored:
    """Put the backup in its place. Raises ConfigurationError or StoreError, and then nothing has
    changed.
    """
    lock = lock_data(data)
    try:
        target = embedded_file(data)
        if target.exists() and not replace:
            raise StoreError(
                f"there is a store in {data} already; --replace moves it aside, and keeps what it"
                " had banned and revoked"
            )
        return _restore(file, target, EncryptedKeyStore(kek), clock)
    finally:
        os.close(lock)


def adopt(address: str, data: Path, kek: bytes, clock: Clock) -> Restored:
    """Do the same to a database that PostgreSQL's own program has filled, of which nothing is known
    but what is in it. Raises ConfigurationError or StoreError, and then nothing has changed.
    """
    with read_only(address) as connection:
        if not environment.is_store(connection):
            raise StoreError(
                "the database holds no store; let pg_restore fill it first, and do not start a CA"
                " on it before"
            )
    return asyncio.run(_adopt(address, data, EncryptedKeyStore(kek), clock))


async def _adopt(address: str, data: Path, keys: KeyStore, clock: Clock) -> Restored:
    async with stopped(data, address, clock) as at:
        sequence, clients = await _go_on(at.store, keys, clock, Carried())
        await at.store.exclusive(lambda c: replica_rows.keep_only(c, at.store.replica, clock.now()))
    return Restored(sequence, clients, None, None)


def _restore(file: Path, target: Path, keys: KeyStore, clock: Clock) -> Restored:
    copy.check(file)
    fresh = target.with_name(f"{target.name}.restoring")
    copy.remove(fresh)
    copy.copy(file, fresh)
    try:
        before, lost = _read_before(target)
        sequence, clients = asyncio.run(
            _adapt(f"sqlite:///{fresh.absolute()}", keys, clock, before)
        )
    except BaseException:
        copy.remove(fresh)
        raise
    aside = move_aside(target) if target.exists() else None
    copy.move(fresh, target)
    return Restored(sequence, clients, aside, lost)


def move_aside(target: Path) -> Path:
    """Rename a store so that its place is free; says where it is now."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = target.with_name(f"{target.name}.{stamp}")
    copy.move(target, aside)
    return aside


def _read_before(target: Path) -> tuple[Carried, str | None]:
    if not target.exists():
        return Carried(), None
    try:
        copy.check(target)
        store = open_store(f"sqlite:///{target.absolute()}")
        try:
            return asyncio.run(_read(store)), None
        finally:
            store.close()
    except CaError as error:
        return Carried(), str(error)


async def _read(store: Store) -> Carried:
    return await store.read(carried.read)


async def _adapt(address: str, keys: KeyStore, clock: Clock, before: Carried) -> tuple[int, int]:
    store = open_store(address)
    try:
        return await _go_on(store, keys, clock, before)
    finally:
        store.close()


async def _go_on(store: Store, keys: KeyStore, clock: Clock, before: Carried) -> tuple[int, int]:
    """Make the past of a store safe to go on from; says the sequence, and how many clients came by
    join token.
    """
    for row in await store.read(authority_rows.announced):
        if row.key is not None:
            keys.load(row.key)
    now = clock.now()
    entry = Entry(now, store.replica, secrets.token_hex(8), "restore", "command", Outcome.NOTED)

    def work(connection: Connection) -> tuple[int, int]:
        carried.write(connection, before)
        carried.forget_tokens(connection)
        environment.jump(connection, max(now, before.sequence + 1), now)
        audit.append(connection, entry)
        return authority_rows.sequence(connection), len(svids.by_join_token(connection, now))

    return await store.exclusive(work)
