"""Who lives: who is refused by everybody is no client, and all who count take the same SVID to be the
one in use.
"""

from dataclasses import replace
from functools import partial

import pytest
from sqlalchemy import Connection, update

from ca_kit import FakeClock, acknowledge, issue
from featward_ca.bans import BanKind
from featward_ca.core import Core
from featward_ca.rotation import orders
from featward_ca.rotation.actions import By
from featward_ca.rotation.known import LiveClient
from featward_ca.rotation.orders import ACTIVATE, REVOKE, TAINT, Order
from featward_ca.store import bans, clients, living, tables
from featward_ca.store.bans import BanRow
from featward_ca.store.clients import ClientRow
from featward_ca.store.svids import SvidRow

UNIT, PRICING, FEAST = "prod.payments", "prod.payments/pricing-api", "prod.payments/feast"
ORDER = Order(By("admin", "test"))
FORCED = Order(ORDER.by, force=True)


async def listed(core: Core, authority: str = "") -> list[ClientRow]:
    now = core.clock.now()
    return await core.store.read(lambda c: clients.live(c, "", now, authority=authority))


async def waited_for(core: Core) -> list[LiveClient]:
    return [*(await core.schedule.known()).clients]


async def counted(core: Core) -> tuple[int, int]:
    """Clients, and SVIDs without the CA's own."""
    now = core.clock.now()
    live = await core.store.read(lambda c: living.live(c, now))
    counts = await core.store.read(lambda c: clients.counts(c, "", 0, now))
    assert live.clients == counts.clients
    return live.clients, live.svids - (live.identities - len({*map(_name, await listed(core))}))


def _name(row: ClientRow) -> str:
    return row.spiffe_id


async def ban(core: Core, kind: BanKind, value: str, ends: float | None = None) -> BanRow:
    row = BanRow(bans.new_id(), kind, value, "test", "test", core.clock.now(), ends)
    return await core.change_bans(lambda connection: bans.put(connection, row))


async def replace_authority(core: Core) -> str:
    """By force, whoever is in the way; the id of the revoked one."""
    before = core.authorities.active(UNIT).row.id
    await orders.prepare(core, UNIT, ORDER)
    await orders.take(core, ACTIVATE, UNIT, FORCED)
    await orders.take(core, TAINT, before, FORCED)
    await orders.take(core, REVOKE, before, FORCED)
    return before


@pytest.mark.parametrize("kind", [BanKind.IDENTITY, BanKind.SERIAL])
async def test_who_is_banned_is_no_client_until_the_ban_is_over(
    core: Core, clock: FakeClock, kind: BanKind
) -> None:
    gone, there = await issue(core, PRICING), await issue(core, FEAST)
    value = gone.row.spiffe_id if kind is BanKind.IDENTITY else gone.row.serial.lstrip("0")
    row = await ban(core, kind, value, clock.now() + 60)
    assert [one.lineage for one in await listed(core)] == [there.row.lineage]
    assert [one.lineage for one in await waited_for(core)] == [there.row.lineage]
    assert await counted(core) == (1, 1)
    clock.advance(61)
    assert len(await listed(core)) == len(await waited_for(core)) == 2
    await ban(core, kind, value)
    assert len(await waited_for(core)) == 1
    await core.change_bans(lambda connection: bans.take(connection, row.id))
    assert len(await waited_for(core)) == 2


async def test_who_was_banned_and_is_let_in_again_has_acknowledged_nothing_meanwhile(
    core: Core,
) -> None:
    gone = await issue(core, PRICING)
    row = await ban(core, BanKind.IDENTITY, gone.row.spiffe_id)
    await orders.prepare(core, UNIT, ORDER)
    assert (await orders.take(core, ACTIVATE, UNIT, Order(ORDER.by, dry_run=True))).blockers == ()
    await core.change_bans(lambda connection: bans.take(connection, row.id))
    answer = await orders.take(core, ACTIVATE, UNIT, ORDER)
    assert [one.who for one in answer.blockers] == [gone.row.spiffe_id]
    await acknowledge(core, gone)
    assert (await orders.take(core, ACTIVATE, UNIT, ORDER)).changed


async def test_whose_authority_is_revoked_or_banned_is_no_client(core: Core) -> None:
    gone = await issue(core, PRICING)
    revoked = await replace_authority(core)
    assert await listed(core) == []
    assert await waited_for(core) == []
    assert await counted(core) == (0, 0)
    # Who has to attest anew can still be looked up.
    assert [one.lineage for one in await listed(core, revoked)] == [gone.row.lineage]
    assert (await orders.rotate(core, UNIT, Order(ORDER.by, dry_run=True))).blockers == ()
    back = await issue(core, PRICING)
    assert [one.lineage for one in await waited_for(core)] == [back.row.lineage]
    key = core.authorities.active(UNIT).row.spki_sha256.hex()
    row = await ban(core, BanKind.AUTHORITY, key)
    assert await waited_for(core) == []
    await core.change_bans(lambda connection: bans.take(connection, row.id))
    assert len(await waited_for(core)) == 1
    await ban(core, BanKind.AUTHORITY, core.authorities.root.row.spki_sha256.hex())
    assert await waited_for(core) == []


def put(
    first: SvidRow, ages: dict[str, int], in_use: str | None, now: int, connection: Connection
) -> None:
    """Let the client of an SVID have these, by how long ago each was answered, and no others."""
    table, lineage = tables.svid, tables.lineage
    connection.execute(table.delete().where(table.c.lineage == first.lineage))
    for place, (serial, age) in enumerate(ages.items()):
        row = replace(first, serial=serial, issued_at=now - age, not_after=now + 3000 - place)
        connection.execute(table.insert().values(vars(row) | {"certificate": b"x"}))
    this = update(lineage).where(lineage.c.id == first.lineage)
    connection.execute(this.values(serial_in_use=in_use))


async def test_all_take_the_same_svid_to_be_the_one_in_use(core: Core, clock: FakeClock) -> None:
    first = (await issue(core, PRICING)).row
    clock.advance(1000)
    now = int(clock.now())
    # Seconds ago that each was answered, which one was said, which one counts.
    cases = [
        ((600, 300, 10), 0, 1),
        ((600, 300, 10), 2, 2),
        ((600, 300, 10), None, 1),
        ((600, 300, 90), 0, 2),
        ((600, 10, 5), 0, 0),
        ((50, 30, 10), 0, 0),
        ((50, 30, 10), None, 2),
    ]
    for ages, said, expected in cases:
        serials = [f"{number:040x}" for number in range(1, len(ages) + 1)]
        in_use = None if said is None else serials[said]
        await core.store.run(
            partial(put, first, dict(zip(serials, ages, strict=True)), in_use, now)
        )
        (row,) = await listed(core)
        assert row.serial == serials[expected], (ages, said)
        (waited,) = await waited_for(core)
        assert waited.not_after == now + 3000 - expected
