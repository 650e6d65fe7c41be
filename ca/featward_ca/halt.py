"""What stands before every signature whatever was attested: the switch that stops issuing, and the
clock.

Both are judged inside of the transaction that stores the intent, so that they hold for all replicas
from the commit on that sets them. Authorities and the CA's own SVID are signed while issuing is
halted: what was halted for a key in wrong hands is mended by a rotation, and callers have to be
able to reach the CA to be told.
"""

from dataclasses import dataclass

from featward_ca.clock import REMEDY, Clock, readable
from featward_ca.errors import ClockSkewError, IssuanceHaltedError
from featward_ca.store import issuance
from featward_ca.store.issuance import Halted
from featward_ca.store.store import Connection, Store

# Steps of a disciplined clock are smaller, and two replicas' clocks are this near to each other.
_CLOCK_TOLERANCE = 5.0
# How seldom the latest time is written: a row that all replicas write would make them wait.
_CLOCK_STEP = 1.0


@dataclass(frozen=True)
class Leave:
    """What the switch says at the moment of an intent."""

    halted: Halted | None

    def check(self) -> None:
        """Raise IssuanceHaltedError when nothing may be issued."""
        if self.halted is not None:
            raise IssuanceHaltedError(
                "the CA's administrator has halted issuing; it goes on without a new connection"
                " once it is resumed"
            )


class Halt:
    """The switch and the clock of one environment."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def enter(self, connection: Connection) -> Leave:
        """Begin a transaction that stores intents. Raises ClockSkewError."""
        now, row = self._clock.now(), issuance.read(connection)
        if now < row.clock_high - _CLOCK_TOLERANCE:
            raise ClockSkewError(
                f"clock-skew: the CA's clock says {readable(now)}, {row.clock_high - now:.0f} s before"
                f" its last signature at {readable(row.clock_high)}; {REMEDY}"
            )
        if now > row.clock_high + _CLOCK_STEP:
            issuance.raise_clock(connection, now)
        return Leave(row.halted)

    async def halted(self) -> Halted | None:
        """Whether issuing is halted."""
        return (await self._store.read(issuance.read)).halted

    async def halt(self, by: str, reason: str) -> bool:
        """Issue nothing from now on; False when that was so before."""
        halted = Halted(self._clock.now(), by, reason)
        return await self._store.run(lambda connection: issuance.halt(connection, halted))

    async def resume(self) -> bool:
        """Issue again; False when it was not halted."""
        return await self._store.run(issuance.resume)
