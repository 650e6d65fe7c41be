"""Statements that skip SQLAlchemy's way with parameters write what it would write."""

from dataclasses import replace
from functools import partial

from ca_kit import attested, issue
from featward_ca.attest import Method
from featward_ca.clock import Clock
from featward_ca.core import Core
from featward_ca.store import audit, clients, svids
from featward_ca.store.audit import Entry, Outcome
from featward_ca.store.clients import Told

NAME = "prod.payments/pricing-api"


def entry(core: Core, number: int) -> Entry:
    return Entry(
        time=1.5 * number,
        replica=core.store.replica,
        request=f"r{number}",
        kind="attest",
        caller="50 % of 'them'",
        outcome=Outcome.INTENT,
        profile="svid",
        subject="spiffe://x/y",
        serial=f"0{number}",
        tbs_sha256="ab",
    )


async def test_rows_after_others_repeat_them_but_for_what_came_of_it(core: Core) -> None:
    before = [entry(core, number) for number in range(3)]
    after = [replace(one, time=9.0, outcome=Outcome.FAILED, detail="because") for one in before]
    await core.store.run(lambda c: audit.append_all(c, before))
    await core.store.run(lambda c: audit.append_after(c, before, 9.0, Outcome.FAILED, "because"))
    assert (await core.store.read(audit.entries))[-6:] == before + after


async def test_an_svid_is_stored_as_it_was_issued(core: Core) -> None:
    issued = await issue(core, attested(core, NAME))
    found = await core.store.read(lambda c: svids.find(c, issued.row.serial))
    assert found == replace(issued.row, certificate=issued.chain[0])
    lineage = await core.store.read(lambda c: svids.lineage(c, issued.row.lineage))
    assert (lineage.workload, lineage.method) == (NAME, Method.UNIX)
    assert (lineage.spiffe_id, lineage.cluster) == (issued.row.spiffe_id, None)


async def test_of_rows_that_are_stored_already_by_others_none_is_ours(core: Core) -> None:
    issued = await issue(core, attested(core, NAME))
    faster = replace(issued.row, serial="aa" * 16, renewed_from=issued.row.serial)
    slower, other = replace(faster, serial="bb" * 16), replace(issued.row, serial="cc" * 16)
    assert await core.store.run(lambda c: svids.add(c, [faster])) == {faster.serial}
    stored = await core.store.run(lambda c: svids.add(c, [slower, other]))
    assert stored == {other.serial}


async def test_what_clients_tell_is_stored_for_each_of_them(core: Core, clock: Clock) -> None:
    rows = [(await issue(core, attested(core, NAME))).row for _ in range(3)]
    told = [
        Told(row.lineage, number > 0, number, row.serial, f"v{number}", -number)
        for number, row in enumerate(rows)
    ]
    replica, now = core.store.replica, clock.now()
    await core.store.run(lambda c: clients.tell(c, told, replica, now))
    for one in told:
        row = await core.store.read(partial(svids.lineage, lineage_id=one.lineage))
        assert row.acknowledged_sequence == one.sequence
        assert (row.serial_in_use, row.version) == (one.serial_in_use, one.version)
        assert row.clock_offset_ms == one.clock_offset_ms
        assert (row.replica == replica) is one.connected
        assert row.seen_at == now
