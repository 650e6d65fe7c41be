"""Waiting for what a cluster does in its own time."""

import time
from collections.abc import Callable

__all__ = ["wait_until"]

_STEP_SECONDS = 0.1


def wait_until(holds: Callable[[], object], what: str, seconds: float = 60.0) -> None:
    """Return when it holds; fails with the sentence `what` if it doesn't in that time."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(_STEP_SECONDS)
