"""Statements over the bundles of foreign trust domains."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from featward_ca.store import tables


@dataclass(frozen=True)
class ForeignRow:
    """The newest good document of one domain. `refresh_hint` in seconds, as it was asked for;
    `error`: why the last fetch brought no newer one.
    """

    trust_domain: str
    sequence: int
    document: bytes
    refresh_hint: int
    fetched_at: float
    error: str | None = None


def everything(connection: Connection) -> list[ForeignRow]:
    """All of them, by trust domain."""
    query = select(tables.foreign_bundle).order_by(tables.foreign_bundle.c.trust_domain)
    return [ForeignRow(**row._mapping) for row in connection.execute(query)]


def of(connection: Connection, trust_domain: str) -> ForeignRow | None:
    """The newest of one domain."""
    same = tables.foreign_bundle.c.trust_domain == trust_domain
    row = connection.execute(select(tables.foreign_bundle).where(same)).one_or_none()
    return ForeignRow(**row._mapping) if row else None


def put(connection: Connection, row: ForeignRow) -> None:
    """Store a document in place of the one before."""
    same = tables.foreign_bundle.c.trust_domain == row.trust_domain
    if not connection.execute(update(tables.foreign_bundle).where(same).values(vars(row))).rowcount:
        connection.execute(insert(tables.foreign_bundle).values(vars(row)))


def failed(connection: Connection, trust_domain: str, error: str) -> None:
    """Keep why the last fetch failed, beside what was fetched before it."""
    same = tables.foreign_bundle.c.trust_domain == trust_domain
    connection.execute(update(tables.foreign_bundle).where(same).values(error=error))


def keep_only(connection: Connection, trust_domains: Collection[str]) -> list[str]:
    """Forget all other domains; which they were."""
    column = tables.foreign_bundle.c.trust_domain
    query = select(column).where(column.not_in(list(trust_domains)))
    gone = list(connection.execute(query).scalars())
    connection.execute(delete(tables.foreign_bundle).where(column.in_(gone)))
    return gone
