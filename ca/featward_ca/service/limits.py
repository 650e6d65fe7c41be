"""Allowances per caller, in bounded memory."""

from collections import OrderedDict
from dataclasses import dataclass

from featward_ca.errors import TooManyRequestsError
from featward_ca.service.rpcs import Limit, Rate

# More callers than this are forgotten oldest first; who was forgotten starts with a full allowance.
_REMEMBERED = 50_000


# No caller is sent away for longer. Sidecars spread it over half as much again, and one whose identity has
# ended tries every 20 s: together less than the minute within which all are back after the CA is. At the
# rate of the table of calls that paces 14,000 callers who come at once.
_LONGEST_WAIT = 20.0


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
        if caller is not None and (wait := self._each.take(caller, now)):
            raise TooManyRequestsError("this caller calls too often; try again later", wait)
        if self._together is not None and (wait := self._together.take("", now)):
            raise TooManyRequestsError(
                "there are too many calls of this kind; come back later", wait
            )
        self._at_once += 1

    def leave(self) -> None:
        """The call is over."""
        self._at_once -= 1


@dataclass(slots=True)
class _Bucket:
    """`left`: what may be called at once; `awaited`: how many were sent away and have not had the
    time to come back, at our rate; both as of `then`.
    """

    left: float
    then: float
    awaited: float = 0.0


class _Buckets:
    """One token bucket for each caller."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._of: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: str, now: float) -> float:
        """Take one; 0 if there was one, else the seconds after which it makes sense to come back.
        Each who is sent away is told a later moment, so that they do not come back together.
        """
        rate = self._rate
        bucket = self._of.pop(caller, None) or _Bucket(rate.burst, now)
        self._of[caller] = bucket
        if len(self._of) > _REMEMBERED:
            self._of.popitem(last=False)
        fresh = max(0.0, now - bucket.then) * rate.per_second
        bucket.left = min(rate.burst, bucket.left + fresh)
        bucket.awaited = max(0.0, bucket.awaited - fresh)
        bucket.then = now
        if bucket.left >= 1:
            bucket.left -= 1
            return 0.0
        bucket.awaited += 1
        return min(_LONGEST_WAIT, bucket.awaited / rate.per_second)
