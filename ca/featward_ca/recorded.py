"""Signing with its record: the intent is durable before the key is used, the outcome before
anybody is told.

Authorities go through here, one at a time; `leaves` does the same for batches of SVIDs. So there is no
signature without its two rows.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from cryptography import x509

from featward.logs import fields
from featward_ca.clock import Clock
from featward_ca.errors import CaError, IllegalTransitionError, StoreError
from featward_ca.halt import Halt
from featward_ca.issuance import Issuance, Prepared, Signer, der
from featward_ca.metrics import Metrics
from featward_ca.profile import Order
from featward_ca.requests import authority_id
from featward_ca.serials import serial_text
from featward_ca.store import audit, replica_rows
from featward_ca.store.audit import Entry, Outcome
from featward_ca.store.store import Connection, Store

_log = logging.getLogger(__name__)
_Step = Callable[[Connection], None]


def nothing(*_: object) -> None:
    """A step that writes nothing of its own."""


@dataclass(frozen=True)
class Request:
    """Who asked for what, as the audit table names it."""

    kind: str
    caller: str
    id: str = field(default_factory=lambda: secrets.token_hex(8))


class RecordedIssuance:
    """`Issuance` with the audit table around it."""

    def __init__(
        self, issuance: Issuance, store: Store, clock: Clock, metrics: Metrics, halt: Halt
    ) -> None:
        self._issuance = issuance
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._halt = halt
        self._under_way: set[asyncio.Task[x509.Certificate]] = set()

    async def issue(
        self,
        request: Request,
        order: Order,
        signer: Signer,
        *,
        intend: _Step = nothing,
        complete: Callable[[Connection, bytes], None] = nothing,
        abandon: _Step = nothing,
    ) -> x509.Certificate:
        """Make one certificate. `intend`, `complete` and `abandon` join the transaction of the
        row they go with.

        Raises LintError before anything is stored, what `intend` raises with nothing stored, and
        ClockSkewError or StoreError.
        """
        # 1. Build and lint: a request that no profile allows leaves no intent.
        prepared = self._prepare(order, signer)
        intent = self._entry(request, prepared)
        # A caller that goes away must not leave an intent behind without an outcome.
        steps = asyncio.create_task(self._steps(prepared, intent, intend, complete, abandon))
        self._under_way.add(steps)
        steps.add_done_callback(self._under_way.discard)
        return await asyncio.shield(steps)

    async def finish(self) -> None:
        """Return when nothing is between its intent and its outcome."""
        await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _steps(
        self,
        prepared: Prepared,
        intent: Entry,
        intend: _Step,
        complete: Callable[[Connection, bytes], None],
        abandon: _Step,
    ) -> x509.Certificate:
        # 2. The intent, and what the evidence costs (a token, a serial's one renewal), in one
        # transaction.
        await self._store.run(lambda connection: self._intend(connection, intend, intent))
        try:
            # 3. Sign what was linted, and nothing else.
            certificate = self._issuance.sign(prepared)
            # 4. The outcome; only after this is durable may the certificate leave.
            signed = replace(intent, time=self._clock.now(), outcome=Outcome.SIGNED)
            raw = der(certificate)
            await self._store.run(
                lambda connection: _outcome(connection, lambda c: complete(c, raw), signed)
            )
        except CaError as error:
            await self._failed(intent, abandon, error)
            raise
        self._metrics.signatures.labels(intent.profile, "signed").inc()
        return certificate

    def _intend(self, connection: Connection, intend: _Step, intent: Entry) -> None:
        # For the clock alone: authorities are made while issuing is halted.
        self._halt.enter(connection)
        _both(connection, intend, intent)

    async def note(
        self,
        request: Request,
        outcome: Outcome,
        detail: str | None = None,
        subject: str | None = None,
    ) -> None:
        """One row without a signature: a refusal, an event, or a change before and after."""
        entry = Entry(
            time=self._clock.now(),
            replica=self._store.replica,
            request=request.id,
            kind=request.kind,
            caller=request.caller,
            outcome=outcome,
            subject=subject,
            detail=detail,
        )
        await self._store.run(lambda connection: audit.append(connection, entry))

    def _prepare(self, order: Order, signer: Signer) -> Prepared:
        try:
            return self._issuance.prepare(order, signer)
        except CaError:
            self._metrics.signatures.labels(order.purpose, "refused").inc()
            raise

    def _entry(self, request: Request, prepared: Prepared) -> Entry:
        order = prepared.order
        return Entry(
            time=self._clock.now(),
            replica=self._store.replica,
            request=request.id,
            kind=request.kind,
            caller=request.caller,
            outcome=Outcome.INTENT,
            profile=order.purpose,
            subject=f"authority {order.subject and order.subject.common_name}",
            serial=serial_text(order.serial),
            authority=authority_id(prepared.signer.public_key),
            tbs_sha256=prepared.tbs_sha256.hex(),
        )

    async def _failed(self, intent: Entry, abandon: _Step, error: CaError) -> None:
        """Record that nothing came of an intent; if even that fails, or another replica has done
        it, the next start finds it interrupted.
        """
        # Replicas do what is due without asking each other first, and the slower one's key is used
        # for nothing: no reason to call anybody.
        overtaken = isinstance(error, IllegalTransitionError)
        result = "overtaken" if overtaken else "failed"
        self._metrics.signatures.labels(intent.profile, result).inc()
        said = fields(serial=intent.serial, error=str(error))
        _log.log(logging.INFO if overtaken else logging.ERROR, f"signing {result}", extra=said)
        failed = replace(intent, time=self._clock.now(), outcome=Outcome.FAILED, detail=str(error))
        try:
            await self._store.run(lambda connection: _outcome(connection, abandon, failed))
        except StoreError:
            _log.error("failed signing not recorded", extra=fields(serial=intent.serial))


def _outcome(connection: Connection, step: _Step, entry: Entry) -> None:
    replica_rows.fence(connection, entry.replica)
    _both(connection, step, entry)


def _both(connection: Connection, step: _Step, entry: Entry) -> None:
    step(connection)
    audit.append(connection, entry)
