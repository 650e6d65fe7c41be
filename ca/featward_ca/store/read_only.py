"""Reads a store beside the CAs that write it: one moment of it, without a lock that anybody waits
for and without a change, not even of its schema.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine
from sqlalchemy.exc import SQLAlchemyError

from featward_ca.errors import ConfigurationError, StoreError
from featward_ca.store import postgresql
from featward_ca.store.address import parsed
from featward_ca.store.faults import explain

# Of a damaged file; whoever restores a backup needs no more.
_FAULTS = 10
_HEADING = "*** in database main ***"


@contextlib.contextmanager
def read_only(where: Path | str) -> Iterator[Connection]:
    """One moment of the store in this file, or of the database at this address. Raises
    ConfigurationError or StoreError.
    """
    if isinstance(where, Path):
        name, engine = str(where), _embedded(where)
    else:
        url = _database(where)
        name, engine = url.render_as_string(hide_password=True), postgresql.open_reader(url)
    try:
        with engine.connect() as connection:
            if isinstance(where, Path):
                # The driver begins no transaction for reading, and SQLite fixes the moment at the
                # first read of one: without both, two queries would see two stores.
                connection.exec_driver_sql("BEGIN")
                connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
            yield connection
    except SQLAlchemyError as error:
        raise StoreError(f"the store {name} can't be read: {explain(error)}") from error
    finally:
        engine.dispose()


def _embedded(file: Path) -> Engine:
    if not file.is_file():
        raise StoreError(f"there is no store {file}; name the CA's --data")
    return create_engine(f"sqlite:///file:{file.absolute()}?mode=ro&uri=true")


def _database(address: str) -> URL:
    url = parsed(address)
    if url.get_backend_name() != "postgresql":
        raise ConfigurationError(
            f"a store of the kind {url.get_backend_name()!r} is not read by its address; write"
            " postgresql+psycopg://USER@HOST/DATABASE, or --data for a file"
        )
    return url


def damage(connection: Connection) -> list[str]:
    """What is wrong with the file itself, in SQLite's own words; a database has programs of its own
    for that.
    """
    if connection.dialect.name != "sqlite":
        return []
    found = connection.exec_driver_sql(f"PRAGMA integrity_check({_FAULTS})").scalars()
    return [" ".join(one.removeprefix(_HEADING).split()) for one in found if one != "ok"]
