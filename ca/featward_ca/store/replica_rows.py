"""Statements over the processes that are on a store, by the names that they write under."""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from featward_ca.errors import StoreError
from featward_ca.store import audit, svids, tables


@dataclass(frozen=True)
class ReplicaRow:
    """One process. `sequence`: what its own Listeners use."""

    id: str
    started_at: float
    seen_at: float
    sequence: int
    streams: int


# Made once: to build a statement costs more than to run it.
_HERE = (
    select(tables.replica.c.id)
    .where(tables.replica.c.id == bindparam("named"))
    .with_for_update(read=True, key_share=True)
)


def join(connection: Connection, row: ReplicaRow) -> None:
    """Add a process, before anything is written under its name."""
    connection.execute(insert(tables.replica).values(vars(row)))


def beat(connection: Connection, row: ReplicaRow) -> bool:
    """Say that it lives; False if it was removed."""
    values = {"seen_at": row.seen_at, "sequence": row.sequence, "streams": row.streams}
    changed = connection.execute(
        update(tables.replica).where(tables.replica.c.id == row.id).values(values)
    )
    return changed.rowcount == 1


def everybody(connection: Connection) -> list[ReplicaRow]:
    """All that joined and were not removed, the eldest first."""
    table = tables.replica
    rows = connection.execute(select(table).order_by(table.c.started_at, table.c.id))
    return [ReplicaRow(**row._mapping) for row in rows]


def remove(connection: Connection, names: Collection[str]) -> None:
    """Forget these."""
    connection.execute(delete(tables.replica).where(tables.replica.c.id.in_(names)))


def keep_only(connection: Connection, name: str, now: float) -> None:
    """Forget all others, because none of them is there, and end what they had begun."""
    remove(connection, [row.id for row in everybody(connection) if row.id != name])
    close_interrupted(connection, now)


def fence(connection: Connection, name: str) -> None:
    """Let nobody remove this process before the transaction has ended. Raises StoreError if
    somebody has: what it had begun is closed.
    """
    if not is_here(connection, name):
        raise StoreError(
            "the CA was silent for so long that another replica took it for dead and closed what"
            " it had begun; ask again"
        )


def is_here(connection: Connection, name: str) -> bool:
    """Whether nobody has removed this process, nor will before the transaction has ended."""
    return connection.execute(_HERE, {"named": name}).first() is not None


def close_interrupted(connection: Connection, now: float) -> int:
    """End what was begun under names that are not there any more: nobody has received it. Returns
    how many intents that were.
    """
    alive = [row.id for row in everybody(connection)]
    svids.release_interrupted(connection, alive)
    return audit.close_interrupted(connection, now, alive)
