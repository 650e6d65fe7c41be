"""The steps from wanted leaves to signed ones: built and checked in one call of the engine, intents
in one commit, signed in one call, outcomes in one commit.

The order of steps is that of `recorded`, and so are the rows: there is no signature without an
intent before it and an outcome after it. One leaf that is refused leaves its neighbours alone.
"""

import logging
from collections import Counter
from dataclasses import dataclass, field, replace

from featward.logs import fields
from featward_ca.attest import Claim
from featward_ca.authorities import Authority
from featward_ca.clock import Clock
from featward_ca.errors import CaError, LintError, TooManyRequestsError
from featward_ca.halt import Halt
from featward_ca.keys import KeyStore
from featward_ca.metrics import Metrics
from featward_ca.profile import Purpose
from featward_ca.recorded import Request, nothing
from featward_ca.requests import Key
from featward_ca.serials import serial_text
from featward_ca.store import audit, replica_rows, svids
from featward_ca.store.audit import Entry, Outcome
from featward_ca.store.store import Connection, Store
from featward_ca.store.svids import LineageRow, SvidRow
from featward_engine import IssuingError, PreparedLeaves, prepare_leaves

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Leaf:
    """One certificate that is wanted, and what is stored with it.

    `row` is None for what is nobody's identity. `at_halt`: made also while issuing is halted.
    `outrun` raises why the row could not be stored, if another renewal of the same SVID was faster.
    """

    request: Request
    purpose: Purpose
    authority: Authority
    key: Key = field(repr=False)
    spiffe_id: str
    serial: int
    not_before: int
    not_after: int
    claim: Claim = nothing
    outrun: Claim = nothing
    lineage: LineageRow | None = None
    row: SvidRow | None = None
    at_halt: bool = False

    def ordered(self) -> tuple[bytes, str, bytes, int, int]:
        """The engine's form."""
        serial = self.serial.to_bytes(16, "big")
        return self.key.spki, self.spiffe_id, serial, self.not_before, self.not_after


@dataclass(frozen=True)
class _Prepared:
    """What one authority is to sign of a batch."""

    leaves: list[Leaf]
    permission: PreparedLeaves
    intents: list[Entry]


@dataclass(frozen=True)
class _GivenUp:
    """Intents that nothing came of."""

    serials: list[str]
    failed: list[Entry]

    def store(self, connection: Connection) -> None:
        """Say so, and let what was to be renewed by them be renewed again; unless another replica
        has taken this one for dead, and so done it already.
        """
        if not replica_rows.is_here(connection, self.failed[0].replica):
            return
        svids.release(connection, self.serials)
        audit.append_all(connection, self.failed)


# Its certificate (DER), or why there is none.
Made = bytes | CaError


