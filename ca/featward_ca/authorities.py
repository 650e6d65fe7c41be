"""The environment's authorities: makes the missing ones, replaces them in time, and tells what
to trust.

`tend` is the whole schedule as one idempotent step: it looks at what is stored, does what is due at
this moment, and returns when it wants to be called again. A kill at any point leaves a state from
which the next call goes on. An authority is *prepared* (announced in the scope table, not used),
*active* one SVID lifetime later, *old* when its successor is active, *expired* at its end, and
*retired*, announced no more, when none of its SVIDs may be renewed either.
"""

import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from featward.logs import fields
from featward_ca.clock import Clock
from featward_ca.directory import Directory, path_prefix
from featward_ca.errors import ConfigurationError, NoAuthorityError, OvertakenError
from featward_ca.issuance import Signer, new_serial
from featward_ca.keys import KeyStore
from featward_ca.metrics import Metrics
from featward_ca.profile import Order, Purpose, SubjectName
from featward_ca.recorded import RecordedIssuance, Request
from featward_ca.requests import authority_id, spki_sha256
from featward_ca.rotation.known import PLATFORM, ROOT
from featward_ca.settings import PREPARE_AT_LEFT, REATTEST_GRACE, Lifetimes
from featward_ca.store import authority_rows
from featward_ca.store.authority_rows import AuthorityRow, State
from featward_ca.store.store import Connection, Store
from featward_ca.trust import Trust

_log = logging.getLogger(__name__)

PLATFORM_PREFIX = "/featward/"
_SCHEDULE = "schedule"


@dataclass(frozen=True)
class Authority:
    """One usable authority: its row, its certificate and what `Issuance` needs to sign with it."""

    row: AuthorityRow
    certificate: x509.Certificate
    signer: Signer


