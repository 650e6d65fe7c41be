"""Opens the store that a URL names. What differs from database to database is asked for here and
answered in the module of each.
"""

from featward_ca.errors import ConfigurationError
from featward_ca.store import postgresql, sqlite
from featward_ca.store.address import parsed
from featward_ca.store.store import Store
from featward_ca.store.threaded import ThreadStore
from featward_ca.store.writer import LoopStore


def open_store(url: str) -> Store:
    """Open or create the store, with the newest schema: ``sqlite:////var/lib/featward/ca.sqlite3``
    or ``postgresql+psycopg://user@host/database``. Raises ConfigurationError or StoreError.
    """
    address = parsed(url)
    match address.get_backend_name():
        case "sqlite" if address.database:
            return LoopStore(sqlite.open_engine(address))
        case "postgresql":
            engine = postgresql.open_engine(address)
            return ThreadStore(engine, postgresql.Notifications(address))
        case name:
            raise ConfigurationError(
                f"a store of the kind {name!r} is not known; write sqlite:////PATH or"
                " postgresql+psycopg://USER@HOST/DATABASE"
            )
