"""Statements over the authorities, and over the sequence that every change of what is announced
raises.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, insert, select, update

from featward_ca.rotation.states import ANNOUNCED, State
from featward_ca.store import changes, tables
from featward_ca.store.words import word

__all__ = [
    "AuthorityRow",
    "State",
    "add",
    "announced",
    "any_made",
    "change",
    "find",
    "give_up",
    "keep_key",
    "newest",
    "next_generation",
    "of_state",
    "raise_sequence",
    "sequence",
    "signed_by",
    "with_key",
]


_COMING = (State.REQUESTED, State.PREPARED)


@dataclass(frozen=True)
class AuthorityRow:
    """One authority as stored; `certificate` is None while it is only requested."""

    id: str
    owner: str
    generation: int
    issuer: str | None
    state: State
    certificate: bytes | None
    spki_sha256: bytes
    path_prefix: str | None
    not_before: int
    not_after: int
    csr: bytes | None = None
    announced_at: float | None = None
    announced_sequence: int | None = None
    activated_at: float | None = None
    activated_sequence: int | None = None
    tainted_at: float | None = None
    tainted_sequence: int | None = None
    revoked_at: float | None = None
    key: bytes | None = None

    @property
    def der(self) -> bytes:
        """The certificate of one that has one."""
        assert self.certificate is not None, self.id  # noqa: S101  # a CHECK of the table
        return self.certificate


def add(connection: Connection, row: AuthorityRow) -> None:
    """Store a new authority."""
    connection.execute(insert(tables.authority).values(vars(row)))


def next_generation(connection: Connection, owner: str) -> int:
    """The number that an owner's next authority gets."""
    newest = select(func.max(tables.authority.c.generation)).where(
        tables.authority.c.owner == owner
    )
    return int(connection.execute(newest).scalar_one() or 0) + 1


def announced(connection: Connection) -> list[AuthorityRow]:
    """All that everybody is told of, oldest first."""
    query = select(tables.authority).where(_in_state(ANNOUNCED))
    rows = connection.execute(
        query.order_by(tables.authority.c.announced_at, tables.authority.c.id)
    )
    return [_row(row) for row in rows]


def of_state(connection: Connection, *states: State) -> list[AuthorityRow]:
    """All in these states, in the order in which they were made."""
    table = tables.authority
    query = select(table).where(_in_state(states))
    return [_row(row) for row in connection.execute(query.order_by(table.c.generation, table.c.id))]


def of_owner(connection: Connection, owner: str) -> list[AuthorityRow]:
    """All that an owner ever had."""
    query = select(tables.authority).where(tables.authority.c.owner == owner)
    return [_row(row) for row in connection.execute(query)]


def find(connection: Connection, authority: str) -> AuthorityRow | None:
    """The authority of this id."""
    query = select(tables.authority).where(tables.authority.c.id == authority)
    row = connection.execute(query).one_or_none()
    return _row(row) if row else None


def newest(connection: Connection, owner: str, generation: int = 0) -> AuthorityRow | None:
    """An owner's authority of this generation; 0: the newest."""
    table = tables.authority
    query = select(table).where(table.c.owner == owner)
    if generation:
        query = query.where(table.c.generation == generation)
    row = connection.execute(query.order_by(table.c.generation.desc()).limit(1)).first()
    return _row(row) if row else None


def signed_by(connection: Connection, root: str) -> list[AuthorityRow]:
    """What a root has signed, whatever has become of it."""
    query = select(tables.authority).where(tables.authority.c.issuer == root)
    return [_row(row) for row in connection.execute(query)]


def every(connection: Connection) -> list[AuthorityRow]:
    """All that there ever were, in whichever state, oldest first."""
    rows = connection.execute(
        select(tables.authority).order_by(tables.authority.c.not_before, tables.authority.c.id)
    )
    return [_row(row) for row in rows]


def chain(connection: Connection, authority_id: str) -> list[AuthorityRow]:
    """An authority and those above it, as far as they are stored."""
    known = {row.id: row for row in every(connection)}
    found: list[AuthorityRow] = []
    row = known.get(authority_id)
    while row is not None:
        found.append(row)
        row = known.pop(row.issuer, None) if row.issuer else None
    return found


def any_made(connection: Connection) -> bool:
    """Whether there ever was an authority with a certificate."""
    made = tables.authority.c.certificate.is_not(None)
    return (
        connection.execute(select(tables.authority.c.id).where(made).limit(1)).first() is not None
    )


def change(connection: Connection, authority: str, **values: object) -> None:
    """Write some columns of one authority, and let replicas know."""
    table = tables.authority
    connection.execute(update(table).where(table.c.id == authority).values(values))
    changes.mark(connection)


def give_up(connection: Connection, owner: str | None, now: float) -> int:
    """Forget the keys of all that is announced, or of one owner's. Certificates that are in force
    stay announced, because SVIDs under them are; returns how many there were.
    """
    rows = [row for row in announced(connection) if owner in (None, row.owner)]
    table = tables.authority
    for row in rows:
        values = {"state": _given_up(row, now), "key": None}
        connection.execute(update(table).where(table.c.id == row.id).values(values))
    mine = table.c.state == State.REQUESTED
    waiting = mine if owner is None else mine & (table.c.owner == owner)
    connection.execute(update(table).where(waiting).values(state=State.RETIRED, key=None))
    raise_sequence(connection)
    return len(rows)


def _given_up(row: AuthorityRow, now: float) -> State:
    if row.state is State.TAINTED:
        return row.state
    return State.OLD if row.not_after > now else State.EXPIRED


def with_key(connection: Connection) -> list[tuple[str, bytes]]:
    """The id and the encrypted key of each authority that has one."""
    table = tables.authority
    rows = connection.execute(select(table.c.id, table.c.key).where(table.c.key.is_not(None)))
    return [(row.id, row.key) for row in rows]


def keep_key(connection: Connection, name: str, key: bytes) -> None:
    """Replace an encrypted key."""
    table = tables.authority
    connection.execute(update(table).where(table.c.id == name).values(key=key))


def sequence(connection: Connection) -> int:
    """The sequence of what is announced now."""
    return int(connection.execute(select(tables.trust.c.sequence)).scalar_one())


def raise_sequence(connection: Connection) -> int:
    """Count one change of what is announced; the sequence that it has."""
    connection.execute(update(tables.trust).values(sequence=tables.trust.c.sequence + 1))
    changes.mark(connection)
    return sequence(connection)


def _in_state(states: Collection[State]) -> ColumnElement[bool]:
    """Those, and what no version wrote, which raises StoreError as it is read: to pass such a row
    over would have another authority made in its place.
    """
    return tables.authority.c.state.not_in(sorted(set(State) - set(states)))


def _row(row: Row[Any]) -> AuthorityRow:
    return AuthorityRow(**{**row._mapping, "state": word(State, row.state, "authority", row.id)})
