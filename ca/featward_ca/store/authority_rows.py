"""Statements over the authorities, and over the sequence that every change of what is announced
raises.
"""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, insert, select, update

from featward_ca.store import tables


class State(StrEnum):
    """Where an authority is in its life; `old` is replaced but still announced for what it has
    signed.
    """

    PREPARED = "prepared"
    ACTIVE = "active"
    OLD = "old"
    EXPIRED = "expired"


@dataclass(frozen=True)
class AuthorityRow:
    """One authority as stored."""

    id: str
    owner: str
    state: State
    certificate: bytes
    spki_sha256: bytes
    path_prefix: str | None
    not_before: int
    not_after: int
    announced_at: float
    activated_at: float | None
    key: bytes | None


def add(connection: Connection, row: AuthorityRow) -> None:
    """Store a new authority and raise the sequence."""
    connection.execute(insert(tables.authority).values(vars(row)))
    _raise_sequence(connection)


def announced(connection: Connection) -> list[AuthorityRow]:
    """All that have not expired, oldest first."""
    query = select(tables.authority).where(tables.authority.c.state != State.EXPIRED)
    rows = connection.execute(
        query.order_by(tables.authority.c.announced_at, tables.authority.c.id)
    )
    return [AuthorityRow(**{**row._mapping, "state": State(row.state)}) for row in rows]


def activate(connection: Connection, row: AuthorityRow, now: float) -> None:
    """Make this one the owner's active authority; the one before becomes old."""
    table = tables.authority
    same_owner = (table.c.owner == row.owner) & (table.c.state == State.ACTIVE)
    connection.execute(update(table).where(same_owner).values(state=State.OLD))
    connection.execute(
        update(table).where(table.c.id == row.id).values(state=State.ACTIVE, activated_at=now)
    )


def expire(connection: Connection, row: AuthorityRow) -> None:
    """Take an authority out of the scope table, forget its key and raise the sequence."""
    changes = {"state": State.EXPIRED, "key": None}
    connection.execute(
        update(tables.authority).where(tables.authority.c.id == row.id).values(changes)
    )
    _raise_sequence(connection)


def sequence(connection: Connection) -> int:
    """The sequence of what is announced now."""
    return int(connection.execute(select(tables.trust.c.sequence)).scalar_one())


def _raise_sequence(connection: Connection) -> None:
    connection.execute(update(tables.trust).values(sequence=tables.trust.c.sequence + 1))
