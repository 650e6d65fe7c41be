"""Statements over namespaces and the business units that they were first seen with."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, Executable, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from featward_ca.store import tables

_table = tables.namespace_pin
# Made once: to build a statement costs more than to run it.
_FIND = (
    select(_table.c.business_unit)
    .where(_table.c.cluster == bindparam("of_cluster"))
    .where(_table.c.namespace == bindparam("named"))
)


@dataclass(frozen=True)
class PinRow:
    """One namespace of one cluster."""

    cluster: str
    namespace: str
    business_unit: str
    pinned_at: float


def find(connection: Connection, cluster: str, namespace: str) -> str | None:
    """The business unit that a namespace is pinned to."""
    of = {"of_cluster": cluster, "named": namespace}
    unit: str | None = connection.execute(_FIND, of).scalar_one_or_none()
    return unit


def pin(connection: Connection, row: PinRow) -> str:
    """Pin a namespace, unless it is pinned; returns to what."""
    # Nearly always it is, and a look costs less than an insert that comes to nothing.
    if pinned := find(connection, row.cluster, row.namespace):
        return pinned
    connection.execute(_insert(connection), vars(row))
    found = find(connection, row.cluster, row.namespace)
    return row.business_unit if found is None else found


def move(connection: Connection, row: PinRow) -> None:
    """Pin a namespace anew, whatever it was pinned to."""
    connection.execute(delete(_table).where(_is(row.cluster, row.namespace)))
    connection.execute(_insert(connection), vars(row))


def _insert(connection: Connection) -> Executable:
    """Each database has this statement in a dialect of its own."""
    kind = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement: sqlite.Insert | postgresql.Insert = kind.insert(_table)
    return statement.on_conflict_do_nothing(index_elements=["cluster", "namespace"])


def _is(cluster: str, namespace: str) -> ColumnElement[bool]:
    return (_table.c.cluster == cluster) & (_table.c.namespace == namespace)
