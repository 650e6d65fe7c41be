"""Makes authorities: a key that is durable before anything is signed with it or for it, then its
certificate.

Apart from the other changes, because signing alone is more than one transaction.
"""

import logging
from collections.abc import Callable

from featward.logs import fields
from featward_ca.clock import Clock, span
from featward_ca.errors import ConfigurationError, IllegalTransitionError
from featward_ca.issuance import Signer, new_serial
from featward_ca.keys import KeyStore
from featward_ca.profile import Order, Purpose, SubjectName
from featward_ca.recorded import RecordedIssuance, Request
from featward_ca.requests import authority_id, spki_sha256
from featward_ca.rotation import journal
from featward_ca.rotation.actions import By
from featward_ca.rotation.changes import Changes
from featward_ca.rotation.known import ROOT
from featward_ca.rotation.states import Action, State, Step, after
from featward_ca.rotation.timing import Terms
from featward_ca.store import authority_rows
from featward_ca.store.authority_rows import AuthorityRow
from featward_ca.store.store import Connection, Store

_log = logging.getLogger(__name__)


class Making:
    """`root`: who signs for owners, asked anew each time."""

    def __init__(
        self,
        keys: KeyStore,
        issuance: RecordedIssuance,
        store: Store,
        clock: Clock,
        root: Callable[[], tuple[AuthorityRow, Signer]],
        changes: Changes,
    ) -> None:
        self._keys = keys
        self._issuance = issuance
        self._store = store
        self._clock = clock
        self._root = root
        self._changes = changes

    async def request(self, owner: str, terms: Terms, by: By) -> None:
        """Make an owner's next key. Raises IllegalTransitionError where one waits already."""
        public, kept = self._keys.create()
        now = self._clock.now()
        made = authority_id(public)

        def store(connection: Connection) -> None:
            after(None, Action.REQUEST)
            waiting = authority_rows.of_state(connection, State.REQUESTED, State.PREPARED)
            if any(row.owner == owner for row in waiting):
                raise IllegalTransitionError(f"the next authority of {owner} was made meanwhile")
            row = AuthorityRow(
                id=made,
                owner=owner,
                generation=authority_rows.next_generation(connection, owner),
                issuer=None,
                state=State.REQUESTED,
                certificate=None,
                spki_sha256=spki_sha256(public),
                path_prefix=terms.prefixes.get(owner),
                not_before=int(now - terms.lifetimes.backdate),
                not_after=int(now + terms.lifetime(owner)),
                key=kept,
            )
            authority_rows.add(connection, row)
            if rotation := journal.at(connection, owner, Step.REQUEST, None):
                journal.advance(connection, rotation, now, f"authority {made}", target=made)
            self._changes.note(connection, row, Action.REQUEST, by)

        await self._store.exclusive(store)

    async def sign(self, authority: str, terms: Terms, by: By) -> None:
        """Certify a requested authority and announce it. Raises IllegalTransitionError,
        ConfigurationError where it would outlive the root, and what signing raises.
        """
        row = await self._store.read(lambda c: authority_rows.find(c, authority))
        if row is None or row.key is None:
            raise IllegalTransitionError(f"there is no key for an authority {authority}")
        after(row.state, Action.SIGN)
        public = self._keys.load(row.key)
        purpose, signer, issuer = Purpose.ROOT, Signer(None, public), None
        name = terms.trust_domain
        if row.owner != ROOT:
            root, signer = self._root()
            purpose, issuer, name = Purpose.AUTHORITY, root.id, row.id
        now = self._clock.now()
        end = now + terms.lifetime(row.owner)
        _check_end(signer, end, now)
        order = Order(
            purpose=purpose,
            public_key=public,
            serial=new_serial(),
            not_before=_start(now, terms, signer),
            not_after=int(end),
            subject=SubjectName(row.owner, name),
        )

        def complete(connection: Connection, certificate: bytes) -> None:
            validity = {"not_before": order.not_before, "not_after": order.not_after}
            announce(connection, authority, certificate, issuer, self._clock.now(), validity)

        asked = Request("sign-authority", by.who)
        await self._issuance.issue(asked, order, signer, complete=complete)
        _log.info("authority made", extra=fields(owner=row.owner, authority=authority))


def announce(
    connection: Connection,
    authority: str,
    certificate: bytes,
    issuer: str | None,
    now: float,
    validity: dict[str, int],
) -> None:
    """Give a requested authority its certificate and let everybody know it. Raises
    IllegalTransitionError.
    """
    # First, because it locks the sequence: of two replicas the second sees what the first has done.
    sequence = authority_rows.raise_sequence(connection)
    row = authority_rows.find(connection, authority)
    if row is None:
        raise IllegalTransitionError(f"there is no authority {authority}")
    authority_rows.change(
        connection,
        authority,
        state=after(row.state, Action.SIGN),
        certificate=certificate,
        issuer=issuer,
        announced_at=now,
        announced_sequence=sequence,
        **validity,
    )
    if rotation := journal.at(connection, row.owner, Step.PREPARE, authority):
        journal.advance(connection, rotation, now, f"{authority} announced")


def _start(now: float, terms: Terms, signer: Signer) -> int:
    """Back-dated, but never before the signer's own start."""
    start = int(now - terms.lifetimes.backdate)
    if signer.certificate is None:
        return start
    return max(start, int(signer.certificate.not_valid_before_utc.timestamp()))


def _check_end(signer: Signer, end: float, now: float) -> None:
    """Refuse a chain that would outlive its issuer. Raises ConfigurationError."""
    if signer.certificate is None:
        return
    last = signer.certificate.not_valid_after_utc.timestamp()
    if end > last:
        raise ConfigurationError(
            f"the environment's root ends in {span(last - now)}, before an authority made now would"
            f" ({span(end - now)}); rotate the root (featward ca authority rotate root) or shorten"
            " authority.lifetime"
        )
