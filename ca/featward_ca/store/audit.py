"""The audit table: a row before each signature and each change of the CA, and one after it, and one
for each refusal that matters.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Connection, Row, bindparam, insert, select, text

from featward_ca.store import tables
from featward_ca.store.words import word


class Outcome(StrEnum):
    """What a row says."""

    # Before and after a signature.
    INTENT = "intent"
    SIGNED = "signed"
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


def append(connection: Connection, entry: Entry) -> None:
    """Add one row."""
    connection.execute(insert(tables.audit).values(vars(entry)))


def append_all(connection: Connection, entries: Sequence[Entry]) -> None:
    """Add rows, in their order."""
    if entries:
        connection.execute(insert(tables.audit), [vars(entry) for entry in entries])


def entries(connection: Connection) -> list[Entry]:
    """All rows, oldest first."""
    rows = connection.execute(select(tables.audit).order_by(tables.audit.c.id))
    return [_entry(row) for row in rows]


def close_interrupted(connection: Connection, now: float, alive: Collection[str]) -> int:
    """Give every row before, to which there is none after, the outcome *interrupted*, but for
    those of the replicas that are alive; returns their number.
    """
    query = text(
        "SELECT * FROM audit AS a WHERE outcome IN ('intent', 'asked') AND replica NOT IN :alive"
        " AND NOT EXISTS (SELECT 1 FROM audit AS b WHERE b.request = a.request AND"
        " b.outcome NOT IN ('intent', 'asked') AND coalesce(b.serial, '') = coalesce(a.serial, ''))"
    ).bindparams(bindparam("alive", expanding=True))
    open_intents = connection.execute(query, {"alive": list(alive)}).all()
    for row in open_intents:
        entry = _entry(row)
        detail = _UNSIGNED if entry.outcome is Outcome.INTENT else _UNDONE
        append(
            connection,
            Entry(**{**vars(entry), "time": now, "outcome": Outcome.INTERRUPTED, "detail": detail}),
        )
    return len(open_intents)


def _entry(row: Row[tuple[object, ...]]) -> Entry:
    values = dict(row._mapping)
    outcome = word(Outcome, values["outcome"], "audit", values.pop("id"))
    return Entry(**{**values, "outcome": outcome})
