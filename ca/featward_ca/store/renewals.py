"""What decides on renewals, in one statement for all that are asked for at the same moment."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, bindparam, select

from featward_ca.store import tables
from featward_ca.store.prepared import names_of
from featward_ca.store.svids import Cap, LineageRow, SvidRow
from featward_ca.store.words import word

_SUCCESSOR = tables.svid.alias("successor")
_SVID, _LINEAGE = names_of(SvidRow), names_of(LineageRow)
_CAP = _SVID.index("cap")
_LINEAGE_FROM = len(_SVID)
_SUCCESSOR_FROM = _LINEAGE_FROM + len(_LINEAGE)
# Made once: to build a statement costs more than to run it. The columns stand as the fields of the rows do.
_FIND = (
    select(
        *(tables.svid.c[name] for name in _SVID),
        *(tables.lineage.c[name] for name in _LINEAGE),
        *(_SUCCESSOR.c[name] for name in _SVID),
    )
    .join(tables.lineage, tables.lineage.c.id == tables.svid.c.lineage)
    .outerjoin(_SUCCESSOR, _SUCCESSOR.c.renewed_from == tables.svid.c.serial)
    .where(tables.svid.c.serial.in_(bindparam("serials", expanding=True)))
)


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
    return Renewable(
        _svid(values[:_LINEAGE_FROM]),
        LineageRow(*values[_LINEAGE_FROM:_SUCCESSOR_FROM]),
        None if successor[0] is None else _svid(successor),
    )


def _svid(values: tuple[Any, ...]) -> SvidRow:
    cap = word(Cap, values[_CAP], "svid", values[0])
    return SvidRow(*(*values[:_CAP], cap, *values[_CAP + 1 :]))
