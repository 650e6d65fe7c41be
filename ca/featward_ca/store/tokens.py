"""Statements over join tokens. The store holds only the hash of a secret."""

import hashlib

from sqlalchemy import ColumnElement, Connection, delete, insert, select

from featward_ca.store import tables


def add(
    connection: Connection,
    secret: bytes,
    workload: str,
    root_sha256: bytes,
    now: float,
    expires_at: float,
) -> None:
    """Keep a token's hash, bound to its workload, and the root that the token names."""
    row = {
        "secret_sha256": _hash(secret),
        "workload": workload,
        "root_sha256": root_sha256,
        "created_at": now,
        "expires_at": expires_at,
    }
    connection.execute(delete(tables.join_token).where(tables.join_token.c.expires_at <= now))
    connection.execute(insert(tables.join_token).values(row))


def workload_of(connection: Connection, secret: bytes, now: float) -> str | None:
    """Whose token this is, if it is unused and has not expired."""
    return connection.execute(
        select(tables.join_token.c.workload).where(_usable(secret, now))
    ).scalar_one_or_none()


def use_up(connection: Connection, secret: bytes, now: float) -> bool:
    """Compare and delete in one statement: True for exactly one of all who try."""
    return connection.execute(delete(tables.join_token).where(_usable(secret, now))).rowcount == 1


def _usable(secret: bytes, now: float) -> ColumnElement[bool]:
    table = tables.join_token
    return (table.c.secret_sha256 == _hash(secret)) & (table.c.expires_at > now)


def _hash(secret: bytes) -> bytes:
    """SHA-256 is enough: the secret has 256 random bits, so there is nothing to guess."""
    return hashlib.sha256(secret).digest()
