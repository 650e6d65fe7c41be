"""SQLite the way that an issuer needs it.

WAL with synchronous=FULL: a committed row survives a power cut, and readers never wait for the
writer. Migrations run in one transaction each; ``PRAGMA user_version`` counts them.
"""

import sqlite3
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from featward_ca.errors import StoreError
from featward_ca.store import schema
from featward_ca.store.faults import explain

# How long a statement waits for another process that holds the file (a backup, a second CA by
# mistake).
_BUSY_MILLISECONDS = 5000
# What one connection may keep in memory. Serials and the like are random, so that every row touches a page
# of each index, and SQLite's own 2 MB are too little from some thousand clients on.
_CACHE_KB = 32 * 1024
# After so many pages (16 MB) the log is copied into the file; pages that were written several times in between
# are copied once.
_CHECKPOINT_PAGES = 4000


def open_engine(url: URL) -> Engine:
    """Open or create the file, 0600, with the newest schema. Raises ConfigurationError or
    StoreError.
    """
    file = Path(url.database or "")
    try:
        file.touch(mode=0o600)
    except OSError as error:
        raise StoreError(f"the store {file} can't be opened: {error.strerror}") from error
    engine = create_engine(url, poolclass=QueuePool, connect_args={"check_same_thread": False})
    event.listen(engine, "connect", _prepare_connection)
    event.listen(engine, "begin", _begin)
    try:
        _migrate(engine, file)
    except SQLAlchemyError as error:
        engine.dispose()
        raise StoreError(f"the store {file} can't be opened: {explain(error)}") from error
    except sqlite3.Error as error:
        engine.dispose()
        raise StoreError(
            f"the store {file} can't be brought up to date: {explain(error)}"
        ) from error
    except BaseException:
        engine.dispose()
        raise
    return engine


def _prepare_connection(connection: sqlite3.Connection, _record: object) -> None:
    # Transactions are ours to open (see _begin): the driver's own would not begin before the first
    # write.
    connection.isolation_level = None
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        f"cache_size = -{_CACHE_KB}",
        f"wal_autocheckpoint = {_CHECKPOINT_PAGES}",
        "foreign_keys = ON",
        f"busy_timeout = {_BUSY_MILLISECONDS}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # Readers take part in no lock order; the one writer takes the write lock at once.
    write = connection.get_execution_options().get("featward_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _migrate(engine: Engine, file: Path) -> None:
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)  # noqa: S101  # the engine was made for SQLite
        (have,) = raw.execute("PRAGMA user_version").fetchone()
        for number, script in schema.since(have, "sqlite", str(file)):
            try:
                raw.executescript(
                    f"BEGIN IMMEDIATE;{script};PRAGMA user_version = {number};COMMIT;"
                )
            except sqlite3.Error:
                if raw.in_transaction:
                    raw.execute("ROLLBACK")
                raise
