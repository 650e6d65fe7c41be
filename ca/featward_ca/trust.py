"""What everybody in the environment has to trust right now, and the telling of those who wait for
a change.

A change costs one call for each of those who listen: a stream that waits does no work at all until
then.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

from featward.identity.v1 import identity_pb2
from featward_ca.bans import Ban


@dataclass(frozen=True)
class ForeignRoots:
    """Who may identify workloads of a foreign trust domain; `sequence` is that domain's own."""

    trust_domain: str
    sequence: int
    # DER.
    roots: tuple[bytes, ...]

    def message(self) -> identity_pb2.ForeignBundle:
        """The protocol's form."""
        return identity_pb2.ForeignBundle(
            trust_domain=self.trust_domain, sequence=self.sequence, roots=self.roots
        )


@dataclass(frozen=True)
class Trust:
    """The roots, the scope table, the bans and the foreign roots under one sequence."""

    sequence: int
    trust_domain: str
    # DER.
    roots: tuple[bytes, ...]
    # SHA-256 of an authority's SubjectPublicKeyInfo, and the path prefix that it may sign.
    scopes: tuple[tuple[bytes, str], ...]
    # Those of the scopes whose SVIDs are to be renewed, each at a random moment within this time.
    tainted: frozenset[bytes] = frozenset()
    reissue_within_ms: int = 0
    bans: tuple[Ban, ...] = ()
    foreign: tuple[ForeignRoots, ...] = ()

    def message(self) -> identity_pb2.Trust:
        """The protocol's form; shared, so never changed."""
        return self._message

    @cached_property
    def _message(self) -> identity_pb2.Trust:
        return identity_pb2.Trust(
            sequence=self.sequence,
            trust_domain=self.trust_domain,
            roots=self.roots,
            scopes=[
                identity_pb2.Scope(spki_sha256=key, path_prefix=prefix, tainted=key in self.tainted)
                for key, prefix in self.scopes
            ],
            bans=[ban.message() for ban in self.bans],
            foreign=[one.message() for one in self.foreign],
            reissue_within_ms=self.reissue_within_ms,
        )

    @cached_property
    def pushed(self) -> bytes:
        """A message of a stream with nothing else in it, serialised once for all streams. Fields that
        follow it belong to the same message, as protobuf has it.
        """
        return identity_pb2.WatchIdentityResponse(trust=self._message).SerializeToString()

    def is_urgent_after(self, before: "Trust") -> bool:
        """Whether somebody who was trusted before is trusted less now. What is only added can take
        its time.
        """
        return bool(
            set(self.bans) - set(before.bans)
            or self.tainted - before.tainted
            or set(before.roots) - set(self.roots)
            or set(before.scopes) - set(self.scopes)
            or before._foreign_roots - self._foreign_roots
        )

    @property
    def _foreign_roots(self) -> set[tuple[str, bytes]]:
        return {(one.trust_domain, root) for one in self.foreign for root in one.roots}


# Called with the trust of before and the newest one.
Listening = Callable[[Trust, Trust], None]


class TrustBroadcast:
    """The newest trust; `after` returns as soon as there is a newer one than the caller has."""

    def __init__(self, first: Trust) -> None:
        self._trust = first
        self._changed = asyncio.Event()
        self._listening: list[Listening] = []

    @property
    def current(self) -> Trust:
        """The newest."""
        return self._trust

    def subscribe(self, listening: Listening) -> None:
        """Call this at each change from now on. It must not wait, and not raise."""
        self._listening.append(listening)

    def publish(self, trust: Trust) -> None:
        """Replace the newest and tell everybody; one of the same or a lower sequence changes
        nothing.
        """
        if trust.sequence <= self._trust.sequence:
            return
        before, self._trust = self._trust, trust
        self._changed.set()
        self._changed = asyncio.Event()
        for listening in self._listening:
            listening(before, trust)

    async def after(self, sequence: int) -> Trust:
        """The newest trust, once its sequence is higher than this."""
        while self._trust.sequence <= sequence:
            await self._changed.wait()
        return self._trust
