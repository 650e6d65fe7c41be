"""Makes SVIDs for workloads that were attested: the order of steps, from proof to chain."""

import random
import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec

from featward.identity.spiffe import SpiffeId
from featward.identity.v1 import identity_pb2
from featward_ca.attest import Attested
from featward_ca.attest.renewal import Stored
from featward_ca.authorities import Authorities, Authority
from featward_ca.clock import Clock
from featward_ca.directory import Workload
from featward_ca.errors import EvidenceNeededError
from featward_ca.issuance import der, new_serial
from featward_ca.profile import Order, Purpose
from featward_ca.recorded import RecordedIssuance, Request, serial_text
from featward_ca.requests import spki_sha256
from featward_ca.rotation.known import PLATFORM
from featward_ca.settings import Lifetimes
from featward_ca.store import svids
from featward_ca.store.store import Connection, Store
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


class Issuer:
    """Issues SVIDs, and canaries that prove it could."""

    def __init__(
        self, authorities: Authorities, issuance: RecordedIssuance, store: Store, clock: Clock
    ) -> None:
        self._authorities = authorities
        self._issuance = issuance
        self._store = store
        self._clock = clock

    async def issue(
        self,
        request: Request,
        attested: Attested,
        key: ec.EllipticCurvePublicKey,
        lifetimes: Lifetimes,
    ) -> IssuedSvid:
        """An SVID for this key. Raises what the claim of the evidence raises, and IssuanceError."""
        authority = self._authorities.active(attested.workload.business_unit)
        order = self._order(attested.workload, key, authority, lifetimes)
        row = self._row(attested, order, authority)

        def intend(connection: Connection) -> None:
            attested.claim(connection)
            if attested.lineage is None:
                svids.add_lineage(connection, _lineage(attested, row))
            svids.add(connection, row)

        certificate = await self._issuance.issue(
            request,
            order,
            authority.signer,
            intend=intend,
            complete=lambda connection, raw: svids.complete(connection, row.serial, raw),
            abandon=lambda connection: svids.release(connection, row.serial),
        )
        return IssuedSvid(row, (der(certificate), authority.row.der))

    def again(self, stored: Stored) -> IssuedSvid:
        """What was issued before, as it was issued. Raises EvidenceNeededError when it has ended."""
        for row in self._authorities.rows:
            if row.id == stored.row.authority:
                return IssuedSvid(stored.row, (stored.certificate, row.der))
        raise EvidenceNeededError("the SVID and its authority have expired; attest again")

    async def canary(
        self, trust_domain: str, key: ec.EllipticCurvePublicKey, lifetimes: Lifetimes
    ) -> None:
        """Sign a certificate that expired before it was made, through every step of issuing.
        Raises CaError.
        """
        authority = self._authorities.active(PLATFORM)
        start = _earliest(int(self._clock.now() - lifetimes.backdate), authority)
        order = Order(
            purpose=Purpose.CANARY,
            public_key=key,
            serial=new_serial(),
            not_before=start,
            not_after=start + 1,
            spiffe_id=SpiffeId.of(trust_domain, "/featward/canary"),
        )
        request = Request("canary", "health")
        await self._issuance.issue(request, order, authority.signer)

    def _order(
        self,
        workload: Workload,
        key: ec.EllipticCurvePublicKey,
        authority: Authority,
        lifetimes: Lifetimes,
    ) -> Order:
        now = int(self._clock.now())
        return Order(
            purpose=Purpose.SVID,
            public_key=key,
            serial=new_serial(),
            not_before=_earliest(int(now - lifetimes.backdate), authority),
            not_after=min(int(now + lifetimes.svid), authority.row.not_after),
            spiffe_id=workload.spiffe_id,
        )

    def _row(self, attested: Attested, order: Order, authority: Authority) -> SvidRow:
        now = int(self._clock.now())
        half = _HALF_LIFE + random.uniform(-_JITTER, _JITTER)  # noqa: S311  # spreads load, hides nothing
        return SvidRow(
            serial=serial_text(order.serial),
            lineage=attested.lineage or secrets.token_hex(16),
            spiffe_id=str(order.spiffe_id),
            authority=authority.row.id,
            spki_sha256=spki_sha256(order.public_key),
            issued_at=now,
            not_before=order.not_before,
            not_after=order.not_after,
            renew_at=int(now + (order.not_after - now) * half),
            cap=Cap.AUTHORITY if order.not_after == authority.row.not_after else Cap.SVID_TTL,
            replica=self._store.replica,
            renewed_from=attested.renewed_from,
        )


def _earliest(start: int, authority: Authority) -> int:
    """Back-dated, but not to before the authority: no verifier would accept such a chain."""
    return max(start, authority.row.not_before)


def _lineage(attested: Attested, row: SvidRow) -> LineageRow:
    return LineageRow(
        row.lineage, row.spiffe_id, attested.workload.name, attested.method, row.issued_at
    )
