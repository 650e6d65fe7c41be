"""Opens the SQLite file the way that an issuer needs it, and brings its schema up to date.

WAL with synchronous=FULL: a committed row survives a power cut, and readers never wait for the
writer. The whole file is one environment's; opening it for another is refused.
"""

import re
import sqlite3
from importlib import resources
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, insert, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import QueuePool

from featward_ca.errors import ConfigurationError, StoreError
from featward_ca.store import tables

__all__ = ["Connection", "Engine", "SQLAlchemyError", "bind_environment", "open_database"]

# How long a statement waits for another process that holds the file (a backup, a second CA by
# mistake).
_BUSY_MILLISECONDS = 5000


def open_database(file: Path) -> Engine:
    """Open or create the file, 0600, with the newest schema. Raises ConfigurationError or
    StoreError.
    """
    file.touch(mode=0o600)
    engine = create_engine(
        f"sqlite:///{file}", poolclass=QueuePool, connect_args={"check_same_thread": False}
    )
    event.listen(engine, "connect", _prepare_connection)
    event.listen(engine, "begin", _begin)
    try:
        _migrate(engine, file)
    except SQLAlchemyError as error:
        engine.dispose()
        raise StoreError(f"the store {file} can't be opened: {error.__cause__ or error}") from error
    return engine


def bind_environment(connection: Connection, name: str, trust_domain: str, now: float) -> bool:
    """Claim the store for an environment, True at the first start. Raises ConfigurationError if
    it is another's.
    """
    row = connection.execute(select(tables.environment)).one_or_none()
    if row is None:
        connection.execute(
            insert(tables.environment).values(name=name, trust_domain=trust_domain, created_at=now)
        )
        return True
    if (row.name, row.trust_domain) != (name, trust_domain):
        raise ConfigurationError(
            f"the data directory belongs to environment {row.name} with trust domain"
            f" {row.trust_domain}, not to {name} with {trust_domain}; every environment needs a"
            " data directory of its own"
        )
    return False


def _prepare_connection(connection: sqlite3.Connection, _record: object) -> None:
    # Transactions are ours to open (see _begin): the driver's own would not begin before the first
    # write.
    connection.isolation_level = None
    for pragma in (
        "journal_mode = WAL",
        "synchronous = FULL",
        "foreign_keys = ON",
        f"busy_timeout = {_BUSY_MILLISECONDS}",
    ):
        connection.execute(f"PRAGMA {pragma}")


def _begin(connection: Connection) -> None:
    # Readers take part in no lock order; the one writer takes the write lock at once.
    write = connection.get_execution_options().get("featward_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _migrate(engine: Engine, file: Path) -> None:
    """Apply every schema file whose number is higher than the file's ``user_version``, each in
    one transaction.
    """
    scripts = {
        int(re.sub(r"\D", "", path.name)): path
        for path in resources.files(__package__).joinpath("schema").iterdir()
    }
    with engine.connect() as connection:
        raw = connection.connection.driver_connection
        assert isinstance(raw, sqlite3.Connection)  # noqa: S101  # the engine was made for SQLite
        (have,) = raw.execute("PRAGMA user_version").fetchone()
        if have > max(scripts):
            raise ConfigurationError(
                f"the store {file} was written by a newer featward (schema {have}); use that"
                " version"
            )
        for number in sorted(number for number in scripts if number > have):
            raw.executescript(
                f"BEGIN IMMEDIATE;{scripts[number].read_text()};PRAGMA user_version ="
                f" {number};COMMIT;"
            )
