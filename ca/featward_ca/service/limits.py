"""Allowances per caller, in bounded memory."""

from collections import Counter, OrderedDict
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
        self._of_svid: Counter[str] = Counter()
        self._each = Buckets(limit.each)
        self._together = Buckets(limit.together) if limit.together else None

    def enter(self, caller: str | None, now: float, serial: str | None = None) -> None:
        """Count one call in; pair it with `leave`. None: nobody can tell these callers apart, so
        what they do together is all that is limited. `serial`: of the SVID that is shown. Raises
        TooManyRequestsError.
        """
        most = self._limit.each_svid_at_once
        if serial is not None and most is not None and self._of_svid[serial] >= most:
            raise TooManyRequestsError(
                f"{most} calls of this kind are under way with this SVID, which is the most; end one"
            )
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
        if serial is not None:
            self._of_svid[serial] += 1

    def leave(self, serial: str | None = None) -> None:
        """The call is over."""
        self._at_once -= 1
        if serial is not None:
            self._of_svid[serial] -= 1
            if not self._of_svid[serial]:
                del self._of_svid[serial]


@dataclass(slots=True)
class _Bucket:
    """`left`: what may be called at once; `awaited`: how many were sent away and have not had the
    time to come back, at our rate; both as of `then`.
    """

    left: float
    then: float
    awaited: float = 0.0


class Buckets:
    """One token bucket for each caller."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._of: OrderedDict[str, _Bucket] = OrderedDict()

    def take(self, caller: str, now: float, amount: int = 1) -> float:
        """Take so many, at most the burst; 0 if they were there, else the seconds after which it
        makes sense to come back.
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
        if bucket.left >= amount:
            bucket.left -= amount
            return 0.0
        bucket.awaited += amount
        return min(_LONGEST_WAIT, bucket.awaited / rate.per_second)
