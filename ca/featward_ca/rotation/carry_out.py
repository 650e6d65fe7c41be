"""Carries actions out: one exclusive transaction each, so that a kill leaves it done or not begun.

What was planned is judged again inside of the transaction, by the states as they are there: another
replica, or somebody at the admin socket, may have been faster. Only signing is more than one
transaction, and every key in it is durable before its first.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from featward.logs import fields
from featward_ca.clock import Clock
from featward_ca.errors import ConfigurationError, IllegalTransitionError
from featward_ca.issuance import Signer, new_serial
from featward_ca.keys import KeyStore
from featward_ca.metrics import Metrics
from featward_ca.profile import Order, Purpose, SubjectName
from featward_ca.recorded import RecordedIssuance
from featward_ca.recorded import Request as Asked
from featward_ca.requests import authority_id, spki_sha256
from featward_ca.rotation import actions, journal
from featward_ca.rotation.known import ROOT
from featward_ca.rotation.plan import SCHEDULE, Terms
from featward_ca.rotation.states import Action, Kind, Progress, State, Step, after
from featward_ca.store import audit, authority_rows, bans, rotation_rows
from featward_ca.store.audit import Entry, Outcome
from featward_ca.store.authority_rows import AuthorityRow
from featward_ca.store.store import Connection, Store

_log = logging.getLogger(__name__)
# Clients that a row of the journal names; featward ca authority shows all that are in the way.
_LISTED = 100


@dataclass(frozen=True)
class By:
    """Who has it done: the schedule, or a call with its number in the audit table."""

    who: str = SCHEDULE
    request: str = SCHEDULE


class CarryOut:
    """Does one action after the other. `root`: who signs for owners, asked anew each time."""

    def __init__(
        self,
        keys: KeyStore,
        issuance: RecordedIssuance,
        store: Store,
        clock: Clock,
        root: Callable[[], tuple[AuthorityRow, Signer]],
        metrics: Metrics,
    ) -> None:
        self._metrics = metrics
        self._keys = keys
        self._issuance = issuance
        self._store = store
        self._clock = clock
        self._root = root

    async def do(self, action: actions.Planned, terms: Terms, by: By = By()) -> None:
        """Raises IllegalTransitionError when the states have changed since the plan, and what
        signing raises.
        """
        match action:
            case actions.Request(owner):
                await self._request(owner, terms, by)
            case actions.Sign(authority):
                await self._sign(authority, terms, by)
            case actions.Activate(authority, forced, breaks) | actions.Revoke(
                authority, forced, breaks
            ) if forced:
                await self._store.exclusive(lambda c: self._change(c, action, by))
                await self._tell_forced(action, authority, forced, breaks)
            case _:
                await self._store.exclusive(lambda c: self._change(c, action, by))

    async def _tell_forced(
        self, action: actions.Planned, authority: str, forced: str, breaks: tuple[str, ...]
    ) -> None:
        """Whoever was not waited for may lose connections: nobody should have to find out by that."""
        row = await self._store.read(lambda c: authority_rows.find(c, authority))
        owner, step = row.owner if row else "", type(action).__name__.lower()
        self._metrics.forced.labels(owner, step).inc()
        _log.warning(
            "step of a rotation forced",
            extra=fields(
                owner=owner, step=step, authority=authority, why=forced, breaks=listed(breaks)
            ),
        )

    async def _request(self, owner: str, terms: Terms, by: By) -> None:
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
                not_after=int(now + _lifetime(owner, terms)),
                key=kept,
            )
            authority_rows.add(connection, row)
            if rotation := journal.at(connection, owner, Step.REQUEST, None):
                journal.advance(connection, rotation, now, f"authority {made}", target=made)
            self._note(connection, row, Action.REQUEST, by)

        await self._store.exclusive(store)

    async def _sign(self, authority: str, terms: Terms, by: By) -> None:
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
        end = now + _lifetime(row.owner, terms)
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

        asked = Asked("sign-authority", by.who)
        await self._issuance.issue(asked, order, signer, complete=complete)
        _log.info("authority made", extra=fields(owner=row.owner, authority=authority))

    def _change(self, connection: Connection, action: actions.Planned, by: By) -> None:
        now = self._clock.now()
        match action:
            case actions.Begin():
                journal.begin(connection, action, now)
            case actions.Activate(authority, forced, breaks):
                self._activate(connection, authority, forced, breaks, by)
            case actions.Taint(authority):
                self._taint(connection, authority, Action.TAINT, by)
            case actions.Revoke(authority, forced, breaks):
                self._revoke(connection, authority, forced, breaks, by)
            case actions.Expire(authority):
                self._move(connection, authority, Action.EXPIRE, by, key=None)
            case actions.Retire(authority):
                self._move(connection, authority, Action.RETIRE, by)
                authority_rows.raise_sequence(connection)
            case actions.Block(name, blockers):
                detail = listed([one.text for one in blockers])
                self._progress(connection, name, Progress.BLOCKED, "blocked", detail)
            case actions.Unblock(name):
                self._progress(connection, name, Progress.RUNNING, "unblocked", "nothing is left")
            case actions.Finish(name, why):
                if rotation := rotation_rows.find(connection, name):
                    journal.finish(connection, rotation, now, why)
            case actions.Steer(name, state, what, reason):
                self._progress(connection, name, state, what, f"by {by.who}: {reason}")
            case actions.Cancel(authority, reason, stolen):
                row = _row(connection, authority)
                self._move(connection, authority, Action.CANCEL, by, key=None)
                if row.state is State.PREPARED:
                    authority_rows.raise_sequence(connection)
                if stolen:
                    value = row.spki_sha256.hex()
                    bans.add_authority(connection, value, reason, by.who, now)
                rotation = rotation_rows.open_of(connection, row.owner)
                if rotation and rotation.target == authority:
                    told = f"by {by.who}: {reason}"
                    self._progress(connection, rotation.id, Progress.CANCELLED, "cancelled", told)
            case actions.Abandon(name, why):
                _log.error("rotation given up", extra=fields(rotation=name, why=why))
                self._progress(connection, name, Progress.CANCELLED, "inconsistent", why)

    def _activate(
        self, connection: Connection, authority: str, forced: str, breaks: tuple[str, ...], by: By
    ) -> None:
        now = self._clock.now()
        row = _row(connection, authority)
        after(row.state, Action.ACTIVATE)
        rotation = journal.at(connection, row.owner, Step.ACTIVATE, authority)
        stolen = rotation is not None and rotation.kind is Kind.COMPROMISE
        before = [
            one
            for one in authority_rows.of_state(connection, State.ACTIVE)
            if one.owner == row.owner
        ]
        for one in before:
            if stolen:
                self._taint(connection, one.id, Action.COMPROMISE, by)
            else:
                self._move(connection, one.id, Action.REPLACE, by)
        self._move(
            connection,
            authority,
            Action.ACTIVATE,
            by,
            _told(forced, breaks),
            activated_at=now,
            activated_sequence=authority_rows.sequence(connection),
        )
        if rotation:
            detail = f"{authority} signs {_told(forced, breaks)}".strip()
            journal.advance(connection, rotation, now, detail, forced=bool(forced))

    def _taint(self, connection: Connection, authority: str, action: Action, by: By) -> None:
        """A root takes with it all that it has signed and that signs no more."""
        now, sequence = self._clock.now(), authority_rows.raise_sequence(connection)
        row = _row(connection, authority)
        children = [
            one for one in authority_rows.signed_by(connection, authority) if one.state is State.OLD
        ]
        for one in children:
            self._move(
                connection, one.id, Action.TAINT, by, tainted_at=now, tainted_sequence=sequence
            )
        self._move(connection, authority, action, by, tainted_at=now, tainted_sequence=sequence)
        if rotation := journal.at(connection, row.owner, Step.TAINT, authority):
            journal.advance(connection, rotation, now, f"{authority} tainted")

    def _revoke(
        self, connection: Connection, authority: str, forced: str, breaks: tuple[str, ...], by: By
    ) -> None:
        now = self._clock.now()
        row = _row(connection, authority)
        rotation = journal.at(connection, row.owner, Step.REVOKE, authority)
        children = [
            one
            for one in authority_rows.signed_by(connection, authority)
            if one.state is State.TAINTED
        ]
        for one in (*children, row):
            told = _told(forced, breaks) if one is row else f"with its root {authority}"
            self._move(connection, one.id, Action.REVOKE, by, told, revoked_at=now, key=None)
        authority_rows.raise_sequence(connection)
        if rotation is None:
            return
        if rotation.kind is Kind.COMPROMISE:
            value = row.spki_sha256.hex()
            bans.add_authority(connection, value, "compromised", rotation.requested_by, now)
        detail = f"{authority} revoked {_told(forced, breaks)}".strip()
        journal.advance(connection, rotation, now, detail, forced=bool(forced))

    def _move(
        self,
        connection: Connection,
        authority: str,
        action: Action,
        by: By,
        detail: str = "",
        **values: object,
    ) -> None:
        """One change of one authority's state, with its row in the audit table. Raises
        IllegalTransitionError.
        """
        row = _row(connection, authority)
        state = after(row.state, action)
        authority_rows.change(connection, authority, state=state, **values)
        self._note(connection, row, action, by, detail)
        _log.info(
            f"authority {state}",
            extra=fields(owner=row.owner, authority=authority, by=by.who, detail=detail or None),
        )

    def _progress(
        self, connection: Connection, name: str, state: Progress, what: str, detail: str
    ) -> None:
        if rotation := rotation_rows.find(connection, name):
            journal.set_progress(connection, rotation, state, self._clock.now(), what, detail)

    def _note(
        self, connection: Connection, row: AuthorityRow, action: Action, by: By, detail: str = ""
    ) -> None:
        entry = Entry(
            time=self._clock.now(),
            replica=self._store.replica,
            request=by.request,
            kind=f"{action}-authority",
            caller=by.who,
            outcome=Outcome.NOTED,
            subject=f"authority {row.id} of {row.owner}",
            authority=row.id,
            detail=detail or None,
        )
        audit.append(connection, entry)


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
    row = _row(connection, authority)
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


def _row(connection: Connection, authority: str) -> AuthorityRow:
    row = authority_rows.find(connection, authority)
    if row is None:
        raise IllegalTransitionError(f"there is no authority {authority}")
    return row


def _lifetime(owner: str, terms: Terms) -> float:
    return terms.lifetimes.root if owner == ROOT else terms.lifetimes.of(owner)


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
            f"the environment's root ends in {last - now:.0f} s, before an authority made now would"
            f" ({end - now:.0f} s); rotate the root (featward ca authority rotate root) or shorten"
            " authority.lifetime"
        )


def _told(forced: str, breaks: tuple[str, ...]) -> str:
    """What the audit table says of a step that was not waited for."""
    return f"forced ({forced}): {listed(breaks)}" if forced else ""


def listed(texts: Sequence[str]) -> str:
    """As many as one row of a table that only grows should hold."""
    more = len(texts) - _LISTED
    return "; ".join([*texts[:_LISTED], *([f"and {more} more"] if more > 0 else [])])
