"""What must not be forgotten when a backup takes the place of a store: whom nobody accepts any more.

A backup that was made before an authority was revoked would announce it again.
"""

from collections.abc import Collection
from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select, update

from featward_ca.rotation.states import State
from featward_ca.store import tables

_REFUSED = (State.TAINTED, State.REVOKED)


@dataclass(frozen=True)
class Carried:
    """Of the store before: its sequence, its bans, and the state of each authority that was
    tainted or revoked, by the digest of its key.
    """

    sequence: int = 0
    bans: tuple[dict[str, object], ...] = ()
    refused: tuple[tuple[bytes, str], ...] = ()


def read(connection: Connection) -> Carried:
    """All of it."""
    table = tables.authority
    refused = select(table.c.spki_sha256, table.c.state).where(table.c.state.in_(_REFUSED))
    return Carried(
        sequence=int(connection.execute(select(tables.trust.c.sequence)).scalar_one()),
        bans=tuple(dict(row._mapping) for row in connection.execute(select(tables.ban))),
        refused=tuple((row[0], row[1]) for row in connection.execute(refused)),
    )


def write(connection: Connection, carried: Carried) -> None:
    """Apply it to another store of the same environment."""
    known: Collection[tuple[str, str]] = {
        (row.kind, row.value) for row in connection.execute(select(tables.ban))
    }
    for ban in carried.bans:
        if (ban["kind"], ban["value"]) not in known:
            connection.execute(insert(tables.ban).values(ban))
    for digest, state in carried.refused:
        same = tables.authority.c.spki_sha256 == digest
        connection.execute(update(tables.authority).where(same).values(state=state, key=None))


def forget_tokens(connection: Connection) -> None:
    """Those of a backup may have been used since."""
    connection.execute(delete(tables.join_token))
