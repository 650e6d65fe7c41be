"""PostgreSQL the way that an issuer with replicas needs it.

A commit is on its disk before it is answered, nothing waits for ever, and replicas that start at
the same moment bring the schema up to date one after the other.
"""

import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Connection, Engine, create_engine, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.pool import NullPool, QueuePool

from featward.logs import fields
from featward_ca.errors import ConfigurationError, StoreError
from featward_ca.store import schema
from featward_ca.store.faults import explain

if TYPE_CHECKING:
    import psycopg

_log = logging.getLogger(__name__)
_DRIVER = "postgresql+psycopg"
_CONNECTIONS = 8
# Of the session: nothing waits for ever for a lock, and a replica that hangs inside of a
# transaction loses its locks.
_LIMITS = (
    "-c statement_timeout=30s -c lock_timeout=10s -c idle_in_transaction_session_timeout=30s"
    " -c timezone=UTC"
)
_CONNECT: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
    "application_name": "featward-ca",
}
# Any number that nobody else locks in this database.
_MIGRATION_LOCK = 0x66656174
_CHANNEL = "featward_trust"
_LISTEN_AGAIN_SECONDS = 1.0
# How soon a listener that is told to stop notices.
_LISTEN_SECONDS = 0.5


def open_engine(url: URL) -> Engine:
    """Connect, and bring the schema up to date. Raises ConfigurationError or StoreError."""
    where = url.render_as_string(hide_password=True)
    engine = _engine(
        _complete(url),
        poolclass=QueuePool,
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_pre_ping=True,
    )
    try:
        with engine.begin() as connection:
            _migrate(connection, where)
            _check_durable(connection)
    except SQLAlchemyError as error:
        engine.dispose()
        raise StoreError(f"the store {where} can't be opened: {explain(error)}") from error
    except BaseException:
        engine.dispose()
        raise
    return engine


def open_reader(url: URL) -> Engine:
    """Connect to read alone: every transaction sees one moment, and PostgreSQL refuses to write in
    it. The schema is taken as it is. Raises ConfigurationError.
    """
    return _engine(
        url.set(drivername=_DRIVER),
        poolclass=NullPool,
        isolation_level="REPEATABLE READ",
        execution_options={"postgresql_readonly": True},
    )


def _engine(url: URL, **options: Any) -> Engine:
    try:
        return create_engine(url, connect_args=_CONNECT, **options)
    except ModuleNotFoundError as error:
        raise ConfigurationError(
            "a store in PostgreSQL needs psycopg: pip install 'featward[postgresql]'"
        ) from error


def _complete(url: URL) -> URL:
    """With the one driver that is meant, and our limits before what the user wants."""
    given = url.query.get("options", "")
    wanted = given if isinstance(given, str) else " ".join(given)
    return url.set(drivername=_DRIVER).update_query_dict({"options": f"{_LIMITS} {wanted}".strip()})


def _migrate(connection: Connection, where: str) -> None:
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _MIGRATION_LOCK})
    known = connection.execute(text("SELECT to_regclass('schema_version')")).scalar_one()
    have = (
        connection.execute(text("SELECT version FROM schema_version")).scalar_one() if known else 0
    )
    for number, script in schema.since(have, "postgresql", where):
        # The driver's own way, because the one with parameters takes a single statement.
        raw = connection.connection.driver_connection
        assert raw is not None  # noqa: S101  # it is open
        raw.execute(script)
        connection.execute(text("UPDATE schema_version SET version = :n"), {"n": number})


def _check_durable(connection: Connection) -> None:
    for setting in ("fsync", "synchronous_commit"):
        value = connection.execute(
            text("SELECT current_setting(:name)"), {"name": setting}
        ).scalar_one()
        if value == "off":
            raise ConfigurationError(
                f"PostgreSQL has {setting} = off, so that a power cut could take back what the CA"
                " has signed; switch it on for the CA's database"
            )


class Notifications:
    """Listens for changes of the trust on a connection of its own; see `changes.Listening`."""

    def __init__(self, url: URL) -> None:
        self._url = _complete(url)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, changed: Callable[[], None]) -> None:
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._keep_listening, args=(changed,), name="store-listen", daemon=True
            )
            self._thread.start()

    def stop(self) -> None:
        self._stopping.set()
        if self._thread:
            self._thread.join()

    def _keep_listening(self, changed: Callable[[], None]) -> None:
        import psycopg

        while not self._stopping.is_set():
            try:
                with self._connection() as connection:
                    connection.execute(f"LISTEN {_CHANNEL}")
                    # Whatever happened while nobody listened.
                    changed()
                    while not self._stopping.is_set():
                        if any(True for _ in connection.notifies(timeout=_LISTEN_SECONDS)):
                            changed()
            except psycopg.Error as error:
                said = " ".join(str(error).split())
                _log.error("not listening to the store", extra=fields(error=said))
                self._stopping.wait(_LISTEN_AGAIN_SECONDS)

    @contextlib.contextmanager
    def _connection(self) -> Iterator["psycopg.Connection[Any]"]:
        engine = create_engine(
            self._url, poolclass=NullPool, connect_args=_CONNECT, isolation_level="AUTOCOMMIT"
        )
        connection = engine.raw_connection()
        try:
            driver = connection.driver_connection
            assert driver is not None  # noqa: S101  # it was made just now
            yield driver
        finally:
            connection.invalidate()
            connection.close()
