"""Reads the facts that rotations are judged by, all in one transaction."""

from collections.abc import Collection, Iterable
from hashlib import sha256

from sqlalchemy import Connection, func, select

from featward_ca.rotation.known import (
    ROOT,
    Known,
    KnownAuthority,
    LiveClient,
    LiveReplica,
    UnusedToken,
)
from featward_ca.rotation.states import State
from featward_ca.settings import Lifetimes
from featward_ca.store import living, rotation_rows, tables
from featward_ca.store.authority_rows import AuthorityRow, of_owner, of_state
from featward_ca.store.svids import RENEWING_METHODS

# All that is not over.
PRESENT = frozenset(State) - {State.REVOKED, State.RETIRED}


def known(
    connection: Connection, now: float, lifetimes: Lifetimes, replica: str, opened_at: float = 0.0
) -> Known:
    """All of it. Who is connected to this replica or to a live one counts as connected;
    `opened_at`: since when this CA is back.
    """
    others = _replicas(connection, replica)
    return Known(
        now=now,
        refresh_hint=lifetimes.refresh_hint,
        opened_at=opened_at,
        authorities=_authorities(connection),
        clients=tuple(live_clients(connection, now, {replica, *(one.id for one in others)})),
        returning=tuple(_returning(connection, now, lifetimes, opened_at)),
        replicas=others,
        tokens=_tokens(connection, now),
        rotations=tuple(rotation_rows.opened(connection)),
    )


def live_clients(
    connection: Connection, now: float, replicas: Collection[str]
) -> Iterable[LiveClient]:
    """Every client that lives, by the SVID that it uses."""
    used, lineage = living.used(now, under_way=True), tables.lineage.c
    query = (
        select(
            used.c.lineage,
            used.c.authority,
            used.c.not_after,
            lineage.spiffe_id,
            lineage.acknowledged_sequence,
            lineage.replica,
        )
        .join(used, used.c.lineage == lineage.id)
        .order_by(used.c.lineage)
    )
    for row in connection.execute(query):
        yield LiveClient(
            lineage=row.lineage,
            spiffe_id=row.spiffe_id,
            acknowledged=row.acknowledged_sequence,
            authority=row.authority,
            not_after=row.not_after,
            connected=row.replica in replicas,
        )


def _returning(
    connection: Connection, now: float, lifetimes: Lifetimes, opened_at: float
) -> Iterable[LiveClient]:
    """Of each client that renews by its SVID alone the newest one, where that ended before the start
    of this CA; nobody any more once they had the time to come back. `not_after` is then.
    """
    until = opened_at + lifetimes.return_time
    if now >= until:
        return
    svid, lineage = tables.svid, tables.lineage
    newest = (
        select(svid.c.lineage, func.max(svid.c.not_after).label("end"))
        .where(svid.c.certificate.is_not(None))
        # For the index: of all others the end is too long ago.
        .where(svid.c.not_after > now - lifetimes.reattest_grace)
        .group_by(svid.c.lineage)
        .subquery()
    )
    query = (
        select(svid.c.lineage, svid.c.authority, lineage.c.spiffe_id)
        .join(newest, (newest.c.lineage == svid.c.lineage) & (newest.c.end == svid.c.not_after))
        .join(lineage, lineage.c.id == svid.c.lineage)
        .where((newest.c.end <= opened_at) & (newest.c.end > now - lifetimes.reattest_grace))
        .where(lineage.c.method.in_(RENEWING_METHODS) & lineage.c.tainted_at.is_(None))
        .where(living.accepted(now))
    )
    for row in connection.execute(query):
        yield LiveClient(row.lineage, row.spiffe_id, 0, row.authority, until)


def _authorities(connection: Connection) -> tuple[KnownAuthority, ...]:
    rows = of_state(connection, *PRESENT)
    issuers = {row.id: row for row in of_owner(connection, ROOT)}
    return tuple(_authority(row, issuers.get(row.issuer or "")) for row in rows)


def _authority(row: AuthorityRow, issuer: AuthorityRow | None) -> KnownAuthority:
    root = (issuer or row).certificate if row.owner == ROOT or issuer else None
    return KnownAuthority(
        id=row.id,
        owner=row.owner,
        state=row.state,
        root_sha256=sha256(root).digest() if root else b"",
        issuer=row.issuer,
        generation=row.generation,
        announced_at=row.announced_at,
        announced_sequence=row.announced_sequence,
        tainted_sequence=row.tainted_sequence,
        not_before=row.not_before,
        not_after=row.not_after,
        has_key=row.key is not None,
    )


def _replicas(connection: Connection, own: str) -> tuple[LiveReplica, ...]:
    """All but this one, which knows more about itself."""
    table = tables.replica
    rows = connection.execute(select(table).where(table.c.id != own).order_by(table.c.id))
    return tuple(LiveReplica(row.id, row.sequence) for row in rows)


def _tokens(connection: Connection, now: float) -> tuple[UnusedToken, ...]:
    table = tables.join_token
    rows = connection.execute(select(table).where(table.c.expires_at > now))
    return tuple(UnusedToken(row.workload, row.root_sha256, row.expires_at) for row in rows)