class Authorities:
    """All authorities of one environment; `load` first, then `tend` whenever it says."""

    def __init__(
        self,
        keys: KeyStore,
        issuance: RecordedIssuance,
        store: Store,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._keys = keys
        self._issuance = issuance
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._rows: list[AuthorityRow] = []
        self._signers: dict[str, Authority] = {}
        self._sequence = 0

    async def load(self) -> None:
        """Read what is stored and open its keys. Raises KeyEncryptionError."""
        self._rows, self._sequence = await self._store.run(_read)
        # Another replica may have ended some.
        usable = {row.id for row in self._rows if row.key is not None}
        self._signers = {name: one for name, one in self._signers.items() if name in usable}
        for row in self._rows:
            if row.id not in self._signers and row.key is not None:
                self._signers[row.id] = self._open(row)
            elif row.id in self._signers:
                self._signers[row.id] = self._open_again(row)
        self._publish_metrics()

    async def tend(self, directory: Directory, lifetimes: Lifetimes) -> float:
        """Do what is due; returns the moment of the next thing to do. Raises ConfigurationError
        at a dying root.
        """
        await self._expire()
        await self._ensure_root(directory, lifetimes)
        owners = {PLATFORM: PLATFORM_PREFIX}
        owners |= {
            unit: path_prefix(directory.environment, unit) for unit in directory.business_units
        }
        for owner, prefix in owners.items():
            await self._tend_owner(owner, prefix, lifetimes)
        return min(self._due(owners, lifetimes))

    def active(self, owner: str) -> Authority:
        """The authority that signs for a business unit or for ``platform`` now. Raises NoAuthorityError."""
        row = self._find(owner, State.ACTIVE)
        if row is None or row.not_after <= self._clock.now():
            raise NoAuthorityError(f"there is no authority for {owner} at the moment")
        return self._signers[row.id]

    @property
    def root(self) -> Authority:
        """The root that signs authorities."""
        return self.active(ROOT)

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
        roots = tuple(row.der for row in self._rows if row.owner == ROOT)
        scopes = tuple((row.spki_sha256, row.path_prefix) for row in self._rows if row.path_prefix)
        return Trust(self._sequence, trust_domain, roots, scopes)

    async def _ensure_root(self, directory: Directory, lifetimes: Lifetimes) -> None:
        now = self._clock.now()
        row = self._find(ROOT, State.ACTIVE)
        made = row is None and await self._store.read(authority_rows.any_made)
        if made:
            # By another replica a moment ago, or long ago.
            await self.load()
            row = self._find(ROOT, State.ACTIVE)
        if made and row is None:
            raise ConfigurationError(
                "the environment's root has expired, or its key was given up, and nothing that it"
                " signed is accepted any more; make a new one: featward ca recover root"
            )
        if row is None:
            await self.make_root(directory.trust_domain, lifetimes)
            return
        longest = max(lifetimes.of(owner) for owner in (PLATFORM, *directory.business_units))
        if row.not_after < now + longest:
            raise ConfigurationError(
                f"the environment's root ends in {row.not_after - now:.0f} s, before an authority"
                f" made now would ({longest:.0f} s); shorten authority.lifetime"
            )

    async def make_root(self, trust_domain: str, lifetimes: Lifetimes) -> None:
        """Make the root of an environment that has none in force."""
        end = self._clock.now() + lifetimes.root
        await self._create(ROOT, trust_domain, None, end, lifetimes, State.ACTIVE)

    async def _tend_owner(self, owner: str, prefix: str, lifetimes: Lifetimes) -> None:
        """Make, prepare or activate for one owner, whichever is due."""
        now, end = self._clock.now(), self._clock.now() + lifetimes.of(owner)
        active, prepared = self._find(owner, State.ACTIVE), self._find(owner, State.PREPARED)
        if active is None and prepared is None:
            # Nobody can be served from an older one, so there is nothing to announce it beside.
            await self._create(owner, None, prefix, end, lifetimes, State.ACTIVE)
        elif active is None and prepared is not None:
            await self._activate(prepared)
        elif active is not None and prepared is None and now >= _prepare_at(active):
            await self._create(owner, None, prefix, end, lifetimes, State.PREPARED)
        elif prepared is not None and now >= _activate_at(prepared, lifetimes):
            await self._activate(prepared)

    async def _create(
        self,
        owner: str,
        name: str | None,
        prefix: str | None,
        end: float,
        lifetimes: Lifetimes,
        state: State,
    ) -> None:
        """Make a key and its certificate, signed by the root (or by itself: the root), and
        announce it.
        """
        public, kept = self._keys.create()
        name = name or authority_id(public)
        if owner == ROOT:
            purpose, signer, issuer = Purpose.ROOT, Signer(None, public), None
        else:
            root = self.root
            purpose, signer, issuer = Purpose.AUTHORITY, root.signer, root.row.id
        now = self._clock.now()
        order = Order(
            purpose=purpose,
            public_key=public,
            serial=new_serial(),
            not_before=self._start(now, lifetimes, signer),
            not_after=int(end),
            subject=SubjectName(owner, name),
        )

        def intend(connection: Connection) -> None:
            if authority_rows.is_overtaken(connection, owner, state):
                raise OvertakenError(f"another replica has made the authority of {owner}")

        def complete(connection: Connection, certificate: bytes) -> None:
            # First, because it locks the sequence, so that of two replicas the second sees all
            # that the first has done.
            announced_sequence = authority_rows.raise_sequence(connection)
            intend(connection)
            row = AuthorityRow(
                id=authority_id(public),
                owner=owner,
                generation=authority_rows.next_generation(connection, owner),
                issuer=issuer,
                state=State.PREPARED,
                certificate=certificate,
                spki_sha256=spki_sha256(public),
                path_prefix=prefix,
                not_before=order.not_before,
                not_after=order.not_after,
                announced_at=now,
                announced_sequence=announced_sequence,
                key=kept,
            )
            authority_rows.add(connection, row)
            if state is State.ACTIVE:
                authority_rows.activate(connection, row, now)

        request = Request(f"{state}-authority", _SCHEDULE)
        with contextlib.suppress(OvertakenError):
            await self._issuance.issue(request, order, signer, intend=intend, complete=complete)
            _log.info("authority made", extra=fields(owner=owner, authority=name, state=str(state)))
        await self.load()

    def _start(self, now: float, lifetimes: Lifetimes, signer: Signer) -> int:
        """Back-dated, but never before the signer's own start."""
        start = int(now - lifetimes.backdate)
        if signer.certificate is None:
            return start
        return max(start, int(signer.certificate.not_valid_before_utc.timestamp()))

    async def _activate(self, row: AuthorityRow) -> None:
        now = self._clock.now()
        await self._store.run(lambda connection: authority_rows.activate(connection, row, now))
        _log.info("authority activated", extra=fields(owner=row.owner, authority=row.id))
        await self.load()

    async def _expire(self) -> None:
        now = self._clock.now()
        for row in [row for row in self._rows if _ends(row) <= now]:
            over = row.state is State.EXPIRED or now >= row.not_after + REATTEST_GRACE
            step, phrase = (
                (authority_rows.retire, "authority retired")
                if over
                else (authority_rows.expire, "authority expired")
            )
            await self._store.run(partial(step, row=row))
            self._signers.pop(row.id, None)
            _log.info(phrase, extra=fields(owner=row.owner, authority=row.id))
        await self.load()

    def _due(self, owners: Mapping[str, str], lifetimes: Lifetimes) -> list[float]:
        """When each row will need something next; never empty, because the root has its end."""
        moments = [_ends(row) for row in self._rows]
        for owner in owners:
            prepared, active = self._find(owner, State.PREPARED), self._find(owner, State.ACTIVE)
            if prepared is not None:
                moments.append(_activate_at(prepared, lifetimes))
            elif active is not None:
                moments.append(_prepare_at(active))
        return moments

    def _find(self, owner: str, state: State) -> AuthorityRow | None:
        return next((row for row in self._rows if row.owner == owner and row.state is state), None)

    def _open(self, row: AuthorityRow) -> Authority:
        assert row.key is not None  # noqa: S101  # the caller looked
        public = self._keys.load(row.key)
        certificate = x509.load_der_x509_certificate(row.der)
        if row.spki_sha256 != spki_sha256(public):
            raise ConfigurationError(
                f"the stored key of authority {row.id} is not its certificate's; restore a backup"
            )
        return Authority(row, certificate, Signer(certificate, _ec(certificate), row.path_prefix))

    def _open_again(self, row: AuthorityRow) -> Authority:
        known = self._signers[row.id]
        return Authority(row, known.certificate, known.signer)

    def _publish_metrics(self) -> None:
        self._metrics.sequence.set(self._sequence)
        for row in self._rows:
            if row.state is State.ACTIVE:
                purpose = "root" if row.owner == ROOT else "authority"
                self._metrics.expiry.labels(purpose, row.owner).set(row.not_after)


def _read(connection: Connection) -> tuple[list[AuthorityRow], int]:
    return authority_rows.announced(connection), authority_rows.sequence(connection)


def _ends(row: AuthorityRow) -> float:
    """When its state has to change for its age alone."""
    return row.not_after + (REATTEST_GRACE if row.state is State.EXPIRED else 0.0)


def _activate_at(row: AuthorityRow, lifetimes: Lifetimes) -> float:
    return (row.announced_at or 0.0) + lifetimes.svid


def _prepare_at(row: AuthorityRow) -> float:
    return row.not_after - (row.not_after - row.not_before) * PREPARE_AT_LEFT


def _ec(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)  # noqa: S101  # the linter allowed no other
    return key
