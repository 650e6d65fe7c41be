"""Every change of an authority's state and of a rotation's row, in the transaction of its caller.

Each has a row in the audit table, and what a rotation does an event in the journal.
"""

import logging

from featward.logs import fields
from featward_ca.clock import Clock
from featward_ca.errors import IllegalTransitionError
from featward_ca.rotation import actions, journal
from featward_ca.rotation.actions import By
from featward_ca.rotation.losses import listed, told
from featward_ca.rotation.states import Action, Kind, Progress, State, Step, after
from featward_ca.store import audit, authority_rows, bans, rotation_rows
from featward_ca.store.audit import Entry, Outcome
from featward_ca.store.authority_rows import AuthorityRow
from featward_ca.store.store import Connection, Store

_log = logging.getLogger(__name__)


class Changes:
    """Judges each by the states as they are in the transaction. `store`: in whose name it is done."""

    def __init__(self, clock: Clock, store: Store) -> None:
        self._clock = clock
        self._store = store

    def make(self, connection: Connection, action: actions.Planned, by: By) -> None:
        """Do one action that needs no key. Raises IllegalTransitionError."""
        now = self._clock.now()
        match action:
            case actions.Begin():
                journal.begin(connection, action, now)
            case actions.Activate():
                self._activate(connection, action, by)
            case actions.Taint(authority):
                self._taint(connection, authority, Action.TAINT, by)
            case actions.Revoke():
                self._revoke(connection, action, by)
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
            case actions.Cancel():
                self._cancel(connection, action, by)
            case actions.Abandon(name, why):
                _log.error("rotation given up", extra=fields(rotation=name, why=why))
                self._progress(connection, name, Progress.CANCELLED, "inconsistent", why)

    def note(
        self, connection: Connection, row: AuthorityRow, action: Action, by: By, detail: str = ""
    ) -> None:
        """Write what was done to an authority into the audit table."""
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

    def _activate(self, connection: Connection, action: actions.Activate, by: By) -> None:
        now, authority = self._clock.now(), action.authority
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
        detail = told(action.forced, action.breaks)
        self._move(
            connection,
            authority,
            Action.ACTIVATE,
            by,
            detail,
            activated_at=now,
            activated_sequence=authority_rows.sequence(connection),
        )
        text = f"{authority} signs {detail}".strip()
        if rotation:
            journal.advance(connection, rotation, now, text, forced=bool(action.forced))
        elif action.forced:
            journal.forced_alone(connection, row.owner, Step.ACTIVATE, authority, by.who, now, text)

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

    def _revoke(self, connection: Connection, action: actions.Revoke, by: By) -> None:
        now, authority = self._clock.now(), action.authority
        row = _row(connection, authority)
        rotation = journal.at(connection, row.owner, Step.REVOKE, authority)
        children = [
            one
            for one in authority_rows.signed_by(connection, authority)
            if one.state is State.TAINTED
        ]
        detail = told(action.forced, action.breaks)
        for one in (*children, row):
            said = detail if one is row else f"with its root {authority}"
            self._move(connection, one.id, Action.REVOKE, by, said, revoked_at=now, key=None)
        authority_rows.raise_sequence(connection)
        text = f"{authority} revoked {detail}".strip()
        if rotation is None:
            if action.forced:
                journal.forced_alone(
                    connection, row.owner, Step.REVOKE, authority, by.who, now, text
                )
            return
        if rotation.kind is Kind.COMPROMISE:
            value = row.spki_sha256.hex()
            bans.add_authority(connection, value, "compromised", rotation.requested_by, now)
        journal.advance(connection, rotation, now, text, forced=bool(action.forced))

    def _cancel(self, connection: Connection, action: actions.Cancel, by: By) -> None:
        row = _row(connection, action.authority)
        self._move(connection, row.id, Action.CANCEL, by, key=None)
        if row.state is State.PREPARED:
            authority_rows.raise_sequence(connection)
        if action.stolen:
            value, now = row.spki_sha256.hex(), self._clock.now()
            bans.add_authority(connection, value, action.reason, by.who, now)
        rotation = rotation_rows.open_of(connection, row.owner)
        if rotation and rotation.target == row.id:
            text = f"by {by.who}: {action.reason}"
            self._progress(connection, rotation.id, Progress.CANCELLED, "cancelled", text)

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
        self.note(connection, row, action, by, detail)
        _log.info(
            f"authority {state}",
            extra=fields(owner=row.owner, authority=authority, by=by.who, detail=detail or None),
        )

    def _progress(
        self, connection: Connection, name: str, state: Progress, what: str, detail: str
    ) -> None:
        if rotation := rotation_rows.find(connection, name):
            journal.set_progress(connection, rotation, state, self._clock.now(), what, detail)


def _row(connection: Connection, authority: str) -> AuthorityRow:
    row = authority_rows.find(connection, authority)
    if row is None:
        raise IllegalTransitionError(f"there is no authority {authority}")
    return row
