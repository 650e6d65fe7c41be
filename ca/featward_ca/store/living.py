"""Which SVIDs live, and which of a client's SVIDs it uses: said once, for all who count or wait.

An SVID lives until it ends, unless everybody refuses it before: its authority was revoked, or the
authority, the identity or the serial is banned. Nobody can come back by such an SVID, so no
rotation waits for it. A ban that ends or is lifted makes what it refused live again, with what the
client had acknowledged before and nothing more; where the authority was revoked meanwhile, only a
new attestation helps.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, Subquery, case, func, or_, select

from featward_ca.bans import BanKind
from featward_ca.rotation.states import State
from featward_ca.store import tables
from featward_ca.store.svids import OWN_METHOD

# Whoever was answered with a new SVID and does not say what it uses is taken to use it after this
# time: a connection that breaks during the answer is noticed and tried again sooner.
ANSWERED_SECONDS = 60
# An intent may still become an SVID for as long; one that is older was cut off.
UNDER_WAY_SECONDS = 10
# An authority's id is the beginning of its key's digest in hex.
_AUTHORITY_ID = 16


@dataclass(frozen=True)
class Live:
    """How many SVIDs live, of how many identities and clients, and when the first identity runs
    out.
    """

    svids: int
    identities: int
    clients: int
    first_end: int | None


def live(connection: Connection, now: float) -> Live:
    """Count what lives at this moment. The CA itself is an identity and no client."""
    table = tables.svid
    clients = (
        select(func.count(table.c.lineage.distinct()))
        .join(tables.lineage, tables.lineage.c.id == table.c.lineage)
        .where(living(now) & (tables.lineage.c.method != OWN_METHOD))
    )
    ends = (
        select(func.count().label("svids"), func.max(table.c.not_after).label("last"))
        .where(living(now))
        .group_by(table.c.spiffe_id)
        .subquery()
    )
    row = connection.execute(
        select(func.sum(ends.c.svids), func.count(), func.min(ends.c.last)).select_from(ends)
    ).one()
    return Live(
        svids=int(row[0] or 0),
        identities=row[1],
        clients=connection.execute(clients).scalar_one(),
        first_end=row[2],
    )


def live_by_authority(connection: Connection, now: float) -> dict[str, int]:
    """How many of the SVIDs that live each authority has signed."""
    table = tables.svid.c
    query = select(table.authority, func.count()).where(living(now)).group_by(table.authority)
    return {row[0]: row[1] for row in connection.execute(query)}


def living(now: float, *, under_way: bool = False, even_of: str = "") -> Any:
    """Whether a row of the table of SVIDs lives. With `under_way` also what may be signed at this
    moment; with `even_of` also what this authority signed, though it was revoked or is banned.
    """
    svid = tables.svid.c
    made: Any = svid.certificate.is_not(None)
    if under_way:
        made |= svid.issued_at > now - UNDER_WAY_SECONDS
    return (svid.not_after > now) & made & accepted(now, even_of=even_of)


def accepted(now: float, *, even_of: str = "") -> Any:
    """Whether a row of the table of SVIDs is one that nobody has to refuse, but for its end."""
    svid = tables.svid.c
    authority: Any = svid.authority.not_in(_refused_authorities(now))
    if even_of:
        authority |= svid.authority == even_of
    identity = svid.spiffe_id.not_in(_banned(BanKind.IDENTITY, now))
    # A ban has no leading zeros.
    serial = func.ltrim(svid.serial, "0").not_in(_banned(BanKind.SERIAL, now))
    return authority & identity & serial


def used(now: float, *, under_way: bool = False, even_of: str = "") -> Subquery:
    """The SVID that each client uses, a row each. The CA's own are no clients.

    It is the one that the client said, unless a later one was answered long enough ago: then the
    client can only have stopped saying, and uses the newest of these. Where it has said nothing and
    nothing was answered as long ago, it is the newest of all.
    """
    svid = tables.svid.c
    answered = case((svid.issued_at <= now - ANSWERED_SECONDS, svid.issued_at))
    newest_answered = func.max(answered).over(partition_by=svid.lineage)
    counts = newest_answered.is_(None) | (svid.issued_at >= newest_answered)
    said = (svid.serial == tables.lineage.c.serial_in_use) & counts
    found = (
        select(
            svid.lineage,
            svid.serial,
            svid.authority,
            svid.not_after,
            svid.issued_at,
            case((said, 2), (answered.is_not(None), 1), else_=0).label("sure"),
        )
        .join(tables.lineage, tables.lineage.c.id == svid.lineage)
        .where(living(now, under_way=under_way, even_of=even_of))
        .where(tables.lineage.c.method != OWN_METHOD)
        .subquery()
    )
    order = (
        found.c.sure.desc(),
        found.c.issued_at.desc(),
        found.c.not_after.desc(),
        found.c.serial,
    )
    place = func.row_number().over(partition_by=found.c.lineage, order_by=order)
    ranked = select(found, place.label("place")).subquery()
    return select(ranked).where(ranked.c.place == 1).subquery()


def _refused_authorities(now: float) -> Select[Any]:
    """Those that nobody accepts any more: revoked, or below a banned key."""
    authority = tables.authority.c
    keys = select(func.substr(tables.ban.c.value, 1, _AUTHORITY_ID)).where(
        _holds(BanKind.AUTHORITY, now)
    )
    banned = authority.id.in_(keys) | authority.issuer.in_(keys)
    return select(authority.id).where(or_(authority.state == State.REVOKED, banned))


def _banned(kind: BanKind, now: float) -> Select[Any]:
    return select(tables.ban.c.value).where(_holds(kind, now))


def _holds(kind: BanKind, now: float) -> Any:
    ban = tables.ban.c
    return (ban.kind == kind) & (ban.expires_at.is_(None) | (ban.expires_at > now))
