"""Pieces of work in one transaction: each fails alone.

Apart from the stores, because both databases need it. A savepoint costs PostgreSQL two journeys, and
SQLAlchemy before SQLite 0.1 ms, so there are none until something fails.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import Connection, Engine, NestedTransaction
from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from featward.logs import fields
from featward_ca.errors import StoreError
from featward_ca.store.faults import explain

_log = logging.getLogger(__name__)
Work = Callable[[Connection], Any]

# Serialization failure and deadlock: PostgreSQL has undone the transaction for another one's sake.
_OVERTAKEN = frozenset({"40001", "40P01"})


def one_by_one(engine: Engine, group: Sequence[Work]) -> list[Any]:
    """The result of each piece, or its error with all that it wrote undone. Raises SQLAlchemyError
    when all of them are undone.
    """
    with engine.begin() as connection:
        return [_attempt(connection, work) for work in group]


def together(engine: Engine, group: Sequence[Work]) -> list[Any]:
    """The same without savepoints as long as nothing fails; a piece may be run again."""
    try:
        with engine.begin() as connection:
            return [work(connection) for work in group]
    except Exception as error:  # whatever it was, the pieces are judged one by one now
        if isinstance(error, DBAPIError) and (was_overtaken(error) or error.connection_invalidated):
            raise
    return one_by_one(engine, group)


def was_overtaken(error: SQLAlchemyError) -> bool:
    """Whether to do the same again is all that is needed."""
    return getattr(getattr(error, "orig", None), "sqlstate", None) in _OVERTAKEN


def not_written(error: SQLAlchemyError, pieces: int = 1) -> StoreError:
    """What callers get, after the log has got it."""
    said = explain(error)
    _log.error("store failed", extra=fields(pieces=pieces, error=said))
    return StoreError(f"the store could not write: {said}")


def not_read(error: SQLAlchemyError) -> StoreError:
    """The same for a query."""
    said = explain(error)
    _log.error("query failed", extra=fields(error=said))
    return StoreError(f"the store could not be read: {said}")


def _attempt(connection: Connection, work: Work, again: bool = True) -> Any:
    savepoint = connection.begin_nested()
    try:
        result = work(connection)
        savepoint.commit()
    except SQLAlchemyError as error:
        if isinstance(error, DBAPIError) and (was_overtaken(error) or error.connection_invalidated):
            raise
        _undo(savepoint, error)
        if isinstance(error, IntegrityError) and again:
            # Another replica's row came between what the work looked at and what it wrote. It is
            # to be seen now, so that the work judges by it, as it would have a moment later.
            return _attempt(connection, work, again=False)
        return not_written(error)
    except Exception as error:  # a refusal, or a defect, which must not fail the neighbours
        savepoint.rollback()
        return error
    return result


def _undo(savepoint: NestedTransaction, error: SQLAlchemyError) -> None:
    """Take back what the piece wrote. Raises the error where the database has taken back the whole
    transaction because of it, as SQLite does when its disk is full.
    """
    try:
        savepoint.rollback()
    except SQLAlchemyError:
        raise error from None
