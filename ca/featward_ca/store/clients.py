"""Statements over clients: what each has told of itself, and who lives.

A client is a lineage. It *lives* while one of its SVIDs does (see `living`), whether it is connected
or not, because it may be using that SVID right now.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Connection,
    Float,
    Text,
    bindparam,
    case,
    exists,
    false,
    func,
    or_,
    select,
    update,
)

from featward_ca.store import living, tables
from featward_ca.store.prepared import Prepared
from featward_ca.store.svids import OWN_METHOD, Held

# SQLite and PostgreSQL both take many more parameters in one statement.
_CHUNK = 500


@dataclass(frozen=True)
class Told:
    """What is new of one client. None and 0: nothing said; `connected` to this replica."""

    lineage: str
    connected: bool
    sequence: int = 0
    serial_in_use: str | None = None
    version: str | None = None
    clock_offset_ms: int | None = None


@dataclass(frozen=True)
class ClientRow:
    """A living client. `serial` is the SVID that it uses, as `living.used` has it; `authority` signed
    that one, and `not_after` is its end.
    """

    lineage: str
    spiffe_id: str
    workload: str
    method: str
    connected: bool
    acknowledged_sequence: int
    serial: str
    authority: str
    not_after: int
    seen_at: float | None = None
    version: str | None = None
    clock_offset_ms: int | None = None


@dataclass(frozen=True)
class Counts:
    """How many clients live, how many of them have not acknowledged a sequence, and how many of
    those are connected; `first_end` is when the first of the connected ones loses its SVID.
    """

    clients: int
    behind: int
    connected_behind: int
    first_end: int | None

    def runway(self, now: float, first_end: int | None) -> float | None:
        """How long until a workload loses its identity if the CA stays away: the first of those
        that are connected, which would have renewed. Who left of its own needs none any more;
        where nobody is connected, the end of the first of all that live (`first_end`) is all there
        is to say. None: nothing lives.
        """
        end = self.first_end if self.first_end is not None else first_end
        return None if end is None else end - now


def lineages(connection: Connection, held: Sequence[Held]) -> dict[Held, str]:
    """The lineages of these SVIDs; what was never issued so is absent."""
    found: dict[Held, str] = {}
    table = tables.svid.c
    wanted = select(table.serial, table.spiffe_id, table.spki_sha256, table.lineage)
    for start in range(0, len(held), _CHUNK):
        some = [one.serial for one in held[start : start + _CHUNK]]
        rows = connection.execute(wanted.where(table.serial.in_(some)))
        found |= {Held(serial, name, key): lineage for serial, name, key, lineage in rows}
    return found


def tell(connection: Connection, told: Sequence[Told], replica: str, now: float) -> None:
    """Store what clients have told. A sequence never falls, and a serial counts for the lineage
    that it was issued in and no other.
    """
    _TELL.run(
        connection,
        [
            (
                one.lineage,
                one.sequence,
                one.serial_in_use,
                one.version,
                one.clock_offset_ms,
                int(one.connected),
                replica,
                now,
            )
            for one in told
        ],
    )


def live(
    connection: Connection,
    replica: str,
    now: float,
    *,
    behind: int = 0,
    authority: str = "",
    after: str = "",
    limit: int | None = None,
) -> list[ClientRow]:
    """Who lives, by lineage: those behind a sequence, those using an SVID of an authority (of one
    that was revoked or is banned too: they have to attest anew), those after a lineage; all of them
    without such wishes. `replica` is ours.
    """
    query = _live(replica, now, behind, authority).where(tables.lineage.c.id > after)
    rows = connection.execute(query.order_by(tables.lineage.c.id).limit(limit))
    return [ClientRow(**row._mapping) for row in rows]


def live_in(
    connection: Connection, replica: str, now: float, cluster: str, namespace: str
) -> list[ClientRow]:
    """Who lives of the service accounts of a namespace, by lineage."""
    lineage = tables.lineage.c
    # Of a name nothing but letters, digits and '-' gets here, so LIKE sees no wildcard of its own.
    path = f"%/ns/{namespace}/sa/%"
    rows = connection.execute(
        _live(replica, now, 0, "")
        .where((lineage.cluster == cluster) & lineage.spiffe_id.like(path))
        .order_by(lineage.id)
    )
    return [ClientRow(**row._mapping) for row in rows]


def total(connection: Connection, now: float, *, behind: int = 0, authority: str = "") -> int:
    """How many `live` has in all."""
    rows = _live("", now, behind, authority).subquery()
    return connection.execute(select(func.count()).select_from(rows)).scalar_one()


def counts(connection: Connection, replica: str, sequence: int, now: float) -> Counts:
    """Count who lives. It reads every living SVID once, so ask for it by the minute and not by
    the request.
    """
    ends = (
        select(
            tables.lineage.c.id,
            (tables.lineage.c.acknowledged_sequence < sequence).label("behind"),
            _connected(replica).label("connected"),
            func.max(tables.svid.c.not_after).label("last"),
        )
        .join(tables.svid, tables.svid.c.lineage == tables.lineage.c.id)
        .where(living.living(now) & (tables.lineage.c.method != OWN_METHOD))
        .group_by(tables.lineage.c.id)
        .subquery()
    )
    row = connection.execute(
        select(
            func.count(),
            func.count(case((ends.c.behind, 1))),
            func.count(case((ends.c.behind & ends.c.connected, 1))),
            func.min(case((ends.c.connected, ends.c.last))),
        ).select_from(ends)
    ).one()
    return Counts(*row)


def _connected(replica: str) -> Any:
    """Whether a client holds a stream of this replica, or of another one that is alive: who held one
    of a replica that was killed has none.
    """
    others = select(tables.replica.c.id)
    here = tables.lineage.c.replica
    return func.coalesce(or_(here == replica, here.in_(others)), false())


def _live(replica: str, now: float, behind: int, authority: str) -> Any:
    used = living.used(now, even_of=authority)
    columns = tables.lineage.c
    query = select(
        columns.id.label("lineage"),
        columns.spiffe_id,
        columns.workload,
        columns.method,
        _connected(replica).label("connected"),
        columns.acknowledged_sequence,
        used.c.serial,
        used.c.authority,
        used.c.not_after,
        columns.seen_at,
        columns.version,
        columns.clock_offset_ms,
    ).join(used, used.c.lineage == columns.id)
    if behind:
        query = query.where(columns.acknowledged_sequence < behind)
    if authority:
        query = query.where(used.c.authority == authority)
    return query


def _tell() -> Any:
    lineage, svid = tables.lineage.c, tables.svid.c
    of, serial = bindparam("of", type_=Text()), bindparam("said_serial", type_=Text())
    sequence, now = bindparam("sequence", type_=BigInteger()), bindparam("now", type_=Float())
    here, held = bindparam("here", type_=Text()), bindparam("held", type_=BigInteger())
    news = lineage.acknowledged_sequence < sequence
    issued_here = exists().where((svid.serial == serial) & (svid.lineage == lineage.id))
    return (
        update(tables.lineage)
        .where(lineage.id == of)
        .values(
            acknowledged_sequence=case((news, sequence), else_=lineage.acknowledged_sequence),
            acknowledged_at=case((news, now), else_=lineage.acknowledged_at),
            serial_in_use=case((issued_here, serial), else_=lineage.serial_in_use),
            version=func.coalesce(bindparam("said_version", type_=Text()), lineage.version),
            clock_offset_ms=func.coalesce(
                bindparam("offset", type_=BigInteger()), lineage.clock_offset_ms
            ),
            seen_at=now,
            # Another replica may hold its newer stream by now.
            replica=case((held == 1, here), (lineage.replica == here, None), else_=lineage.replica),
        )
    )


_TELL = Prepared(
    lambda _: _tell(),
    ("of", "sequence", "said_serial", "said_version", "offset", "held", "here", "now"),
)
