"""Which client an attestation is of: one that we know, or a new one.

Who shows evidence again over a connection that proves its SVID in use is the same process as
before. Its SVIDs make one lineage then, so that rotation does not wait for one that nobody uses any
more.
"""

from dataclasses import replace

from featward_ca.attest import Attested, Method
from featward_ca.attest.renewal import Renewals, Stored
from featward_ca.clock import Clock
from featward_ca.directory import Directory
from featward_ca.errors import EvidenceNeededError, NotAttestedError
from featward_ca.requests import Key
from featward_ca.store import svids
from featward_ca.store.store import Connection, Store
from featward_ca.store.svids import Held, LineageRow


class Lineages:
    """Looks clients up in the store."""

    def __init__(self, store: Store, clock: Clock, renewals: Renewals) -> None:
        self._store = store
        self._clock = clock
        self._renewals = renewals

    async def continued(
        self,
        directory: Directory,
        attested: Attested,
        held: Held | None,
        lineage: str | None,
        key: Key,
    ) -> Attested | Stored:
        """What was attested, as a renewal of the client that holds this SVID, or proved to be
        `lineage`, if it is of that one; else as it stands. What was issued for this key before
        is given again. Raises SvidClonedError and TooManyRequestsError as a renewal does.
        """
        if attested.method is Method.JOIN_TOKEN:
            # Somebody made it for a new beginning.
            return attested
        row = await self._store.read(lambda c: self._row(c, held, lineage))
        if row is None or not _is_of(row, attested):
            return attested
        if row.method not in svids.RENEWING_METHODS:
            return replace(attested, lineage=row.id)
        if held is None:
            return attested
        # Another may renew this serial by itself; so it is renewed once, evidence or not.
        try:
            renewal = await self._renewals.attest(directory, held, key)
        except (EvidenceNeededError, NotAttestedError):
            return attested
        if isinstance(renewal, Stored):
            return renewal
        return replace(renewal, claim=attested.claim, cluster=attested.cluster)

    def _row(
        self, connection: Connection, held: Held | None, lineage: str | None
    ) -> LineageRow | None:
        """The lineage, if it is one that may go on."""
        old = svids.find(connection, held.serial) if held else None
        known = old.lineage if old and old.held == held else lineage
        row = svids.find_lineage(connection, known) if known else None
        if row is None or row.tainted_at is not None:
            return None
        end = svids.end_of_lineage(connection, row.id)
        return row if end is not None and self._clock.now() < end + self._renewals.grace() else None


def _is_of(row: LineageRow, attested: Attested) -> bool:
    return (
        row.spiffe_id == str(attested.workload.spiffe_id)
        and row.method == attested.method
        and row.cluster == attested.cluster
    )
