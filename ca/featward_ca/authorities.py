"""The environment's authorities as this process uses them: who signs for whom, with which key, and
what everybody has to trust.

What becomes of them is decided and done in `rotation`; here is only what is stored, read again
after every change.
"""

import asyncio
from dataclasses import dataclass
from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from featward_ca.clock import REMEDY, Clock, readable
from featward_ca.errors import ClockSkewError, ConfigurationError, NoAuthorityError
from featward_ca.issuance import Signer
from featward_ca.keys import KeyStore
from featward_ca.metrics import Metrics
from featward_ca.requests import spki_sha256
from featward_ca.rotation.known import PLATFORM, ROOT
from featward_ca.store import authority_rows
from featward_ca.store.authority_rows import AuthorityRow, State
from featward_ca.store.store import Connection, Store
from featward_ca.trust import Trust


@dataclass(frozen=True)
class Authority:
    """One usable authority: its row, its certificate and what `Issuance` needs to sign with it."""

    row: AuthorityRow
    certificate: x509.Certificate
    signer: Signer


class Authorities:
    """All authorities of one environment; `load` after every change."""

    def __init__(self, keys: KeyStore, store: Store, clock: Clock, metrics: Metrics) -> None:
        self._keys = keys
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._rows: list[AuthorityRow] = []
        self._signers: dict[str, Authority] = {}
        self._sequence = 0
        self._loading = asyncio.Lock()

    async def load(self) -> None:
        """Read what is stored and open its keys. Raises KeyEncryptionError."""
        # One at a time, because reads of a shared store may end in another order.
        async with self._loading:
            self._rows, self._sequence = await self._store.read(_read)
            self._open_all()

    def _open_all(self) -> None:
        before, self._signers = self._signers, {}
        for row in self._rows:
            if row.key is not None:
                self._signers[row.id] = self._open(row, before.get(row.id))
        self._publish_metrics()

    def active(self, owner: str) -> Authority:
        """The authority that signs for a business unit or for ``platform`` now. Raises
        NoAuthorityError, or ClockSkewError for one that begins later.
        """
        row = self._find(owner, State.ACTIVE)
        if row is None or row.not_after <= self._clock.now():
            raise NoAuthorityError(f"there is no authority for {owner} at the moment")
        if (now := self._clock.now()) < row.not_before:
            raise ClockSkewError(
                f"clock-skew: the CA's clock says {readable(now)}, and the authority of {owner} begins"
                f" at {readable(row.not_before)}; {REMEDY}"
            )
        if row.id not in self._signers:
            raise NoAuthorityError(f"the key of {owner}'s authority is not on this machine")
        return self._signers[row.id]

    @property
    def root(self) -> Authority:
        """The root that signs authorities. Raises NoAuthorityError, also where another machine
        keeps its key.
        """
        return self.active(ROOT)

    @property
    def root_sha256(self) -> bytes:
        """The digest of the root that the CA's own chain ends in, by which a stranger knows it.
        Raises NoAuthorityError.
        """
        platform = self.active(PLATFORM).row
        return next(sha256(row.der).digest() for row in self._rows if row.id == platform.issuer)

    @property
    def rows(self) -> list[AuthorityRow]:
        """All that are announced."""
        return list(self._rows)

    @property
    def sequence(self) -> int:
        """Of what is announced, as last read."""
        return self._sequence

    def trust(self, trust_domain: str) -> Trust:
        """The roots and scopes of all that are announced."""
        scoped = [row for row in self._rows if row.path_prefix]
        return Trust(
            self._sequence,
            trust_domain,
            tuple(row.der for row in self._rows if row.owner == ROOT),
            tuple((row.spki_sha256, row.path_prefix or "") for row in scoped),
            frozenset(row.spki_sha256 for row in scoped if row.state is State.TAINTED),
        )

    def _find(self, owner: str, state: State) -> AuthorityRow | None:
        return next((row for row in self._rows if row.owner == owner and row.state is state), None)

    def _open(self, row: AuthorityRow, known: Authority | None) -> Authority:
        if known is not None:
            return Authority(row, known.certificate, known.signer)
        assert row.key is not None  # noqa: S101  # the caller looked
        public = self._keys.load(row.key)
        certificate = x509.load_der_x509_certificate(row.der)
        if row.spki_sha256 != spki_sha256(public):
            raise ConfigurationError(
                f"the stored key of authority {row.id} is not its certificate's; restore a backup"
            )
        return Authority(row, certificate, Signer(certificate, _ec(certificate)))

    def _publish_metrics(self) -> None:
        self._metrics.sequence.set(self._sequence)
        for row in self._rows:
            if row.state is State.ACTIVE:
                purpose = "root" if row.owner == ROOT else "authority"
                self._metrics.expiry.labels(purpose, row.owner).set(row.not_after)


def _read(connection: Connection) -> tuple[list[AuthorityRow], int]:
    return authority_rows.announced(connection), authority_rows.sequence(connection)


def _ec(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101  # the linter allowed no other
    return key
