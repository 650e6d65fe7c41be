"""How many rows an answer holds: never as many as a caller likes, because all of them are in memory
at once.
"""

_DEFAULT, LARGEST_PAGE = 100, 1000


def page_size(wished: int) -> int:
    """The number of rows for a wish; 0 is none."""
    return min(wished or _DEFAULT, LARGEST_PAGE)
