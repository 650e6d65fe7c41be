"""What everybody in the environment has to trust right now, and the waking of those who wait for
a change.

A change costs one future for all streams together: a stream that waits does no work at all until
then.
"""

import asyncio
from dataclasses import dataclass

from featward.identity.v1 import identity_pb2


@dataclass(frozen=True)
class Trust:
    """The roots and the scope table under one sequence."""

    sequence: int
    trust_domain: str
    # DER.
    roots: tuple[bytes, ...]
    # SHA-256 of an authority's SubjectPublicKeyInfo, and the path prefix that it may sign.
    scopes: tuple[tuple[bytes, str], ...]
    # Whoever has an SVID of one of these keys renews it now.
    tainted: frozenset[bytes] = frozenset()

    def message(self) -> identity_pb2.Trust:
        """The protocol's form."""
        return identity_pb2.Trust(
            sequence=self.sequence,
            trust_domain=self.trust_domain,
            roots=self.roots,
            scopes=[
                identity_pb2.Scope(spki_sha256=key, path_prefix=prefix, tainted=key in self.tainted)
                for key, prefix in self.scopes
            ],
        )


class TrustBroadcast:
    """The newest trust; `after` returns as soon as there is a newer one than the caller has."""

    def __init__(self, first: Trust) -> None:
        self._trust = first
        self._changed = asyncio.Event()

    @property
    def current(self) -> Trust:
        """The newest."""
        return self._trust

    def publish(self, trust: Trust) -> None:
        """Replace the newest and wake everybody; one of the same or a lower sequence changes
        nothing.
        """
        if trust.sequence <= self._trust.sequence:
            return
        self._trust = trust
        self._changed.set()
        self._changed = asyncio.Event()

    async def after(self, sequence: int) -> Trust:
        """The newest trust, once its sequence is higher than this."""
        while self._trust.sequence <= sequence:
            await self._changed.wait()
        return self._trust
