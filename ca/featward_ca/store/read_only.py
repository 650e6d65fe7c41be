"""Reads an embedded store beside the CA that writes it, one moment of it, without a lock and
without a change.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import SQLAlchemyError

from featward_ca.errors import StoreError


@contextlib.contextmanager
def read_only(file: Path) -> Iterator[Connection]:
    """One moment of the store in this file. Raises StoreError."""
    if not file.is_file():
        raise StoreError(f"there is no store {file}; name the CA's --data")
    engine = create_engine(f"sqlite:///file:{file.absolute()}?mode=ro&uri=true")
    try:
        with engine.connect() as connection:
            # The driver begins no transaction for reading, and SQLite fixes the moment at the first
            # read of one: without both, two queries would see two stores.
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql("SELECT count(*) FROM sqlite_master")
            yield connection
    except SQLAlchemyError as error:
        raise StoreError(f"the store {file} can't be read: {error}") from error
    finally:
        engine.dispose()
