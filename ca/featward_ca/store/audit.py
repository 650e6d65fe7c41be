"""The audit table: a row before each signature and each change of the CA, and one after it, and one
for each refusal that matters.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter

from sqlalchemy import Connection, Row, exists, func, insert, select, update

from featward_ca.store import tables
from featward_ca.store.prepared import inserted, names_of
from featward_ca.store.words import word


class Outcome(StrEnum):
    """What a row says."""

    # Before and after a signature.
    INTENT = "intent"
    SIGNED = "signed"
    # Of a certificate that another machine has signed, in the place of both.
    IMPORTED = "imported"
    # Before and after a change that somebody asked for.
    ASKED = "asked"
    DONE = "done"
    # After either.
    FAILED = "failed"
    REFUSED = "refused"
    # Found at a start: the row before without the row after, because the CA was killed in between.
    INTERRUPTED = "interrupted"
    NOTED = "noted"


_UNSIGNED = (
    "the CA stopped between the intent and the outcome; if it was signed, nobody has received it"
)
_UNDONE = "the CA stopped before it was done, or before it could say so"


@dataclass(frozen=True)
class Entry:
    """One row. `replica` is who wrote it, `request` ties the rows of one request together, and
    `caller` is who asked, never a secret.
    """

    time: float
    replica: str
    request: str
    kind: str
    caller: str
    outcome: Outcome
    profile: str | None = None
    subject: str | None = None
    serial: str | None = None
    # Who signs; an id.
    authority: str | None = None
    tbs_sha256: str | None = None
    detail: str | None = None


_APPEND = inserted(tables.audit, Entry)
_values = attrgetter(*names_of(Entry))
# Where the outcome stands among them; time is first and detail is last.
_OUTCOME = names_of(Entry).index("outcome")
_BEFORE = (Outcome.INTENT, Outcome.ASKED)
_row, _after = tables.audit.c, tables.audit.alias().c
# A row before, to which there is none after.
_OPEN = _row.outcome.in_(_BEFORE) & ~exists().where(
    (_after.request == _row.request)
    & _after.outcome.not_in(_BEFORE)
    & (func.coalesce(_after.serial, "") == func.coalesce(_row.serial, ""))
)


def append(connection: Connection, entry: Entry) -> None:
    """Add one row."""
    connection.execute(insert(tables.audit).values(vars(entry)))


def append_all(connection: Connection, entries: Sequence[Entry]) -> None:
    """Add rows, in their order."""
    _APPEND.run(connection, [_values(entry) for entry in entries])


def append_after(
    connection: Connection,
    before: Sequence[Entry],
    now: float,
    outcome: Outcome,
    detail: str | None = None,
) -> None:
    """Add to each of these rows, which say what was intended, the one that says what came of it."""
    rows = map(_values, before)
    _APPEND.run(
        connection,
        [(now, *row[1:_OUTCOME], outcome, *row[_OUTCOME + 1 : -1], detail) for row in rows],
    )


def entries(connection: Connection) -> list[Entry]:
    """All rows, oldest first."""
    rows = connection.execute(select(tables.audit).order_by(tables.audit.c.id))
    return [_entry(row) for row in rows]


def close_interrupted(connection: Connection, now: float, alive: Collection[str]) -> int:
    """Give every row before, to which there is none after, the outcome *interrupted*, but for
    those of the replicas that are alive; returns their number.
    """
    unsettled = _row.id > select(tables.settled.c.audit).scalar_subquery()
    query = select(tables.audit).where(_OPEN & unsettled & _row.replica.not_in(alive))
    open_intents = connection.execute(query.order_by(_row.id)).all()
    for row in open_intents:
        entry = _entry(row)
        detail = _UNSIGNED if entry.outcome is Outcome.INTENT else _UNDONE
        append(
            connection,
            Entry(**{**vars(entry), "time": now, "outcome": Outcome.INTERRUPTED, "detail": detail}),
        )
    return len(open_intents)


def newest(connection: Connection) -> int:
    """The id of the last row; 0: there is none."""
    return connection.execute(select(func.max(tables.audit.c.id))).scalar() or 0


def settled(connection: Connection) -> int:
    """Up to this id every row has its outcome, as far as anybody has looked."""
    return int(connection.execute(select(tables.settled.c.audit)).scalar_one())


def first_open(connection: Connection, after: int, until: int) -> int | None:
    """The first row of these that has no outcome yet; `until` is one of them."""
    some = (_row.id > after) & (_row.id <= until)
    found: int | None = connection.execute(select(func.min(_row.id)).where(_OPEN & some)).scalar()
    return found


def settle(connection: Connection, until: int) -> None:
    """From now on nobody looks for open rows up to this id."""
    at = tables.settled.c.audit
    connection.execute(update(tables.settled).where(at < until).values(audit=until))


def _entry(row: Row[tuple[object, ...]]) -> Entry:
    values = dict(row._mapping)
    outcome = word(Outcome, values["outcome"], "audit", values.pop("id"))
    return Entry(**{**values, "outcome": outcome})
