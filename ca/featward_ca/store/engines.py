"""Opens the store that a URL names. What differs from database to database is asked for here and
answered in the module of each.
"""

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from featward_ca.errors import ConfigurationError
from featward_ca.store import postgresql, sqlite
from featward_ca.store.store import Store
from featward_ca.store.threaded import ThreadStore
from featward_ca.store.writer import LoopStore


def open_store(url: str) -> Store:
    """Open or create the store, with the newest schema: ``sqlite:////var/lib/featward/ca.sqlite3``
    or ``postgresql+psycopg://user@host/database``. Raises ConfigurationError or StoreError.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigurationError(f"the store's address can't be read: {error}") from error
    match parsed.get_backend_name():
        case "sqlite" if parsed.database:
            return LoopStore(sqlite.open_engine(parsed))
        case "postgresql":
            engine = postgresql.open_engine(parsed)
            return ThreadStore(engine, postgresql.Notifications(parsed))
        case name:
            raise ConfigurationError(
                f"a store of the kind {name!r} is not known; write sqlite:////PATH or"
                " postgresql+psycopg://USER@HOST/DATABASE"
            )
