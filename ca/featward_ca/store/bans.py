"""Statements over bans: whom nobody accepts although the chain is good."""

import secrets

from sqlalchemy import Connection, delete, insert

from featward_ca.store import tables


def add_authority(
    connection: Connection, spki_sha256: str, reason: str, by: str, now: float
) -> None:
    """Ban an authority's key (hex) until the ban is lifted; the newest reason stays."""
    table = tables.ban
    same = (table.c.kind == "authority") & (table.c.value == spki_sha256)
    connection.execute(delete(table).where(same))
    row = {
        "id": secrets.token_hex(6),
        "kind": "authority",
        "value": spki_sha256,
        "reason": reason,
        "created_by": by,
        "created_at": now,
    }
    connection.execute(insert(table).values(row))
