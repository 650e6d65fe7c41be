"""Statements that are run for every SVID: compiled once by SQLAlchemy for the database, then handed
to the driver.

For a statement with many rows SQLAlchemy goes through the parameters of each row anew, which costs more than
the database does. Everything else is left to it: connections, transactions, errors.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from sqlalchemy import CursorResult, Dialect, Table, UpdateBase, insert
from sqlalchemy.engine import Connection

# The values of one row, in the order of the names that the statement was made with.
Row = tuple[Any, ...]
# A statement's text and what makes the driver's parameters from a row.
_Compiled = tuple[str, Callable[[Row], Any]]


class Prepared:
    """A statement for many rows. `names`: of its parameters, in the order in which rows hold them. `statement`
    makes it for the dialect of that name.
    """

    def __init__(self, statement: Callable[[str], UpdateBase], names: Sequence[str]) -> None:
        self._statement = statement
        self._names = tuple(names)
        self._compiled: dict[str, _Compiled] = {}

    def run(self, connection: Connection, rows: Sequence[Row]) -> CursorResult[Any] | None:
        """Run it for each row; None when there is none. Values go to the driver as they are."""
        if not rows:
            return None
        dialect = connection.dialect
        found = self._compiled.get(dialect.name)
        if found is None:
            found = self._compiled[dialect.name] = self._compile(dialect)
        text, arranged = found
        return connection.exec_driver_sql(text, [arranged(row) for row in rows])

    def _compile(self, dialect: Dialect) -> _Compiled:
        sql = self._statement(dialect.name).compile(dialect=dialect, column_keys=list(self._names))
        # What the statement itself says, such as the 1 in "held = 1", is a parameter too.
        own = {name: value for name, value in sql.params.items() if name not in self._names}
        if sql.positiontup is None:
            return sql.string, lambda row: dict(zip(self._names, row, strict=True)) | own
        return sql.string, _in_order(sql.positiontup, self._names, own)


def _in_order(
    wanted: Sequence[str], names: tuple[str, ...], own: dict[str, Any]
) -> Callable[[Row], Row]:
    """From a row in the order of `names` to one in the order that the driver wants."""
    if tuple(wanted) == names:
        return lambda row: row
    all_names = (*names, *own)
    places, values = [all_names.index(name) for name in wanted], tuple(own.values())

    def arranged(row: Row) -> Row:
        everything = row + values
        return tuple([everything[place] for place in places])

    return arranged


def inserted(table: Table, row: type) -> Prepared:
    """Adds rows with the fields of this dataclass, in their order."""
    return Prepared(lambda _: insert(table), names_of(row))


def names_of(row: type) -> list[str]:
    """The fields of a dataclass."""
    return [field.name for field in fields(row)]
