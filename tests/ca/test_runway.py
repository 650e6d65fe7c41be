"""How the clients stand, as probes, scrapes and alerts see it."""

import re
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from ca_kit import FakeClock, issue
from featward_ca.core import Core
from featward_ca.errors import StoreError
from featward_ca.health import Health
from featward_ca.runway import Runway
from featward_ca.settings import HOUR

NAME = "prod.payments/pricing-api"


@pytest.fixture
async def health(core: Core) -> AsyncIterator[str]:
    health = Health(core)
    yield f"http://{await health.start('127.0.0.1:0')}"
    await health.stop()


async def get(url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.text()


async def detail(url: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession() as session, session.get(url) as response:
        return response.status, await response.json()


async def test_readiness_says_how_the_clients_stand(
    core: Core, clock: FakeClock, health: str
) -> None:
    await issue(core, NAME)
    clock.advance(600)
    status, said = await detail(f"{health}/readyz")
    assert (status, said["status"]) == (200, "ready")
    assert said["runway_seconds"] == HOUR - 600
    assert (said["clients"], said["clients_behind"], said["bans"]) == (1, 1, 0)
    assert said["sequence"] == core.trust.current.sequence


async def test_readiness_fails_with_the_store_and_says_so(
    core: Core, health: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def locked(*_: object) -> None:
        raise StoreError("the store is locked")

    monkeypatch.setattr(core.store, "read", locked)
    status, said = await detail(f"{health}/readyz")
    assert (status, said["problem"]) == (503, "the store is locked")
    # What does not need the store is still shown.
    assert "featward_bundle_sequence" in (await get(f"{health}/metrics"))[1]


async def test_metrics_tell_the_runway_and_who_is_behind(
    core: Core, clock: FakeClock, health: str
) -> None:
    assert "featward_identity_runway_seconds NaN" in (await get(f"{health}/metrics"))[1]
    await issue(core, NAME)
    clock.advance(60)
    said = (await get(f"{health}/metrics"))[1]
    for line in (
        f"featward_identity_runway_seconds {HOUR - 60}",
        "featward_ca_clients 1.0",
        "featward_ca_clients_behind 1.0",
        f"featward_ca_svid_lifetime_seconds {HOUR}",
        "featward_ca_bans 0.0",
    ):
        assert line in said.splitlines()


async def test_the_store_is_measured_by_queue_and_time(core: Core, health: str) -> None:
    await issue(core, NAME)
    said = (await get(f"{health}/metrics"))[1]
    counts = {
        name: float(value)
        for name, value in re.findall(r"^(featward_ca_store\S*_count\S*) (\S+)$", said, re.M)
    }
    assert counts["featward_ca_store_queue_seconds_count"] >= 2
    assert counts['featward_ca_store_seconds_count{operation="write"}'] >= 2
    assert counts['featward_ca_store_seconds_count{operation="read"}'] >= 1


async def test_one_count_serves_all_who_ask_within_seconds(core: Core, clock: FakeClock) -> None:
    runway = Runway(core)
    assert (await runway.outlook()).runway is None
    await issue(core, NAME)
    clock.advance(5)
    assert (await runway.outlook()).clients == 0
    clock.advance(6)
    assert (await runway.outlook()).clients == 1
    # A clock that was set back must not keep an old count for as long.
    await issue(core, "prod.risk/scoring")
    clock.advance(-60)
    assert (await runway.outlook()).clients == 2
