"""The switch that stops issuing, and the clock that signs nothing when it is behind."""

import json

import pytest
from aiohttp.test_utils import make_mocked_request
from cryptography.hazmat.primitives.asymmetric import ec

from ca_kit import TRUST_DOMAIN, FakeClock, OpenCore, a_directory, issue, key_of
from featward_ca.core import Core
from featward_ca.errors import ClockSkewError, IssuanceHaltedError
from featward_ca.health import Health
from featward_ca.own_identity import OwnIdentity
from featward_ca.settings import DAY
from featward_ca.store import audit
from featward_ca.store.audit import Outcome
from featward_engine import Credentials

PRICING = "prod.payments/pricing-api"


async def rows(core: Core) -> int:
    return len(await core.store.read(audit.entries))


async def test_halted_nothing_is_issued_to_workloads_and_resumed_it_is(core: Core) -> None:
    assert await core.halt.halt("admin", "key in wrong hands")
    before = await rows(core)
    with pytest.raises(IssuanceHaltedError) as refusal:
        await issue(core, PRICING)
    assert "wrong hands" not in str(refusal.value)
    assert await rows(core) == before
    assert await core.halt.resume()
    await issue(core, PRICING)


async def test_a_halt_outlives_a_restart_and_keeps_its_first_reason(open_core: OpenCore) -> None:
    core = await open_core()
    await core.halt.halt("admin", "first")
    assert not await core.halt.halt("admin", "second")
    again = await open_core()
    halted = await again.halt.halted()
    assert halted is not None
    assert (halted.by, halted.reason) == ("admin", "first")
    with pytest.raises(IssuanceHaltedError):
        await issue(again, PRICING)
    assert await again.halt.resume()
    assert not await again.halt.resume()


async def test_a_halt_without_a_reason_takes_one_that_comes_later(core: Core) -> None:
    await core.halt.halt("admin", "")
    for reason in ("", "a key is missing", "another"):
        assert not await core.halt.halt("admin", reason)
    halted = await core.halt.halted()
    assert halted is not None
    assert halted.reason == "a key is missing"


async def test_authorities_and_the_cas_own_svid_are_made_while_it_is_halted(
    core: Core, clock: FakeClock
) -> None:
    await core.halt.halt("admin", "")
    known = {row.id for row in core.authorities.rows}
    clock.advance(6 * DAY)
    await core.tend()
    assert {row.id for row in core.authorities.rows} - known
    own = OwnIdentity(core, Credentials(TRUST_DOMAIN))
    await own.renew()


async def test_a_used_token_is_not_spent_by_a_halt(core: Core) -> None:
    token, _ = await core.tokens.create(core.situation.directory, PRICING, 60, b"r" * 32)
    await core.halt.halt("admin", "")
    proof = await core.tokens.attest(core.situation.directory, token.evidence)
    with pytest.raises(IssuanceHaltedError):
        await issue(core, proof)
    await core.halt.resume()
    await issue(core, proof)


async def test_health_is_not_red_for_a_halt_and_says_it(core: Core, clock: FakeClock) -> None:
    health = Health(core)
    for halted, word in ((False, "ok"), (True, "halted"), (False, "ok")):
        await (core.halt.halt("admin", "") if halted else core.halt.resume())
        answer = await health._healthz(make_mocked_request("GET", "/healthz"))
        assert (answer.status, json.loads(answer.text or "")) == (200, {"status": word})
        assert f"featward_ca_issuance_halted {float(halted)}" in core.metrics.render().decode()
        clock.advance(60)


async def test_a_clock_behind_the_last_signature_signs_nothing(
    core: Core, clock: FakeClock
) -> None:
    await issue(core, PRICING)
    before = await rows(core)
    clock.advance(-60)
    with pytest.raises(ClockSkewError, match=r"clock-skew: .* 60 s before its last signature"):
        await issue(core, PRICING)
    key = key_of(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(ClockSkewError):
        await core.issuer.canary(TRUST_DOMAIN, key, core.situation.lifetimes)
    assert await Health(core).problem()
    assert await rows(core) == before


async def test_no_authority_is_made_by_a_clock_that_is_behind(core: Core, clock: FakeClock) -> None:
    await issue(core, PRICING)
    units = {"prod.payments": 7 * DAY, "prod.risk": 7 * DAY, "prod.fraud": 7 * DAY}
    core.take_over(a_directory(business_units=units))
    clock.advance(-60)
    await core.tend()
    assert "prod.fraud" not in {row.owner for row in core.authorities.rows}
    clock.advance(60)
    await core.tend()
    assert "prod.fraud" in {row.owner for row in core.authorities.rows}


async def test_a_step_of_a_few_seconds_back_is_not_the_end(core: Core, clock: FakeClock) -> None:
    await issue(core, PRICING)
    clock.advance(-4)
    await issue(core, PRICING)


async def test_a_restart_does_not_forget_the_last_signature(
    open_core: OpenCore, clock: FakeClock
) -> None:
    await issue(await open_core(), PRICING)
    clock.advance(-60)
    core = await open_core()
    with pytest.raises(ClockSkewError):
        await issue(core, PRICING)
    last = (await core.store.read(audit.entries))[-1]
    assert last.outcome is not Outcome.INTENT
