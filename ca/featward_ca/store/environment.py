"""Which environment a store belongs to, and where the sequence of its trust begins."""

from dataclasses import dataclass

from sqlalchemy import Connection, insert, inspect, select, update

from featward_ca.errors import ConfigurationError
from featward_ca.store import tables


@dataclass(frozen=True)
class Bound:
    """What a store belongs to."""

    name: str
    trust_domain: str


def is_store(connection: Connection) -> bool:
    """Whether this database holds the state of a CA that was started, of whatever version."""
    name = tables.environment.name
    return bool(inspect(connection).has_table(name)) and find(connection) is not None


def find(connection: Connection) -> Bound | None:
    """What this store belongs to, if it was ever started with."""
    table = tables.environment
    row = connection.execute(select(table.c.name, table.c.trust_domain)).one_or_none()
    return Bound(row.name, row.trust_domain) if row else None


def bind(connection: Connection, name: str, trust_domain: str, now: float) -> bool:
    """Claim the store for an environment, True at the first start. Raises ConfigurationError if
    it is another's.
    """
    row = connection.execute(select(tables.environment)).one_or_none()
    if row is None:
        connection.execute(
            insert(tables.environment).values(name=name, trust_domain=trust_domain, created_at=now)
        )
    elif (row.name, row.trust_domain) != (name, trust_domain):
        raise ConfigurationError(
            f"the data directory belongs to environment {row.name} with trust domain"
            f" {row.trust_domain}, not to {name} with {trust_domain}; every environment needs a"
            " data directory of its own"
        )
    jump(connection, row.created_at if row else now, now)
    return row is None


def jump(connection: Connection, least: float, now: float) -> None:
    """Where the sequence is below `least`, let it go on from the time of day.

    Sidecars refuse a lower sequence than they have seen, so a store that was lost or restored must
    not begin to count below what it announced before; it never announces once a second for long.
    """
    below = tables.trust.c.sequence < int(least)
    connection.execute(update(tables.trust).where(below).values(sequence=int(max(least, now))))
