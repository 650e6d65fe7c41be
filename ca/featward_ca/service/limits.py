"""Allowances per caller, in bounded memory."""

from collections import OrderedDict

from featward_ca.errors import TooManyRequestsError
from featward_ca.service.rpcs import Limit, Rate

# More callers than this are forgotten oldest first; who was forgotten starts with a full allowance.
_REMEMBERED = 50_000


class Allowance:
    """The limits of one call, for all its callers."""

    def __init__(self, limit: Limit) -> None:
        self._limit = limit
        self._at_once = 0
        self._each = _Buckets(limit.each)
        self._together = _Buckets(limit.together) if limit.together else None

    def enter(self, caller: str | None, now: float) -> None:
        """Count one call in; pair it with `leave`. None: nobody can tell these callers apart, so
        what they do together is all that is limited. Raises TooManyRequestsError.
        """
        if self._at_once >= self._limit.at_once:
            raise TooManyRequestsError(
                "too many calls of this kind are under way; try again in a second"
            )
        # The caller's own comes first: who calls too often must not use up what is for all.
        if caller is not None and not self._each.take(caller, now):
            raise TooManyRequestsError("this caller calls too often; try again in a second")
        if self._together is not None and not self._together.take("", now):
            raise TooManyRequestsError("there are too many calls of this kind; try again soon")
        self._at_once += 1

    def leave(self) -> None:
        """The call is over."""
        self._at_once -= 1


class _Buckets:
    """One token bucket for each caller."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        # Caller to (allowance left, when that was so).
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, caller: str, now: float) -> bool:
        left, then = self._left.pop(caller, (self._rate.burst, now))
        left = min(self._rate.burst, left + max(0.0, now - then) * self._rate.per_second)
        self._left[caller] = (max(0.0, left - 1), now)
        if len(self._left) > _REMEMBERED:
            self._left.popitem(last=False)
        return left >= 1
