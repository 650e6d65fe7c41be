"""Allowances per caller, in bounded memory."""

from collections import OrderedDict

from featward_ca.errors import TooManyRequestsError
from featward_ca.service.rpcs import Limit

# More callers than this are forgotten oldest first; who was forgotten starts with a full allowance.
_REMEMBERED = 50_000


class Allowance:
    """The limits of one call, for all its callers."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._at_once = 0
        # Caller to (allowance left, when that was so).
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def enter(self, caller: str, now: float) -> None:
        """Count one call in; pair it with `leave`. Raises TooManyRequestsError."""
        if self._at_once >= self._limit.at_once:
            raise TooManyRequestsError(
                "too many calls of this kind are under way; try again in a second"
            )
        left, then = self._left.pop(caller, (self._limit.burst, now))
        left = min(self._limit.burst, left + max(0.0, now - then) * self._limit.per_second)
        self._left[caller] = (max(0.0, left - 1), now)
        if len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)
        if left < 1:
            raise TooManyRequestsError("this caller calls too often; try again in a second")
        self._at_once += 1

    def leave(self) -> None:
        """The call is over."""
        self._at_once -= 1
