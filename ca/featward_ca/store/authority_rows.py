"""Statements over the authorities, and over the sequence that every change of what is announced
raises.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select, update

from featward_ca.rotation.states import ANNOUNCED, State
from featward_ca.store import changes, tables

__all__ = [
    "AuthorityRow",
    "State",
    "activate",
    "add",
    "announced",
    "any_made",
    "expire",
    "give_up",
    "is_overtaken",
    "keep_key",
    "next_generation",
    "raise_sequence",
    "retire",
    "sequence",
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
    query = select(tables.authority).where(tables.authority.c.state.in_(sorted(ANNOUNCED)))
    rows = connection.execute(
        query.order_by(tables.authority.c.announced_at, tables.authority.c.id)
    )
    return [AuthorityRow(**{**row._mapping, "state": State(row.state)}) for row in rows]


def any_made(connection: Connection) -> bool:
    """Whether there ever was an authority."""
    return connection.execute(select(tables.authority.c.id).limit(1)).first() is not None


def is_overtaken(connection: Connection, owner: str, state: State) -> bool:
    """Whether an owner has by now what was to be made for it: an authority in this state, or one
    that will be.
    """
    table = tables.authority
    enough = (*_COMING, State.ACTIVE) if state is State.ACTIVE else _COMING
    found = select(table.c.id).where((table.c.owner == owner) & table.c.state.in_(enough))
    return connection.execute(found.limit(1)).first() is not None


def activate(connection: Connection, row: AuthorityRow, now: float) -> None:
    """Make this prepared one the owner's active authority; the one before becomes old. Nothing
    happens if another replica was faster.
    """
    table = tables.authority
    mine = select(table.c.state).where(table.c.id == row.id).with_for_update()
    if connection.execute(mine).scalar_one() != State.PREPARED:
        return
    changes.mark(connection)
    same_owner = (table.c.owner == row.owner) & (table.c.state == State.ACTIVE)
    connection.execute(update(table).where(same_owner).values(state=State.OLD))
    values = {
        "state": State.ACTIVE,
        "activated_at": now,
        "activated_sequence": sequence(connection),
    }
    connection.execute(update(table).where(table.c.id == row.id).values(values))


def expire(connection: Connection, row: AuthorityRow) -> None:
    """Forget the key of an authority that is over. It stays announced."""
    _end(connection, row, State.EXPIRED)


def retire(connection: Connection, row: AuthorityRow) -> None:
    """Announce an authority no more."""
    if _end(connection, row, State.RETIRED):
        raise_sequence(connection)


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


def _end(connection: Connection, row: AuthorityRow, state: State) -> bool:
    """False if another replica was faster."""
    table = tables.authority
    unchanged = (table.c.id == row.id) & (table.c.state == row.state)
    done = connection.execute(update(table).where(unchanged).values(state=state, key=None))
    return done.rowcount == 1


def sequence(connection: Connection) -> int:
    """The sequence of what is announced now."""
    return int(connection.execute(select(tables.trust.c.sequence)).scalar_one())


def raise_sequence(connection: Connection) -> int:
    """Count one change of what is announced; the sequence that it has."""
    connection.execute(update(tables.trust).values(sequence=tables.trust.c.sequence + 1))
    changes.mark(connection)
    return sequence(connection)
