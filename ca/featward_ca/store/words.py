"""Reads the words that a column may hold. The database checks them as they are written, so another one is
damage, and whoever meets it has to know which row it is and what helps.
"""

from enum import StrEnum
from typing import TypeVar

from featward_ca.errors import StoreError

_Word = TypeVar("_Word", bound=StrEnum)


def word(words: type[_Word], value: str, table: str, row: object) -> _Word:
    """The column's value in the row that is named so. Raises StoreError for one that no version
    wrote.
    """
    try:
        return words(value)
    except ValueError as error:
        raise StoreError(
            f"the row {row} of the table {table} can't be read ({error}); stop the CA and bring the"
            " store back from a backup: featward ca restore"
        ) from error
