"""Statements over JWTs that were used: for which key each was good. Only a token's hash is kept."""

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from featward_ca.store import tables

_table = tables.jwt_use


def use(connection: Connection, token_sha256: bytes, spki_sha256: bytes, expires_at: float) -> bool:
    """Bind a token to a key; False: it is bound to another one. Pruning deletes those that are over."""
    kind = sqlite if connection.dialect.name == "sqlite" else postgresql
    statement: sqlite.Insert | postgresql.Insert = kind.insert(_table)
    row = {"token_sha256": token_sha256, "spki_sha256": spki_sha256, "expires_at": expires_at}
    connection.execute(statement.on_conflict_do_nothing(index_elements=["token_sha256"]), row)
    bound = select(_table.c.spki_sha256).where(_table.c.token_sha256 == token_sha256)
    return bool(connection.execute(bound).scalar_one() == spki_sha256)
