"""A start need not read an audit table of years."""

import pytest

from ca_kit import OpenCore
from featward_ca.core import Core
from featward_ca.store import audit
from featward_ca.store.audit import Entry, Outcome
from featward_ca.store.store import Connection


async def write(core: Core, *outcomes: Outcome, request: str = "r1") -> int:
    def work(connection: Connection) -> int:
        for outcome in outcomes:
            entry = Entry(1.0, core.store.replica, request, "attest", "test", outcome, serial="5e")
            audit.append(connection, entry)
        return audit.newest(connection)

    return await core.store.run(work)


async def settled(core: Core) -> int:
    for _ in range(2):
        await core.settle_audit()
    return await core.store.read(audit.settled)


async def test_what_has_its_outcome_is_looked_at_once(core: Core) -> None:
    last = await write(core, Outcome.INTENT, Outcome.SIGNED)
    await core.settle_audit()
    # What is new may still lack a row before it.
    assert await core.store.read(audit.settled) < last
    assert await settled(core) == last


@pytest.mark.parametrize("rows", [1, 2, 10_000])
async def test_what_waits_for_its_outcome_is_looked_at_until_it_has_it(
    core: Core, monkeypatch: pytest.MonkeyPatch, rows: int
) -> None:
    monkeypatch.setattr("featward_ca.store.pruning._LOOKED_AT", rows)
    begun = await write(core, Outcome.INTENT)
    await write(core, Outcome.INTENT, Outcome.SIGNED, request="r2")
    assert await settled(core) == begun - 1
    last = await write(core, Outcome.SIGNED)
    assert await settled(core) == last


async def test_a_start_closes_what_is_not_settled(open_core: OpenCore) -> None:
    core = await open_core()
    await write(core, Outcome.INTENT, Outcome.SIGNED)
    await settled(core)
    await write(core, Outcome.INTENT, request="r2")
    await core.close()
    again = await open_core()
    rows = await again.store.read(audit.entries)
    assert [row.request for row in rows if row.outcome is Outcome.INTERRUPTED] == ["r2"]
    at = await again.store.read(audit.settled)
    # Where replicas write, rows of before may appear yet.
    assert (rows[at - 1].outcome is Outcome.INTERRUPTED) is not again.store.shared
