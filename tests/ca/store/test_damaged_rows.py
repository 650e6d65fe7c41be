"""A word in a row that no version of the CA writes: the row is named and so is the command that helps, and
nothing is done on the strength of it.
"""

from dataclasses import dataclass

import pytest
from sqlalchemy import text

from ca_kit import FakeClock, OpenCore, issue
from featward_ca.core import Core
from featward_ca.errors import StoreError
from featward_ca.rotation.actions import Begin
from featward_ca.rotation.states import Kind
from featward_ca.settings import HOUR
from featward_ca.store import audit, bans, rotation_rows, svids
from featward_ca.store.store import Connection, Store

UNIT, NAME = "prod.payments", "prod.payments/pricing-api"
WHAT_HELPS = "stop the CA and bring the store back from a backup: featward ca restore"


@dataclass(frozen=True)
class Damage:
    """A word where it does not belong."""

    table: str
    column: str
    key: str = "id"

    async def done(self, store: Store) -> str:
        """Write it into one row although the table's CHECK forbids it; the row's name."""
        name: str = await store.run(self._write)
        return name

    def _write(self, connection: Connection) -> str:
        without = "PRAGMA ignore_check_constraints = {}"
        if connection.dialect.name == "postgresql":
            name = f"{self.table}_{self.column}_check"
            connection.execute(text(f"ALTER TABLE {self.table} DROP CONSTRAINT {name}"))
        else:
            connection.exec_driver_sql(without.format("ON"))
        row = connection.execute(text(f"SELECT {self.key} FROM {self.table}")).scalars().first()  # noqa: S608
        changed = f"UPDATE {self.table} SET {self.column} = 'gone' WHERE {self.key} = :row"  # noqa: S608
        connection.execute(text(changed), {"row": row})
        if connection.dialect.name != "postgresql":
            connection.exec_driver_sql(without.format("OFF"))
        return str(row)


def said(damage: Damage, row: str) -> str:
    return f"the row {row} of the table {damage.table} can't be read \\('gone' is not.*{WHAT_HELPS}"


async def begin(core: Core) -> None:
    before = core.authorities.active(UNIT).row.id
    wanted = Begin(UNIT, Kind.MANUAL, "admin", "a test", HOUR, predecessor=before)
    await core.carry_out.do(wanted, core.terms)


def rows(connection: Connection) -> list[tuple[object, ...]]:
    """What a rotation would change."""
    query = "SELECT id, state FROM authority UNION SELECT id, step FROM rotation ORDER BY 1"
    return [tuple(row) for row in connection.execute(text(query))]


@pytest.mark.parametrize(
    "damage",
    [
        Damage("rotation", "step"),
        Damage("rotation", "state"),
        Damage("rotation", "kind"),
        Damage("authority", "state"),
    ],
    ids=lambda damage: f"{damage.table}.{damage.column}",
)
async def test_a_damaged_journal_or_authority_stops_rotation_and_the_next_start(
    open_core: OpenCore, clock: FakeClock, damage: Damage
) -> None:
    core = await open_core()
    await begin(core)
    row = await damage.done(core.store)
    before = await core.store.read(rows)
    clock.advance(HOUR)
    with pytest.raises(StoreError, match=said(damage, row)):
        await core.schedule.tend(core.situation.directory, core.situation.lifetimes)
    # Which the CA logs and outlives; it goes on with what it has in its memory.
    await core.tend()
    await issue(core, NAME)
    assert await core.store.read(rows) == before
    await core.close()
    with pytest.raises(StoreError, match=said(damage, row)):
        await open_core()


async def test_a_damaged_event_of_a_rotation_is_named(core: Core) -> None:
    await begin(core)
    (rotation,) = await core.store.read(rotation_rows.opened)
    insert = (
        "INSERT INTO rotation_event (rotation, time, step, what) VALUES (:r, 1, 'gone', 'forced')"
    )
    await core.store.run(lambda c: c.execute(text(insert), {"r": rotation.id}).rowcount)
    for read in (
        lambda c: rotation_rows.events(c, rotation.id),
        lambda c: rotation_rows.forced_since(c, 0),
    ):
        with pytest.raises(StoreError, match=f"of the table rotation_event .*{WHAT_HELPS}"):
            await core.store.read(read)


async def test_a_damaged_record_svid_or_ban_is_named(open_core: OpenCore) -> None:
    core = await open_core()
    await issue(core, NAME)
    await core.store.run(lambda c: bans.add_authority(c, "00" * 32, "a test", "admin", 1.0))
    insert = (
        "INSERT INTO audit (time, replica, request, kind, caller, outcome)"
        " VALUES (1, 'r', 'q', 'attest', 'test', 'gone')"
    )
    await core.store.run(lambda c: c.execute(text(insert)).rowcount)
    with pytest.raises(StoreError, match=f"of the table audit .*{WHAT_HELPS}"):
        await core.store.read(audit.entries)
    for damage in (Damage("svid", "cap", "serial"), Damage("ban", "kind")):
        row = await damage.done(core.store)
        with pytest.raises(StoreError, match=said(damage, row)):
            await core.store.read(svids.every if damage.table == "svid" else announced)


def announced(connection: Connection) -> list[object]:
    return [row.ban for row in bans.in_force(connection, 2.0)]