class Batch:
    """Takes batches through the steps, with the keys and the store of one CA."""

    def __init__(
        self, keys: KeyStore, store: Store, clock: Clock, metrics: Metrics, halt: Halt
    ) -> None:
        self._keys = keys
        self._store = store
        self._clock = clock
        self._metrics = metrics
        self._halt = halt
        # Failures that could not be recorded when they happened.
        self._left: list[_GivenUp] = []

    async def run(self, leaves: list[Leaf], outcomes: dict[Leaf, Made]) -> None:
        """Make all of them; `outcomes` is filled as they are known. Never raises CaError."""
        # 1. Build and lint: what no profile allows leaves no intent.
        prepared = self._prepare(leaves, outcomes)
        # 2. The intents, and what the evidence costs, in one transaction.
        left, self._left = self._left, []
        try:
            refused = await self._store.run(
                lambda connection: self._intend(connection, prepared, left)
            )
        except CaError as error:
            self._left += left
            refused = {leaf: error for group in prepared for leaf in group.leaves}
        outcomes |= refused
        for group in prepared:
            if kept := _kept(group, refused):
                await self._sign(kept, outcomes)

    def _prepare(self, leaves: list[Leaf], outcomes: dict[Leaf, Made]) -> list[_Prepared]:
        groups: dict[str, list[Leaf]] = {}
        for leaf in leaves:
            groups.setdefault(leaf.authority.row.id, []).append(leaf)
        prepared = []
        for group in groups.values():
            try:
                prepared.append(self._lint(group))
            except IssuingError:
                # One of them: each for itself then.
                prepared += self._prepare_each(group, outcomes)
        return prepared

    def _prepare_each(self, group: list[Leaf], outcomes: dict[Leaf, Made]) -> list[_Prepared]:
        prepared = []
        for leaf in group:
            try:
                prepared.append(self._lint([leaf]))
            except IssuingError as error:
                self._metrics.signatures.labels(leaf.purpose, "refused").inc()
                outcomes[leaf] = LintError(str(error))
        return prepared

    def _lint(self, group: list[Leaf]) -> _Prepared:
        authority = group[0].authority
        permission = prepare_leaves(
            authority.row.der, authority.row.path_prefix or "", [leaf.ordered() for leaf in group]
        )
        intents = [
            self._intent(leaf, digest)
            for leaf, digest in zip(group, permission.tbs_sha256, strict=True)
        ]
        return _Prepared(group, permission, intents)

    def _intend(
        self, connection: Connection, prepared: list[_Prepared], left: list[_GivenUp]
    ) -> dict[Leaf, CaError]:
        """Store the intents; returns those that were refused, of which nothing is stored."""
        for one in left:
            one.store(connection)
        leave = self._halt.enter(connection)
        refused: dict[Leaf, CaError] = {}
        pairs = [
            pair for group in prepared for pair in zip(group.leaves, group.intents, strict=True)
        ]
        for leaf, _ in pairs:
            try:
                if not leaf.at_halt:
                    leave.check()
                _claim(connection, leaf)
            except CaError as error:
                refused[leaf] = error
        paid = [leaf for leaf, _ in pairs if leaf not in refused]
        svids.add_lineages(connection, [leaf.lineage for leaf in paid if leaf.lineage])
        stored = svids.add(connection, [leaf.row for leaf in paid if leaf.row])
        for leaf in paid:
            if leaf.row and leaf.row.serial not in stored:
                refused[leaf] = _judged_again(connection, leaf)
        audit.append_all(connection, [intent for leaf, intent in pairs if leaf not in refused])
        return refused

    async def _sign(self, group: _Prepared, outcomes: dict[Leaf, Made]) -> None:
        try:
            # 3. Sign what was linted, and nothing else; the engine looks at what came out.
            signer = group.leaves[0].authority.signer.public_key
            certificates = self._keys.sign_leaves(signer, group.permission)
            # 4. The outcomes; only after they are durable may the certificates leave.
            await self._store.run(
                lambda connection: self._complete(connection, group, certificates)
            )
        except CaError as error:
            await self._failed(group, error)
            outcomes |= dict.fromkeys(group.leaves, error)
            return
        outcomes |= dict(zip(group.leaves, certificates, strict=True))
        self._count(group, "signed")

    def _complete(
        self, connection: Connection, group: _Prepared, certificates: list[bytes]
    ) -> None:
        replica_rows.fence(connection, group.intents[0].replica)
        made = [
            (leaf.row.serial, certificate)
            for leaf, certificate in zip(group.leaves, certificates, strict=True)
            if leaf.row
        ]
        if made:
            svids.complete(connection, made)
        audit.append_after(connection, group.intents, self._clock.now(), Outcome.SIGNED)

    async def _failed(self, group: _Prepared, error: CaError) -> None:
        """Record that nothing came of intents; if even that fails, the next batch does, and the next
        start would find them interrupted.
        """
        self._count(group, "failed")
        _log.error("signing failed", extra=fields(leaves=len(group.leaves), error=str(error)))
        now = self._clock.now()
        failed = [
            replace(intent, time=now, outcome=Outcome.FAILED, detail=str(error))
            for intent in group.intents
        ]
        serials = [leaf.row.serial for leaf in group.leaves if leaf.row]
        given_up = _GivenUp(serials, failed)
        try:
            await self._store.run(given_up.store)
        except CaError:
            # Else a renewal would stay under way, and its client could not come back.
            self._left.append(given_up)
            _log.error("failed signing not recorded", extra=fields(leaves=len(group.leaves)))

    def _count(self, group: _Prepared, result: str) -> None:
        for purpose, number in Counter(leaf.purpose for leaf in group.leaves).items():
            self._metrics.signatures.labels(purpose, result).inc(number)

    def _intent(self, leaf: Leaf, tbs_sha256: bytes) -> Entry:
        return Entry(
            time=self._clock.now(),
            replica=self._store.replica,
            request=leaf.request.id,
            kind=leaf.request.kind,
            caller=leaf.request.caller,
            outcome=Outcome.INTENT,
            profile=leaf.purpose,
            subject=leaf.spiffe_id,
            serial=serial_text(leaf.serial),
            authority=leaf.authority.row.id,
            tbs_sha256=tbs_sha256.hex(),
        )


def _claim(connection: Connection, leaf: Leaf) -> None:
    """Pay for the evidence of one, so that a claim that fails undoes what it wrote and no more."""
    if leaf.claim is nothing:
        return
    with connection.begin_nested():
        leaf.claim(connection)


def _judged_again(connection: Connection, leaf: Leaf) -> CaError:
    """Why a renewal that lost against another replica is refused."""
    try:
        leaf.outrun(connection)
    except CaError as error:
        return error
    return TooManyRequestsError("the same renewal is under way; ask again")


def _kept(group: _Prepared, refused: dict[Leaf, CaError]) -> _Prepared | None:
    """A group without those that were refused, which nobody may sign any more."""
    places = [place for place, leaf in enumerate(group.leaves) if leaf not in refused]
    if len(places) < len(group.leaves):
        group.permission.keep(set(places))
    if not places:
        return None
    leaves = [group.leaves[place] for place in places]
    return _Prepared(leaves, group.permission, [group.intents[place] for place in places])
