"""What a failure of the database means, in words that say what to do: the CA's log, its health and
its commands all use these.

A driver names the symptom; whoever is woken by it needs the cause and the cure.
"""

import sqlite3

from sqlalchemy.exc import DBAPIError, SQLAlchemyError

_RESTORE = "stop the CA and put a backup in its place: featward ca restore"
_NO_USER = "PostgreSQL refuses the CA's user; check --store, pg_hba.conf and the password file"
_UNREACHABLE = "PostgreSQL can't be reached; is it running, and is --store its address?"
# By what is said: SQLAlchemy does not tell SQLite's codes apart, and who is not let in by PostgreSQL
# gets no SQLSTATE.
_WORDS = {
    "database or disk is full": "the disk is full; make room, nothing that was answered is lost",
    "disk i/o error": (
        "the disk failed or refused to let the file grow; look at the machine's log, its quotas and"
        " its limits"
    ),
    "database is locked": (
        "another process has held the store's file locked for 5 s; end it (fuser names it), and"
        " make backups with featward ca backup, which locks nobody out"
    ),
    "malformed": f"the store's file is damaged; {_RESTORE}",
    "file is not a database": f"the file is no store, or its beginning is damaged; {_RESTORE}",
    "readonly database": "the store's file or its folder is read-only for the CA's user",
    "unable to open database file": (
        "the store's file can't be opened; its folder must be there and be the CA's user's"
    ),
    "authentication failed": _NO_USER,
    "no pg_hba.conf entry": _NO_USER,
    '" does not exist': "PostgreSQL has no such database or user: createdb, createuser",
    "connection failed": _UNREACHABLE,
    "connection is bad": _UNREACHABLE,
}
# By SQLSTATE or, where it ends in a star, its class.
_STATES = {
    "53100": "PostgreSQL's disk is full; make room, nothing that was answered is lost",
    "53300": "PostgreSQL has no connection left for the CA; raise max_connections",
    "55P03": "another replica has held the rotation's lock for 10 s; it may hang, see ca status",
    "57014": "PostgreSQL took longer than 30 s for a statement; look at its load and its locks",
    "25006": "PostgreSQL is a read-only standby; name the primary in --store",
    "40P01": "two replicas waited for each other again and again; ask again",
    "42501": "PostgreSQL's user may not do that; the database has to be its own",
    "XX001": f"a page of PostgreSQL's tables is damaged; {_RESTORE}",
    "XX002": f"an index of PostgreSQL's tables is damaged; {_RESTORE}",
    "57P*": "PostgreSQL was stopped or restarted; the CA connects again by itself",
    "08*": "PostgreSQL can't be reached; the CA connects again by itself",
}


def explain(error: SQLAlchemyError | sqlite3.Error) -> str:
    """One sentence: the cause as the database tells it and, where it is known, what to do."""
    cause = getattr(error, "orig", None) or error
    # PostgreSQL's further lines hold values of rows.
    primary = getattr(getattr(cause, "diag", None), "message_primary", None)
    told = " ".join((primary or str(cause)).split()) or type(cause).__name__
    state = getattr(cause, "sqlstate", None)
    advice = _by_state(state) if state else _by_words(told)
    if not advice and isinstance(error, DBAPIError) and error.connection_invalidated:
        advice = _STATES["08*"]
    return f"{advice} ({told})" if advice else told


def _by_state(state: str) -> str | None:
    return _STATES.get(state) or _STATES.get(f"{state[:3]}*") or _STATES.get(f"{state[:2]}*")


def _by_words(told: str) -> str | None:
    return next((advice for words, advice in _WORDS.items() if words in told.lower()), None)
