"""How many of something there are, as people say it."""

from collections.abc import Sized


def counted(number: int | Sized, one: str, many: str = "") -> str:
    """``1 client``, ``3 clients``; of a list, how long it is. `many`: where an s does not make it."""
    amount = number if isinstance(number, int) else len(number)
    return f"{amount} {one if amount == 1 else many or one + 's'}"
