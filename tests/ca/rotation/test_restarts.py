"""A CA that was away: nothing is taken from those who could not renew meanwhile, for as long as it takes."""

from dataclasses import replace

import pytest

from ca_kit import FakeClock, OpenCore, acknowledge, attested, issue, killed
from featward_ca.attest import Method
from featward_ca.core import Core
from featward_ca.issuer import IssuedSvid
from featward_ca.rotation.actions import Begin
from featward_ca.rotation.known import Rotation
from featward_ca.rotation.states import Kind, Progress, Step
from featward_ca.rotation.waiting import COMPROMISE_WAIT, blockers
from featward_ca.settings import HOUR, RETURN
from featward_ca.store import rotation_rows

UNIT = "prod.payments"
WORKLOAD = "prod.payments/pricing-api"


async def begin(core: Core, kind: Kind, wait: float = HOUR) -> None:
    before = core.authorities.active(UNIT).row.id
    wanted = Begin(UNIT, kind, "admin", "a test", wait, predecessor=before)
    await core.carry_out.do(wanted, core.terms)
    await core.tend()


async def journal(core: Core) -> Rotation:
    found = await core.store.read(lambda c: rotation_rows.latest(c, UNIT))
    assert found
    return found


async def a_client(core: Core, method: Method) -> IssuedSvid:
    """One that uses its SVID and the newest trust."""
    client = await issue(core, replace(attested(core, WORKLOAD), method=method))
    await acknowledge(core, client)
    return client


async def until_revocation(core: Core, client: IssuedSvid) -> None:
    """A rotation that has done all but revoke what signed this client's SVID."""
    await begin(core, Kind.MANUAL)
    await acknowledge(core, client)
    await core.tend()
    await acknowledge(core, client)
    assert (await journal(core)).step is Step.REVOKE


@pytest.mark.parametrize("method", [Method.JOIN_TOKEN, Method.JWT])
async def test_who_could_not_renew_while_the_ca_was_away_is_waited_for(
    open_core: OpenCore, clock: FakeClock, method: Method
) -> None:
    core = await open_core()
    client = await a_client(core, method)
    await until_revocation(core, client)
    await killed(core)
    clock.advance(4 * HOUR)
    again = await open_core()
    waiting = await journal(again)
    assert waiting.step is Step.REVOKE
    (blocker,) = blockers(waiting, await again.schedule.known())
    assert blocker.who == client.row.spiffe_id
    assert "while the CA was away" in blocker.text
    assert blocker.until == clock.now() + RETURN
    clock.advance(10)
    proof = replace(
        attested(again, WORKLOAD),
        method=method,
        lineage=client.row.lineage,
        renewed_from=client.row.serial,
    )
    await acknowledge(again, await issue(again, proof))
    await again.tend()
    assert (await journal(again)).state is Progress.DONE


async def test_who_does_not_come_back_is_not_waited_for_any_longer(
    open_core: OpenCore, clock: FakeClock
) -> None:
    core = await open_core()
    await until_revocation(core, await a_client(core, Method.JOIN_TOKEN))
    await killed(core)
    clock.advance(4 * HOUR)
    again = await open_core()
    clock.advance(RETURN - 1)
    await again.tend()
    assert (await journal(again)).step is Step.REVOKE
    clock.advance(1)
    await again.tend()
    assert (await journal(again)).state is Progress.DONE


async def test_who_shows_evidence_anew_needs_nothing_of_before(
    open_core: OpenCore, clock: FakeClock
) -> None:
    core = await open_core()
    await until_revocation(core, await a_client(core, Method.UNIX))
    await killed(core)
    clock.advance(4 * HOUR)
    assert (await journal(await open_core())).state is Progress.DONE


async def test_who_was_gone_before_the_grace_ended_is_not_waited_for(
    open_core: OpenCore, clock: FakeClock
) -> None:
    core = await open_core()
    client = await a_client(core, Method.JOIN_TOKEN)
    await until_revocation(core, client)
    await killed(core)
    clock.advance(client.row.not_after + core.situation.lifetimes.reattest_grace - clock.now())
    assert (await journal(await open_core())).state is Progress.DONE


async def test_a_compromise_soon_after_a_start_waits_for_those_who_are_not_back_yet(
    open_core: OpenCore, clock: FakeClock
) -> None:
    core = await open_core()
    client = await a_client(core, Method.UNIX)
    await killed(core)
    clock.advance(60)
    again = await open_core()
    await begin(again, Kind.COMPROMISE)
    assert (await journal(again)).step is Step.ACTIVATE
    await acknowledge(again, client)
    await again.tend()
    assert (await journal(again)).step is Step.REVOKE


async def test_the_time_to_renew_what_a_stolen_one_signed_runs_while_the_ca_is_there(
    open_core: OpenCore, clock: FakeClock
) -> None:
    core = await open_core()
    await issue(core, WORKLOAD)
    clock.advance(COMPROMISE_WAIT)
    await begin(core, Kind.COMPROMISE, wait=300)
    assert (await journal(core)).step is Step.REVOKE
    await killed(core)
    clock.advance(600)
    again = await open_core()
    assert (await journal(again)).step is Step.REVOKE
    clock.advance(300)
    await again.tend()
    done = await journal(again)
    assert (done.state, done.forced) == (Progress.DONE, True)
