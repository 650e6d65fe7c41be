"""Makes SVIDs for workloads that were attested: from proof to order, and from certificate to chain.

What each refusal is for: a request that no profile allows, a scope that is not the authority's and
an authority that has ended are refused; only the life of an SVID is clamped (see `expiry`).
"""

import random
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from featward.identity.spiffe import SpiffeId
from featward.identity.v1 import identity_pb2
from featward_ca import expiry
from featward_ca.attest import Attested, Method
from featward_ca.attest.renewal import Stored
from featward_ca.authorities import Authorities, Authority
from featward_ca.batch import Leaf
from featward_ca.clock import Clock
from featward_ca.errors import CaError, EvidenceNeededError
from featward_ca.issuance import new_serial
from featward_ca.leaves import Leaves
from featward_ca.profile import Purpose
from featward_ca.recorded import Request
from featward_ca.requests import Key
from featward_ca.rotation.known import PLATFORM
from featward_ca.serials import serial_text
from featward_ca.settings import Lifetimes
from featward_ca.store.store import Store
from featward_ca.store.svids import Cap, LineageRow, SvidRow

# Renewal is due at half of the life, give or take a tenth of it, so that what started together does
# not stay so.
_HALF_LIFE, _JITTER = 0.5, 0.05


@dataclass(frozen=True)
class IssuedSvid:
    """An SVID with its chain (leaf, then intermediate; DER)."""

    row: SvidRow
    chain: tuple[bytes, bytes]

    def message(self) -> identity_pb2.Svid:
        """The protocol's form."""
        return identity_pb2.Svid(
            lineage=self.row.lineage,
            spiffe_id=self.row.spiffe_id,
            chain=self.chain,
            not_before=self.row.not_before,
            not_after=self.row.not_after,
            issued_at=self.row.issued_at,
            renew_at=self.row.renew_at,
        )


@dataclass(frozen=True)
class Wanted:
    """One SVID for a proven workload and the key that it showed."""

    request: Request
    attested: Attested
    key: Key


class Issuer:
    """Issues SVIDs, and canaries that prove it could."""

    def __init__(
        self, authorities: Authorities, leaves: Leaves, store: Store, clock: Clock
    ) -> None:
        self._authorities = authorities
        self._leaves = leaves
        self._store = store
        self._clock = clock

    async def issue(
        self, request: Request, attested: Attested, key: Key, lifetimes: Lifetimes
    ) -> IssuedSvid:
        """An SVID for this key. Raises what the claim of the evidence raises, and IssuanceError."""
        (issued,) = await self.issue_many([Wanted(request, attested, key)], lifetimes)
        if isinstance(issued, CaError):
            raise issued
        return issued

    async def issue_many(
        self, orders: Sequence[Wanted], lifetimes: Lifetimes
    ) -> list[IssuedSvid | CaError]:
        """For each order its SVID, or why there is none: what the claim of its evidence raises, an
        IssuanceError, IssuanceHaltedError, ClockSkewError or StoreError.
        """
        leaves: list[Leaf | CaError] = []
        for order in orders:
            try:
                leaves.append(self._leaf(order, lifetimes))
            except CaError as error:
                leaves.append(error)
        made = iter(await self._leaves.make([one for one in leaves if isinstance(one, Leaf)]))
        return [one if isinstance(one, CaError) else _issued(one, next(made)) for one in leaves]

    def again(self, stored: Stored) -> IssuedSvid:
        """What was issued before, as it was issued. Raises EvidenceNeededError when it has ended."""
        for row in self._authorities.rows:
            if row.id == stored.row.authority:
                return IssuedSvid(stored.row, (stored.certificate, row.der))
        raise EvidenceNeededError("the SVID and its authority have expired; attest again")

    async def canary(self, trust_domain: str, key: Key, lifetimes: Lifetimes) -> None:
        """Sign a certificate that expired before it was made, through every step of issuing but
        the queue. Raises CaError.
        """
        authority = self._authorities.active(PLATFORM)
        start = _earliest(int(self._clock.now() - lifetimes.backdate), authority)
        leaf = Leaf(
            request=Request("canary", "health"),
            purpose=Purpose.CANARY,
            authority=authority,
            key=key,
            spiffe_id=str(SpiffeId.of(trust_domain, "/featward/canary")),
            serial=new_serial(),
            not_before=start,
            not_after=start + 1,
        )
        await self._leaves.make_now(leaf)

    def _leaf(self, wanted: Wanted, lifetimes: Lifetimes) -> Leaf:
        attested, now = wanted.attested, int(self._clock.now())
        authority = self._authorities.active(attested.workload.business_unit)
        row = self._row(wanted, authority, lifetimes)
        return Leaf(
            request=wanted.request,
            purpose=Purpose.SVID,
            authority=authority,
            key=wanted.key,
            spiffe_id=row.spiffe_id,
            serial=int(row.serial, 16),
            not_before=row.not_before,
            not_after=row.not_after,
            claim=attested.claim,
            outrun=attested.outrun,
            lineage=None if attested.lineage else _lineage(attested, row, now),
            row=row,
            at_halt=attested.method is Method.SELF,
        )

    def _row(self, wanted: Wanted, authority: Authority, lifetimes: Lifetimes) -> SvidRow:
        attested, now = wanted.attested, int(self._clock.now())
        end = expiry.least(expiry.limits(now, lifetimes, [authority.row]))
        half = _HALF_LIFE + random.uniform(-_JITTER, _JITTER)  # noqa: S311  # spreads load, hides nothing
        return SvidRow(
            serial=serial_text(new_serial()),
            lineage=attested.lineage or secrets.token_hex(16),
            spiffe_id=str(attested.workload.spiffe_id),
            authority=authority.row.id,
            spki_sha256=wanted.key.sha256,
            issued_at=now,
            not_before=_earliest(int(now - lifetimes.backdate), authority),
            not_after=end.not_after,
            renew_at=int(now + min(end.not_after - now, lifetimes.renewal_life) * half),
            cap=Cap(end.bound),
            replica=self._store.replica,
            renewed_from=attested.renewed_from,
        )


def _issued(leaf: Leaf, outcome: bytes | CaError) -> IssuedSvid | CaError:
    if isinstance(outcome, CaError):
        return outcome
    assert leaf.row is not None  # noqa: S101  # narrows a type: every SVID has one
    return IssuedSvid(leaf.row, (outcome, leaf.authority.row.der))


def _earliest(start: int, authority: Authority) -> int:
    """Back-dated, but not to before the authority: no verifier would accept such a chain."""
    return max(start, authority.row.not_before)


def _lineage(attested: Attested, row: SvidRow, now: int) -> LineageRow:
    return LineageRow(
        row.lineage,
        row.spiffe_id,
        attested.workload.name,
        attested.method,
        now,
        cluster=attested.cluster,
    )
