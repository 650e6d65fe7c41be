"""A stolen authority: what a dry run says, and what is done about one in each state."""

import io

import pytest
from rich.console import Console

from ca_kit import FakeClock, acknowledge, issue
from featward.authority.v1 import authority_pb2
from featward_ca import report
from featward_ca.clock import readable
from featward_ca.core import Core
from featward_ca.errors import IllegalTransitionError
from featward_ca.rotation import orders
from featward_ca.rotation.actions import By
from featward_ca.rotation.compromise import Recovery, compromise
from featward_ca.rotation.orders import ACTIVATE, Order
from featward_ca.rotation.states import Progress, State
from featward_ca.rotation.waiting import COMPROMISE_WAIT
from featward_ca.service.admin import messages
from featward_ca.settings import REFRESH_HINT
from featward_ca.store import authority_rows

UNIT = "prod.payments"
WORKLOAD = "prod.payments/pricing-api"
ORDER = Order(By("admin", "test"))


async def state(core: Core, authority: str) -> State:
    row = await core.store.read(lambda c: authority_rows.find(c, authority))
    assert row
    return row.state


async def bans(core: Core) -> list[str]:
    found = await core.store.read(
        lambda c: c.exec_driver_sql("SELECT value FROM ban").scalars().all()
    )
    return list(found)


async def test_a_dry_run_says_who_breaks_and_how_long_it_takes(core: Core) -> None:
    away, connected = await issue(core, WORKLOAD), await issue(core, "prod.payments/feast")
    await acknowledge(core, connected)
    stolen = core.authorities.active(UNIT).row
    found = await compromise(core, UNIT, Order(ORDER.by, dry_run=True), 300)
    assert [one.spiffe_id for one in found.breaks] == [away.row.spiffe_id]
    assert found.seconds == 330
    assert "no scope table" in found.warnings[0]
    assert await state(core, stolen.id) is State.ACTIVE
    assert found.rotation is None


async def test_a_dry_run_is_put_in_words_that_can_be_followed(core: Core) -> None:
    for _ in range(3):
        await issue(core, WORKLOAD)
    connected = await issue(core, "prod.payments/feast")
    await acknowledge(core, connected)
    stolen = core.authorities.active(UNIT).row
    found = await compromise(core, UNIT, Order(ORDER.by, dry_run=True), 300)
    # Who is away renews nothing.
    assert found.steps[2] == f"have 1 connected client renew what {stolen.id} signed"
    assert found.steps[3].endswith("after 5m at the latest")
    assert f"until it expires, {readable(stolen.not_after)}; only" in found.warnings[0]
    assert found.warnings[0].endswith(
        "only a new root helps them sooner: featward ca compromise root"
    )
    text = printed(found)
    assert "\n3 clients are not connected, and lose their identity then:\n" in text
    assert text.count("svc/pricing-api") == 1
    assert "svc/pricing-api (3 clients)\n" in text


async def test_one_who_loses_its_identity_is_one(core: Core) -> None:
    away = await issue(core, WORKLOAD)
    text = printed(await compromise(core, UNIT, Order(ORDER.by, dry_run=True), 300))
    assert "\n1 client is not connected, and loses its identity then:\n" in text
    assert f"  {away.row.spiffe_id}\n" in text


def printed(found: Recovery) -> str:
    """As the command shows it."""
    answer = authority_pb2.CompromiseResponse(
        breaks=[messages.client(one) for one in found.breaks],
        steps=found.steps,
        recovery_seconds=found.seconds,
        warnings=found.warnings,
    )
    text = io.StringIO()
    report.recovery(answer, Console(file=text, width=300), dry_run=True)
    return text.getvalue()


async def test_the_active_one_is_replaced_revoked_and_banned(core: Core, clock: FakeClock) -> None:
    clock.advance(COMPROMISE_WAIT)  # Whoever is not connected by now is away.
    await issue(core, WORKLOAD)
    stolen = core.authorities.active(UNIT).row
    await orders.rotate(core, UNIT, ORDER)
    found = await compromise(core, stolen.id, ORDER, 60)
    assert found.rotation
    assert await state(core, stolen.id) is State.TAINTED
    clock.advance(60)
    await core.tend()
    assert await state(core, stolen.id) is State.REVOKED
    assert await bans(core) == [stolen.spki_sha256.hex()]
    assert core.authorities.active(UNIT).row.id != stolen.id


async def test_an_old_one_and_a_prepared_one_are_taken_away_too(
    core: Core, clock: FakeClock
) -> None:
    await issue(core, WORKLOAD)
    old = core.authorities.active(UNIT).row
    await orders.prepare(core, UNIT, ORDER)
    await orders.take(core, ACTIVATE, UNIT, Order(ORDER.by, force=True))
    await compromise(core, old.id, ORDER, 60)
    assert await state(core, old.id) is State.TAINTED
    prepared = await orders.prepare(core, "prod.risk", ORDER)
    assert prepared.authority
    await compromise(core, prepared.authority.id, ORDER, 60)
    assert await state(core, prepared.authority.id) is State.RETIRED
    clock.advance(60)
    await core.tend()
    assert await state(core, old.id) is State.REVOKED
    assert set(await bans(core)) == {old.spki_sha256.hex(), prepared.authority.spki_sha256.hex()}


async def test_a_stolen_root_is_replaced_with_all_that_it_signed(
    core: Core, clock: FakeClock
) -> None:
    before = [row.id for row in core.authorities.rows]
    stolen = core.authorities.root.row
    await compromise(core, "root", ORDER, 60)
    assert core.authorities.root.row.id != stolen.id
    clock.advance(5 * REFRESH_HINT + 1)
    await core.tend()
    for one in before:
        assert await state(core, one) is State.REVOKED
    assert not [one for one in (await core.schedule.known()).rotations if one.state in Progress]
    assert [*core.trust.current.roots] == [core.authorities.root.row.der]


async def test_an_expired_one_needs_nothing(core: Core, clock: FakeClock) -> None:
    old = core.authorities.active(UNIT).row
    clock.advance(old.not_after - clock.now())
    await core.tend()
    with pytest.raises(IllegalTransitionError, match="has expired"):
        await compromise(core, old.id, ORDER, 60)
