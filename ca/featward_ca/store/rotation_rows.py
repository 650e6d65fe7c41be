"""Statements over the journal of rotations and over what happened in each."""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, case, insert, select, update

from featward_ca.errors import StoreError
from featward_ca.rotation.known import Rotation
from featward_ca.rotation.states import OPEN, Kind, Progress, Step
from featward_ca.store import tables
from featward_ca.store.words import word

# What an event is called whose step was taken although somebody stood in its way.
FORCED = "forced"


@dataclass(frozen=True)
class Event:
    """Something that happened in a rotation, at a step."""

    rotation: str
    time: float
    step: Step
    what: str
    detail: str | None = None


def add(connection: Connection, rotation: Rotation) -> None:
    """Open a rotation; the database refuses a second open one of the same owner."""
    connection.execute(insert(tables.rotation).values(_values(rotation)))


def opened(connection: Connection) -> list[Rotation]:
    """All that are not over, oldest first. Raises StoreError for a row that no version wrote."""
    table = tables.rotation
    # And not those that are open, so that such a row is not passed over.
    query = select(table).where(table.c.state.not_in(sorted(set(Progress) - OPEN)))
    return [_rotation(row) for row in connection.execute(query.order_by(table.c.started_at))]


def open_of(connection: Connection, owner: str) -> Rotation | None:
    """What is under way for an owner."""
    return next((one for one in opened(connection) if one.owner == owner), None)


def find(connection: Connection, rotation: str) -> Rotation | None:
    """The rotation of this id."""
    row = connection.execute(
        select(tables.rotation).where(tables.rotation.c.id == rotation)
    ).one_or_none()
    return _rotation(row) if row else None


def latest(connection: Connection, owner: str) -> Rotation | None:
    """What is under way for an owner, else its newest rotation."""
    table = tables.rotation
    is_over = case((table.c.state.in_(sorted(OPEN)), 0), else_=1)
    order = is_over, table.c.started_at.desc()
    query = select(table).where(table.c.owner == owner).order_by(*order)
    row = connection.execute(query.limit(1)).first()
    return _rotation(row) if row else None


def write(connection: Connection, rotation: Rotation) -> None:
    """Store a changed row, as the next version of the one that was read. Raises StoreError when
    somebody was faster.
    """
    table = tables.rotation
    mine = (table.c.id == rotation.id) & (table.c.version == rotation.version)
    values = _values(rotation) | {"version": rotation.version + 1}
    if connection.execute(update(table).where(mine).values(values)).rowcount != 1:
        raise StoreError(f"rotation {rotation.id} was changed by somebody else meanwhile")


def note(connection: Connection, event: Event) -> None:
    """Add what happened."""
    connection.execute(insert(tables.rotation_event).values(asdict(event)))


def events(connection: Connection, rotation: str) -> list[Event]:
    """What happened in a rotation, oldest first."""
    table = tables.rotation_event
    rows = connection.execute(
        select(table).where(table.c.rotation == rotation).order_by(table.c.id)
    )
    return [_event(row) for row in rows]


def forced_since(connection: Connection, since: float) -> list[tuple[str, Event]]:
    """Every step that was forced after a moment, with the owner whose rotation it was of."""
    table, of = tables.rotation_event, tables.rotation
    query = (
        select(of.c.owner, table)
        .join(of, of.c.id == table.c.rotation)
        .where((table.c.what == FORCED) & (table.c.time > since))
        .order_by(table.c.id)
    )
    return [(row.owner, _event(row)) for row in connection.execute(query)]


def _event(row: Row[Any]) -> Event:
    step = word(Step, row.step, "rotation_event", row.id)
    return Event(row.rotation, row.time, step, row.what, row.detail)


def _values(rotation: Rotation) -> dict[str, Any]:
    return vars(rotation) | {"forced": int(rotation.forced)}


def _rotation(row: Row[Any]) -> Rotation:
    kinds: dict[str, type[StrEnum]] = {"kind": Kind, "step": Step, "state": Progress}
    values = {
        name: word(kind, row._mapping[name], "rotation", row.id) for name, kind in kinds.items()
    }
    return Rotation(**{**row._mapping, **values, "forced": bool(row.forced)})
