"""Statements over the one row that says whether anything may be signed: the halt, and the latest
time at which something was.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, bindparam, select, update

from featward_ca.store import tables

# Made once: to build a statement costs more than to run it.
_READ = select(tables.issuance)
_RAISE = (
    update(tables.issuance)
    .where(tables.issuance.c.clock_high < bindparam("now"))
    .values(clock_high=bindparam("now"))
)


@dataclass(frozen=True)
class Halted:
    """Since when, by whom and why nothing is issued."""

    since: float
    by: str
    reason: str


@dataclass(frozen=True)
class IssuanceRow:
    """`clock_high`: Unix seconds of the newest intent, less a moment; 0 before the first."""

    halted: Halted | None
    clock_high: float


def read(connection: Connection) -> IssuanceRow:
    """What holds at this moment."""
    row = connection.execute(_READ).one()
    halted = None
    if row.halted_at is not None:
        halted = Halted(row.halted_at, row.halted_by or "", row.reason or "")
    return IssuanceRow(halted, row.clock_high)


def halt(connection: Connection, halted: Halted) -> bool:
    """Stop issuing; False when it was stopped before, and then the first reason that was given stays."""
    table = tables.issuance
    fresh = update(table).where(table.c.halted_at.is_(None))
    changed = connection.execute(
        fresh.values(halted_at=halted.since, halted_by=halted.by, reason=halted.reason)
    )
    if changed.rowcount == 1:
        return True
    unexplained = update(table).where(table.c.reason == "")
    connection.execute(unexplained.values(reason=halted.reason))
    return False


def resume(connection: Connection) -> bool:
    """Issue again; False when it was not stopped."""
    stopped = update(tables.issuance).where(tables.issuance.c.halted_at.is_not(None))
    changed = connection.execute(stopped.values(halted_at=None, halted_by=None, reason=None))
    return changed.rowcount == 1


def raise_clock(connection: Connection, now: float) -> None:
    """Remember that something is signed at this moment."""
    connection.execute(_RAISE, {"now": now})
