"""Reads the facts that rotations are judged by, all in one transaction."""

from collections.abc import Collection, Iterable
from hashlib import sha256
from itertools import groupby
from typing import Any

from sqlalchemy import Connection, Row, select

from featward_ca.rotation.known import (
    ROOT,
    Known,
    KnownAuthority,
    LiveClient,
    LiveReplica,
    UnusedToken,
)
from featward_ca.rotation.states import State
from featward_ca.store import rotation_rows, tables
from featward_ca.store.authority_rows import AuthorityRow, of_state
from featward_ca.store.svids import OWN_METHOD

# Whoever was answered with a new SVID and does not say what it uses is taken to use it after this
# time: a connection that breaks during the answer is noticed and tried again sooner.
ANSWERED_SECONDS = 60.0
# An intent may still become an SVID for as long; one that is older was cut off.
UNDER_WAY_SECONDS = 10.0
# All that is not over.
PRESENT = frozenset(State) - {State.REVOKED, State.RETIRED}


def known(connection: Connection, now: float, refresh_hint: float, replica: str) -> Known:
    """All of it. Who is connected to this replica or to a live one counts as connected."""
    others = _replicas(connection, replica)
    return Known(
        now=now,
        refresh_hint=refresh_hint,
        authorities=_authorities(connection),
        clients=tuple(live_clients(connection, now, {replica, *(one.id for one in others)})),
        replicas=others,
        tokens=_tokens(connection, now),
        rotations=tuple(rotation_rows.opened(connection)),
    )


def live_clients(
    connection: Connection, now: float, replicas: Collection[str]
) -> Iterable[LiveClient]:
    """Every client with an unexpired SVID. The CA's own are no clients."""
    svid, lineage = tables.svid, tables.lineage
    made = svid.c.certificate.is_not(None) | (svid.c.issued_at > now - UNDER_WAY_SECONDS)
    unexpired = (svid.c.not_after > now) & made
    query = (
        select(
            svid.c.lineage,
            svid.c.serial,
            svid.c.authority,
            svid.c.issued_at,
            svid.c.not_after,
            lineage.c.spiffe_id,
            lineage.c.serial_in_use,
            lineage.c.acknowledged_sequence,
            lineage.c.replica,
        )
        .join(lineage, lineage.c.id == svid.c.lineage)
        .where(unexpired & (lineage.c.method != OWN_METHOD))
        .order_by(svid.c.lineage, svid.c.issued_at, svid.c.not_after)
    )
    found: list[Row[Any]] = [*connection.execute(query)]
    for _, rows in groupby(found, lambda row: row.lineage):
        row = _in_use([*rows], now)
        yield LiveClient(
            lineage=row.lineage,
            spiffe_id=row.spiffe_id,
            acknowledged=row.acknowledged_sequence,
            authority=row.authority,
            not_after=row.not_after,
            connected=row.replica in replicas,
        )


def _in_use(rows: list[Row[Any]], now: float) -> Row[Any]:
    """Of one client's SVIDs, oldest first, the one that it uses."""
    newest = rows[-1]
    if newest.issued_at <= now - ANSWERED_SECONDS:
        return newest
    return next((row for row in rows if row.serial == row.serial_in_use), newest)


def _authorities(connection: Connection) -> tuple[KnownAuthority, ...]:
    rows = of_state(connection, *PRESENT)
    issuers = {row.id: row for row in of_state(connection, *State) if row.owner == ROOT}
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
