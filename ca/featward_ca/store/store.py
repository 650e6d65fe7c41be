"""The store as the rest of the CA sees it, whichever database is behind it.

A piece of work is a function over a connection, made of the statements in this package's other
modules. It must not wait for anything else, because others wait for it; it may be given a
connection that already holds what others wrote in the same group; and it changes nothing but rows,
because it may be run in another thread, and again when a first run was undone.
"""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol, TypeVar

from sqlalchemy import Connection

__all__ = ["Connection", "Store"]

_Result = TypeVar("_Result")


class Store(Protocol):
    """All state of one environment's CA. Every call raises StoreError when the database fails."""

    @property
    def kind(self) -> str:
        """``sqlite`` or ``postgresql``."""
        ...

    @property
    def shared(self) -> bool:
        """Whether other processes may be on it at the same time."""
        ...

    @property
    def file(self) -> Path | None:
        """The one file that all of it is in, if it is in one."""
        ...

    @property
    def replica(self) -> str:
        """The name under which this process writes its rows: new at every start, so that what a
        killed one left behind is told from what is under way.
        """
        ...

    def rename(self) -> None:
        """Take a new name, because the others took the bearer of the old one for dead."""
        ...

    async def run(self, work: Callable[[Connection], _Result]) -> _Result:
        """Return what `work` returns once it is durable. It shares a transaction, and its fsync,
        with all that waits at the same moment, and fails alone: raises what it raises, with all
        it wrote undone.
        """
        ...

    async def read(self, query: Callable[[Connection], _Result]) -> _Result:
        """Return what `query` reads from all that is committed."""
        ...

    async def exclusive(self, work: Callable[[Connection], _Result]) -> _Result:
        """As `run`, in a transaction of its own under the one lock that guards rotation: no other
        replica is inside of `exclusive` meanwhile, and `work` sees all that they wrote.
        """
        ...

    def changes(self) -> AsyncIterator[int]:
        """The sequence of the trust now, and again after each change by anybody: of the trust, of
        an authority's state, of whether issuing is halted.
        """
        ...

    def close(self) -> None:
        """Let go of the database."""
        ...
