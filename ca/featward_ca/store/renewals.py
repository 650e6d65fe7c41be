"""What decides on renewals, in one statement for all that are asked for at the same moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from featward_ca.store import tables
from featward_ca.store.svids import Cap, LineageRow, SvidRow
from featward_ca.store.words import word

_SUCCESSOR = tables.svid.alias("successor")
# Made once: to build a statement costs more than to run it.
_FIND = (
    select(tables.svid, tables.lineage, _SUCCESSOR)
    .join(tables.lineage, tables.lineage.c.id == tables.svid.c.lineage)
    .outerjoin(_SUCCESSOR, _SUCCESSOR.c.renewed_from == tables.svid.c.serial)
    .where(tables.svid.c.serial.in_(bindparam("serials", expanding=True)))
)
_SVID = [column.name for column in tables.svid.c]
_LINEAGE = [column.name for column in tables.lineage.c]
_LINEAGE_FROM = len(_SVID)
_SUCCESSOR_FROM = _LINEAGE_FROM + len(_LINEAGE)


@dataclass(frozen=True)
class Renewable:
    """An SVID, the client that it belongs to, and what was renewed from it."""

    svid: SvidRow
    lineage: LineageRow
    successor: SvidRow | None


def find(connection: Connection, serials: Sequence[str]) -> dict[str, Renewable]:
    """The SVIDs with these serials (lower-case hex), by serial; what was never issued is absent."""
    rows = connection.execute(_FIND, {"serials": serials})
    return {found.svid.serial: found for found in map(_renewable, rows)}


def _renewable(row: Row[Any]) -> Renewable:
    values: tuple[Any, ...] = tuple(row)
    successor = values[_SUCCESSOR_FROM:]
    lineage = dict(zip(_LINEAGE, values[_LINEAGE_FROM:_SUCCESSOR_FROM], strict=True))
    return Renewable(
        _svid(values[:_LINEAGE_FROM]),
        LineageRow(**lineage),
        None if successor[0] is None else _svid(successor),
    )


def _svid(values: tuple[Any, ...]) -> SvidRow:
    row = dict(zip(_SVID, values, strict=True))
    return SvidRow(**{**row, "cap": word(Cap, row["cap"], "svid", row["serial"])})
