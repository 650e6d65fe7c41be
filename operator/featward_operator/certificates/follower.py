"""Every replica's half: follows the Secret, and shows a leaf of the authority that is current in it."""

import asyncio
import time
from collections.abc import Callable
from typing import Any, NoReturn

from featward.kubernetes.gateway import Gateway
from featward.kubernetes.reflector import Reflector
from featward.kubernetes.resource import SECRETS, Key
from featward_operator.certificates.authority import Kept
from featward_operator.certificates.keeper import SECRET, kept_in
from featward_operator.certificates.leaf import ServingCertificate

__all__ = ["CertificateFollower"]

# At the least; a leaf that lives shortly is looked at twelve times in its life.
_TICK_SECONDS = 30.0


class CertificateFollower:
    """Keeps a `ServingCertificate` fresh, by what the leader stores and by the wall clock."""

    def __init__(
        self,
        gateway: Gateway,
        namespace: str,
        certificate: ServingCertificate,
        *,
        changed: Callable[[Kept], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """``changed`` is told whenever another leaf is shown. The clock is looked at often and never slept for,
        as a machine that slept has moved it."""
        self._certificate = certificate
        self._changed = changed
        self._clock = clock
        self._tick = min(_TICK_SECONDS, certificate.life / 12)
        self._kept: Kept | None = None
        self.ready = asyncio.Event()
        """Set when there is a leaf to show."""
        self._reflector = Reflector[Any](
            gateway,
            SECRETS,
            kept_in,
            self._take,
            namespace=namespace,
            fields=f"metadata.name={SECRET}",
        )

    async def run(self) -> NoReturn:
        """Until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._reflector.run())
            while True:
                self._refresh()
                await asyncio.sleep(self._tick)
        raise AssertionError("a reflector never ends by itself")

    def _take(self, _key: Key, _before: Kept | None, now: Kept | None) -> None:
        # A Secret that somebody has deleted or spoilt: what we have is good until the leader makes another.
        self._kept = now or self._kept
        self._refresh()

    def _refresh(self) -> None:
        if self._kept and self._certificate.use(self._kept.current, self._clock()):
            self.ready.set()
            self._changed(self._kept)
