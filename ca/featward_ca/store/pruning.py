"""Deletes what nobody will ask for again; an SVID and its lineage, evidence that is over.

Bans and the audit table are never pruned. It is done in small pieces, because others wait for the
writer meanwhile.
"""

from collections.abc import Callable
from functools import partial

from sqlalchemy import Column, ColumnElement, Connection, Table, delete, exists, select

from featward_ca.store import audit, tables
from featward_ca.store.store import Store

_PIECE = 500
# Rows of the audit table in one look, some 25 ms.
_LOOKED_AT = 10_000
# Why and when a certificate was made can still be looked up for a day after the last use of it.
KEPT_SECONDS = 24 * 3600.0


async def prune(store: Store, now: float, grace: float) -> int:
    """Delete what has been over for a day; `grace`: how long after its end an SVID may still be
    renewed. Returns the number of rows. Raises StoreError.
    """
    count = 0
    for piece in _pieces(now, grace):
        while (done := await store.run(piece)) > 0:
            count += done
    return count


async def settle(store: Store, until: int) -> None:
    """Look up to this row of the audit table whether each has its outcome, so that no start has to
    again. Raises StoreError.
    """
    at = await store.read(audit.settled)
    while at < until:
        end = min(until, at + _LOOKED_AT)
        first = await store.read(partial(audit.first_open, after=at, until=end))
        at = end if first is None else first - 1
        await store.run(partial(audit.settle, until=at))
        if first is not None:
            return


def _pieces(now: float, grace: float) -> list[Callable[[Connection], int]]:
    svid, lineage = tables.svid, tables.lineage
    over = svid.c.not_after < now - grace - KEPT_SECONDS
    # One that was begun just now gets its first SVID in the same transaction.
    left = ~exists().where(svid.c.lineage == lineage.c.id)
    return [
        partial(_delete, svid, svid.c.serial, over),
        partial(_delete, lineage, lineage.c.id, left),
        *(
            partial(_delete, table, next(iter(table.primary_key)), table.c.expires_at < now)
            for table in (tables.join_token, tables.jwt_use)
        ),
    ]


def _delete(
    table: Table, key: "Column[object]", over: ColumnElement[bool], connection: Connection
) -> int:
    some = select(key).where(over).limit(_PIECE)
    return connection.execute(delete(table).where(key.in_(some))).rowcount
