"""Statements over bans."""

import secrets
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from featward_ca.bans import Ban, BanKind
from featward_ca.store import tables
from featward_ca.store.words import word

# An authority's id is the beginning of its key's digest in hex.
_AUTHORITY_ID = 16


@dataclass(frozen=True)
class BanRow:
    """A stored ban: whom, why, by whom and until when."""

    id: str
    kind: str
    value: str
    reason: str
    created_by: str
    created_at: float
    expires_at: float | None = None

    @property
    def ban(self) -> Ban:
        """What of it is announced."""
        return Ban(word(BanKind, self.kind, "ban", self.id), self.value, self.expires_at)


def put(connection: Connection, row: BanRow) -> BanRow:
    """Store a ban; one of the same kind and value gets the new reason and end, and keeps its id."""
    table = tables.ban
    same = (table.c.kind == row.kind) & (table.c.value == row.value)
    changed = update(table).where(same).values(reason=row.reason, expires_at=row.expires_at)
    if not connection.execute(changed).rowcount:
        connection.execute(insert(table).values(vars(row)))
    return BanRow(**connection.execute(select(table).where(same)).one()._mapping)


def add_authority(
    connection: Connection, spki_sha256: str, reason: str, by: str, now: float
) -> BanRow:
    """Ban an authority's key (hex) until the ban is lifted."""
    row = BanRow(new_id(), BanKind.AUTHORITY, spki_sha256, reason, by, now)
    return put(connection, row)


def new_id() -> str:
    """A name for a ban that is short enough to be typed."""
    return secrets.token_hex(6)


def of(connection: Connection, kind: str, value: str) -> BanRow | None:
    """The ban of this."""
    same = (tables.ban.c.kind == kind) & (tables.ban.c.value == value)
    row = connection.execute(select(tables.ban).where(same)).one_or_none()
    return BanRow(**row._mapping) if row else None


def take(connection: Connection, ban_id: str) -> BanRow | None:
    """Remove a ban and return it."""
    this = tables.ban.c.id == ban_id
    row = connection.execute(select(tables.ban).where(this)).one_or_none()
    if row is not None:
        connection.execute(delete(tables.ban).where(this))
    return BanRow(**row._mapping) if row else None


def in_force(connection: Connection, now: float) -> list[BanRow]:
    """All that hold at this moment."""
    endless = tables.ban.c.expires_at.is_(None)
    query = select(tables.ban).where(or_(endless, tables.ban.c.expires_at > now))
    rows = connection.execute(query.order_by(tables.ban.c.id))
    return [BanRow(**row._mapping) for row in rows]


def page(connection: Connection, after: str, limit: int) -> list[BanRow]:
    """Bans by id, those that have ended too."""
    query = select(tables.ban).where(tables.ban.c.id > after).order_by(tables.ban.c.id)
    return [BanRow(**row._mapping) for row in connection.execute(query.limit(limit))]


def count(connection: Connection, now: float) -> int:
    """How many hold at this moment."""
    endless = tables.ban.c.expires_at.is_(None)
    held = select(func.count()).select_from(tables.ban)
    return connection.execute(held.where(or_(endless, tables.ban.c.expires_at > now))).scalar_one()


def live_svids(connection: Connection, ban: BanRow, now: float) -> int:
    """How many of our SVIDs that are in force it refuses."""
    svid = tables.svid.c
    meant = {
        BanKind.IDENTITY: svid.spiffe_id == ban.value,
        # A ban has no leading zeros.
        BanKind.SERIAL: func.ltrim(svid.serial, "0") == ban.value,
        BanKind.AUTHORITY: svid.authority == ban.value[:_AUTHORITY_ID],
    }
    query = select(func.count()).where((svid.not_after > now) & svid.certificate.is_not(None))
    return int(connection.execute(query.where(meant[BanKind(ban.kind)])).scalar_one())
