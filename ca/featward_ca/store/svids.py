"""Statements over SVIDs and the lineages that they descend in."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum
from operator import attrgetter

from sqlalchemy import Connection, Row, Text, UpdateBase, bindparam, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from featward_ca.store import tables
from featward_ca.store.prepared import Prepared, inserted, names_of
from featward_ca.store.words import word


@dataclass(frozen=True)
class LineageRow:
    """A client: one attestation and all that was renewed from it. What stands behind
    `taint_reason` is what the client says about itself.
    """

    id: str
    spiffe_id: str
    workload: str
    method: str
    started_at: float
    tainted_at: float | None = None
    taint_reason: str | None = None
    cluster: str | None = None
    serial_in_use: str | None = None
    acknowledged_sequence: int = 0
    acknowledged_at: float | None = None
    seen_at: float | None = None
    replica: str | None = None
    version: str | None = None
    clock_offset_ms: int | None = None


# The method of the CA's own lineages.
OWN_METHOD = "self"
# Of those whose evidence is gone after its one use.
TOKEN_METHOD = "join-token"  # noqa: S105  # the name of the method
JWT_METHOD = "jwt"
# Those whose lineages go on by the SVID alone, because nothing may be left of their evidence.
RENEWING_METHODS = frozenset({TOKEN_METHOD, JWT_METHOD})


class Cap(StrEnum):
    """Which bound set the expiry of an SVID."""

    SVID_TTL = "svid-ttl"
    AUTHORITY = "authority"


@dataclass(frozen=True)
class Held:
    """An SVID whose key a caller has proven to hold. Its serial and SPIFFE ID are read from a
    certificate that any of our authorities may have signed, and whoever stole one writes there what
    he likes: it is what was issued under this serial only if the key is the same too.
    """

    serial: str
    spiffe_id: str
    spki_sha256: bytes


@dataclass(frozen=True)
class SvidRow:
    """One SVID; `certificate` is None between the intent and the outcome."""

    serial: str
    lineage: str
    spiffe_id: str
    authority: str
    spki_sha256: bytes
    issued_at: int
    not_before: int
    not_after: int
    renew_at: int
    cap: Cap
    replica: str
    certificate: bytes | None = None
    renewed_from: str | None = None

    @property
    def held(self) -> Held:
        """What its holder proves."""
        return Held(self.serial, self.spiffe_id, self.spki_sha256)


_of = bindparam("of", type_=Text())
# Made once: to build a statement costs more than to run it.
_FIND = select(tables.svid).where(tables.svid.c.serial == _of)
_SUCCESSOR = select(tables.svid).where(tables.svid.c.renewed_from == _of)
_LINEAGE = select(tables.lineage).where(tables.lineage.c.id == _of)
_END = (
    select(func.max(tables.svid.c.not_after))
    .where(tables.svid.c.lineage == _of)
    .where(tables.svid.c.certificate.is_not(None))
)
_COMPLETE = Prepared(
    lambda _: (
        update(tables.svid).where(tables.svid.c.serial == _of).values(certificate=bindparam("made"))
    ),
    ("of", "made"),
)


def _insert_unless_renewed(dialect: str) -> UpdateBase:
    """Each database has this statement in a dialect of its own."""
    kind = sqlite if dialect == "sqlite" else postgresql
    statement: sqlite.Insert | postgresql.Insert = kind.insert(tables.svid)
    return statement.on_conflict_do_nothing(index_elements=["renewed_from"])


_ADD = Prepared(_insert_unless_renewed, names_of(SvidRow))
_ADD_LINEAGE = inserted(tables.lineage, LineageRow)
_svid_values = attrgetter(*names_of(SvidRow))
_lineage_values = attrgetter(*names_of(LineageRow))


def add_lineages(connection: Connection, rows: Sequence[LineageRow]) -> None:
    """Start lineages."""
    _ADD_LINEAGE.run(connection, [_lineage_values(row) for row in rows])


def add(connection: Connection, rows: Sequence[SvidRow]) -> set[str]:
    """Store the intents to sign SVIDs; returns the serials of those that were stored. The others
    are renewals of a serial that another replica was faster to renew.
    """
    serials = {row.serial for row in rows}
    done = _ADD.run(connection, [_svid_values(row) for row in rows])
    if done is None or done.rowcount == len(rows):
        return serials
    # Nobody else has drawn any of these serials.
    there = select(tables.svid.c.serial).where(tables.svid.c.serial.in_(serials))
    return set(connection.scalars(there))


def complete(connection: Connection, certificates: Sequence[tuple[str, bytes]]) -> None:
    """Store the signed certificates of intents, by serial."""
    _COMPLETE.run(connection, certificates)


def release(connection: Connection, serials: Sequence[str]) -> None:
    """Let the predecessors of SVIDs that came to nothing be renewed again."""
    connection.execute(
        update(tables.svid).where(tables.svid.c.serial.in_(serials)).values(renewed_from=None)
    )


def release_interrupted(connection: Connection, alive: Collection[str]) -> None:
    """The same for all that the end of a replica has cut off: nobody has received those."""
    cut_off = tables.svid.c.certificate.is_(None) & tables.svid.c.replica.not_in(alive)
    connection.execute(update(tables.svid).where(cut_off).values(renewed_from=None))


def find(connection: Connection, serial: str) -> SvidRow | None:
    """The SVID with this serial (lower-case hex)."""
    row = connection.execute(_FIND, {"of": serial}).one_or_none()
    return _svid(row) if row else None


def every(connection: Connection) -> list[SvidRow]:
    """All that are stored, oldest first."""
    table = tables.svid
    rows = connection.execute(select(table).order_by(table.c.issued_at, table.c.serial))
    return [_svid(row) for row in rows]


def successor(connection: Connection, serial: str) -> SvidRow | None:
    """What was renewed from this serial."""
    row = connection.execute(_SUCCESSOR, {"of": serial}).one_or_none()
    return _svid(row) if row else None


def lineage(connection: Connection, lineage_id: str) -> LineageRow:
    """The lineage with this id, which a stored SVID names."""
    row = connection.execute(_LINEAGE, {"of": lineage_id}).one()
    return LineageRow(**row._mapping)


def find_lineage(connection: Connection, lineage_id: str) -> LineageRow | None:
    """The lineage with this id, which somebody else names."""
    row = connection.execute(_LINEAGE, {"of": lineage_id}).one_or_none()
    return LineageRow(**row._mapping) if row else None


def end_of_lineage(connection: Connection, lineage_id: str) -> int | None:
    """When the last SVID of a lineage ends."""
    end: int | None = connection.execute(_END, {"of": lineage_id}).scalar()
    return end


def taint(connection: Connection, lineage_id: str, reason: str, now: float) -> None:
    """Refuse all renewals of a lineage from now on; the first reason stays."""
    fresh = (tables.lineage.c.id == lineage_id) & tables.lineage.c.tainted_at.is_(None)
    connection.execute(
        update(tables.lineage).where(fresh).values(tainted_at=now, taint_reason=reason)
    )


def by_join_token(connection: Connection, ended_after: float) -> list[LineageRow]:
    """The clients that came by join token and had an SVID that ended later than this."""
    table = tables.svid
    having = select(table.c.lineage).where(
        (table.c.not_after > ended_after) & table.c.certificate.is_not(None)
    )
    query = select(tables.lineage).where(
        (tables.lineage.c.method == TOKEN_METHOD) & tables.lineage.c.id.in_(having)
    )
    rows = connection.execute(query.order_by(tables.lineage.c.workload, tables.lineage.c.id))
    return [LineageRow(**row._mapping) for row in rows]


def last_end(connection: Connection) -> int | None:
    """When the last of all SVIDs ends, or has ended."""
    last: int | None = connection.execute(select(func.max(tables.svid.c.not_after))).scalar_one()
    return last


def longest_life(connection: Connection) -> int:
    """How many seconds that of all SVIDs is issued for which lives longest; 0: there are none."""
    table = tables.svid
    query = select(func.max(table.c.not_after - table.c.issued_at)).where(
        table.c.certificate.is_not(None)
    )
    longest: int | None = connection.execute(query).scalar_one()
    return longest or 0


def tainted_lineages(connection: Connection) -> int:
    """How many lineages were tainted."""
    query = (
        select(func.count())
        .select_from(tables.lineage)
        .where(tables.lineage.c.tainted_at.is_not(None))
    )
    return connection.execute(query).scalar_one()


def _svid(row: Row[tuple[object, ...]]) -> SvidRow:
    return SvidRow(**{**row._mapping, "cap": word(Cap, row.cap, "svid", row.serial)})
