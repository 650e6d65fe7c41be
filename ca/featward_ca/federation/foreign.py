"""The foreign bundles that are stored: when one replaces another, and what of them is announced.

A bundle judges identities of the trust domain that its relation names and no other. So they are kept
apart all the way to the engine, and are never merged with one another or with our own roots.
"""

import logging
from collections.abc import Mapping

from featward.logs import fields
from featward_ca.clock import Clock
from featward_ca.errors import FederationError
from featward_ca.federation.bundle import ForeignBundle, parse
from featward_ca.federation.fetch import Anchors
from featward_ca.federation.relations import Endpoint, Relation
from featward_ca.store import authority_rows, foreign
from featward_ca.store.foreign import ForeignRow
from featward_ca.store.store import Connection, Store
from featward_ca.trust import ForeignRoots

__all__ = ["Foreign"]

_log = logging.getLogger(__name__)


class Foreign:
    """The bundles of the relations in use."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._relations: Mapping[str, Relation] = {}

    async def use(self, relations: Mapping[str, Relation]) -> bool:
        """Federate with these and nobody else from now on; True if somebody is to be told, because
        the sequence has risen. Raises StoreError.
        """
        self._relations = relations
        stored = await self._store.read(foreign.everything)
        if all(row.trust_domain in relations for row in stored):
            return False

        def forget(connection: Connection) -> list[str]:
            gone = foreign.keep_only(connection, relations)
            if gone:
                authority_rows.raise_sequence(connection)
            return gone

        gone = await self._store.exclusive(forget)
        if gone:
            _log.info("foreign trust domains forgotten", extra=fields(trust_domains=gone))
        return bool(gone)

    async def rows(self) -> dict[str, ForeignRow]:
        """What is stored of the relations in use, by trust domain. Raises StoreError."""
        rows = await self._store.read(foreign.everything)
        return {row.trust_domain: row for row in rows if row.trust_domain in self._relations}

    async def announced(self) -> tuple[ForeignRoots, ...]:
        """What our own workloads are told. A domain without roots is left out, which says the same:
        nobody of it is believed. Raises StoreError.
        """
        found = ((row, _roots(row)) for row in (await self.rows()).values())
        return tuple(
            ForeignRoots(row.trust_domain, row.sequence, roots) for row, roots in found if roots
        )

    async def take(self, trust_domain: str, document: bytes) -> bool:
        """Store what was fetched; True if somebody is to be told, because other roots are in it and
        the sequence has risen. Raises FederationError for a document that is no bundle or is older
        than the one that is known, and StoreError.
        """
        bundle, now = parse(document), self._clock.now()
        hint = bundle.refresh_hint or 0
        fresh = ForeignRow(trust_domain, bundle.sequence or 0, document, hint, now)

        def replace(connection: Connection) -> bool:
            # An edit may have ended the relation while the document was on its way.
            if trust_domain not in self._relations:
                return False
            before = foreign.of(connection, trust_domain)
            if before:
                _refuse_older(bundle, before)
            foreign.put(connection, fresh)
            # The sequence alone is nobody's business here: if it were announced, two domains that
            # federate would raise each other's for ever.
            changed = set(_roots(before) if before else ()) != set(bundle.roots)
            if changed:
                authority_rows.raise_sequence(connection)
            return changed

        return await self._store.exclusive(replace)

    async def failed(self, trust_domain: str, error: str) -> None:
        """Keep why a fetch failed. Raises StoreError."""
        await self._store.run(lambda connection: foreign.failed(connection, trust_domain, error))

    async def anchors(self, relation: Relation) -> Anchors | None:
        """By what the endpoint is known; None where a certificate of the Web is enough. Raises
        FederationError where nobody could be it, and StoreError.
        """
        if relation.endpoint is None:
            return None
        domain = relation.endpoint.spiffe_id.trust_domain
        roots = _anchors(relation.endpoint, (await self.rows()).get(domain))
        if not roots:
            raise FederationError(
                f"there is no root by which {relation.endpoint.spiffe_id} could be known: {domain}"
                " has revoked them all, or its bootstrapBundle has none; give one with a higher"
                " spiffe_sequence as bootstrapBundle"
            )
        return Anchors(relation.endpoint.spiffe_id, roots)


def _anchors(endpoint: Endpoint, row: ForeignRow | None) -> tuple[bytes, ...]:
    """The newest bundle of the endpoint's domain. Never both: an old root may be a stolen one."""
    bootstrap = endpoint.bootstrap
    if row is None or (bootstrap.sequence or 0) > row.sequence:
        return bootstrap.roots
    return _roots(row)


def _refuse_older(bundle: ForeignBundle, known: ForeignRow) -> None:
    """Without a number it can't be compared, and the newest one fetched counts (4.2)."""
    if bundle.sequence is not None and bundle.sequence < known.sequence:
        raise FederationError(
            f"the endpoint serves the old sequence {bundle.sequence}, while {known.sequence} is"
            " known; if the domain has begun to count anew, remove it from federatesWith and add it"
            " again"
        )


def _roots(row: ForeignRow) -> tuple[bytes, ...]:
    try:
        return parse(row.document).roots
    except FederationError as error:
        # Written by a version that took it.
        _log.error(
            "foreign bundle in the store not used",
            extra=fields(trust_domain=row.trust_domain, error=str(error)),
        )
        return ()
