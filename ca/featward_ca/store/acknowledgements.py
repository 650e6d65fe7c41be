"""Statements over what clients say about themselves: what they have learnt, and what they use."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, case, func, select, update

from featward_ca.store import tables
from featward_ca.store.svids import LineageRow


@dataclass(frozen=True)
class Heard:
    """One client's word. `sequence`: what it and its local consumers use, 0 when it did not say;
    `serial`: the SVID in use.
    """

    lineage: str
    sequence: int
    time: float
    replica: str | None
    serial: str | None = None
    version: str | None = None
    clock_offset_ms: int | None = None


def store(connection: Connection, heard: Sequence[Heard]) -> None:
    """Keep the newest word of each client; what it has learnt it does not unlearn."""
    if not heard:
        return
    table = tables.lineage
    said = bindparam("said", type_=table.c.acknowledged_sequence.type)
    newer = table.c.acknowledged_sequence < said
    statement = (
        update(table)
        .where(table.c.id == bindparam("of"))
        .values(
            acknowledged_sequence=case((newer, said), else_=table.c.acknowledged_sequence),
            acknowledged_at=case((newer, bindparam("at")), else_=table.c.acknowledged_at),
            serial_in_use=func.coalesce(bindparam("serial"), table.c.serial_in_use),
            version=func.coalesce(bindparam("software"), table.c.version),
            clock_offset_ms=func.coalesce(bindparam("offset"), table.c.clock_offset_ms),
            seen_at=bindparam("at"),
            replica=bindparam("held_by"),
        )
    )
    connection.execute(statement, [_parameters(one) for one in heard])


def of_serial(connection: Connection, serial: str) -> LineageRow | None:
    """The client to which an SVID was issued."""
    query = (
        select(tables.lineage)
        .join(tables.svid, tables.svid.c.lineage == tables.lineage.c.id)
        .where(tables.svid.c.serial == serial)
    )
    row = connection.execute(query).one_or_none()
    return LineageRow(**row._mapping) if row else None


def of_lineage(connection: Connection, lineage: str) -> LineageRow | None:
    """The client of this lineage."""
    query = select(tables.lineage).where(tables.lineage.c.id == lineage)
    row = connection.execute(query).one_or_none()
    return LineageRow(**row._mapping) if row else None


def _parameters(heard: Heard) -> dict[str, object]:
    return {
        "of": heard.lineage,
        "said": heard.sequence,
        "at": heard.time,
        "serial": heard.serial,
        "software": heard.version,
        "offset": heard.clock_offset_ms,
        "held_by": heard.replica,
    }
