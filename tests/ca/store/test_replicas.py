"""Several CAs on one database: they rotate once, hear of each other, and outlive each other."""

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ca_kit import FakeClock, OpenCore, a_directory, a_request, issue
from featward_ca.attest import Attested
from featward_ca.check_issued import check
from featward_ca.core import Core
from featward_ca.errors import StoreError, SvidClonedError
from featward_ca.issuer import IssuedSvid
from featward_ca.replicas import DEAD_LOOKS
from featward_ca.requests import keys_of
from featward_ca.rotation.known import ROOT
from featward_ca.settings import DAY, HOUR
from featward_ca.store import audit, authority_rows, replica_rows
from featward_ca.store.audit import Entry, Outcome
from featward_ca.store.replica_rows import everybody
from featward_ca.store.store import Connection
from replica_kit import NAME, RenewingClient, Replica, lay_out


@pytest.fixture
def store_url(postgresql_url: str) -> str:
    """Replicas share a database; the embedded store belongs to one process."""
    return postgresql_url


@pytest.fixture
async def pair(open_core: OpenCore) -> tuple[Core, Core]:
    """Two CAs, started for the first time at the same moment."""
    first, second = await asyncio.gather(open_core(), open_core())
    return first, second


def generations(core: Core) -> list[tuple[str, int, str]]:
    return sorted((row.owner, row.generation, row.state) for row in core.authorities.rows)


async def test_replicas_that_start_at_once_make_one_root_and_one_authority_each(
    pair: tuple[Core, Core],
) -> None:
    for core in pair:
        await core.authorities.load()
        assert {generation for _, generation, _ in generations(core)} == {1}
        assert len(core.authorities.rows) == 4
        await issue(core, NAME)


async def test_a_first_root_made_by_another_replica_meanwhile_is_not_a_lost_one(
    open_core: OpenCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop = asyncio.get_running_loop()
    any_made = authority_rows.any_made

    async def start() -> None:
        await open_core()

    def once_the_other_has_started(connection: Connection) -> bool:
        monkeypatch.setattr(authority_rows, "any_made", any_made)
        asyncio.run_coroutine_threadsafe(start(), loop).result(30)
        return any_made(connection)

    monkeypatch.setattr(authority_rows, "any_made", once_the_other_has_started)
    core = await open_core()
    assert authority_rows.any_made is any_made
    assert [owner for owner, _, _ in generations(core)].count(ROOT) == 1


async def test_replicas_rotate_once(pair: tuple[Core, Core], clock: FakeClock) -> None:
    clock.advance(5 * DAY + HOUR)
    await asyncio.gather(*(core.tend() for core in pair))
    # Whoever signs second is too late, which is as it should be and nobody's alarm.
    said = b"".join(core.metrics.render() for core in pair)
    assert b'result="overtaken"' in said
    assert b'result="failed"' not in said
    for core in pair:
        await core.authorities.load()
        # Each waits until the other one's Listeners use what is announced.
        assert ("prod.payments", 2, "prepared") in generations(core)
    for core in pair:
        await core.replicas.beat()
    await asyncio.gather(*(core.tend() for core in pair))
    for core in pair:
        await core.authorities.load()
        assert ("prod.payments", 2, "active") in generations(core)
        assert max(generation for _, generation, _ in generations(core)) == 2
    assert len({core.authorities.active("prod.payments").row.id for core in pair}) == 1


async def test_a_change_by_one_replica_is_announced_by_the_other(pair: tuple[Core, Core]) -> None:
    one, other = pair
    following = asyncio.create_task(other.follow_changes())
    sequence = other.trust.current.sequence
    units = dict(a_directory().business_units) | {"prod.fraud": 7 * DAY}
    one.take_over(a_directory(business_units=units))
    await one.tend()
    trust = await asyncio.wait_for(other.trust.after(sequence), 5)
    while "/bu/fraud/" not in {prefix for _, prefix in trust.scopes}:
        trust = await asyncio.wait_for(other.trust.after(trust.sequence), 5)
    following.cancel()


async def test_one_svid_renewed_at_two_replicas_for_two_keys_is_a_clone(
    pair: tuple[Core, Core],
) -> None:
    directory = pair[0].situation.directory
    token, _ = await pair[0].tokens.create(directory, NAME, HOUR, b"r" * 32)
    row = (await issue(pair[0], await pair[0].tokens.attest(directory, token.evidence))).row
    requests = [a_request() for _ in pair]
    proofs = [
        await core.renewals.attest(directory, row.held, keys_of([csr])[0])
        for core, csr in zip(pair, requests, strict=True)
    ]
    attempts = [
        issue(core, proof, csr)
        for core, proof, csr in zip(pair, proofs, requests, strict=True)
        if isinstance(proof, Attested)
    ]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {IssuedSvid, SvidClonedError}


async def begin(core: Core) -> None:
    """An intent whose outcome is still to come."""
    entry = Entry(1.0, core.store.replica, "r1", "attest", "test", Outcome.INTENT, serial="5e")
    await core.store.run(lambda connection: audit.append(connection, entry))


async def outcomes(core: Core) -> list[Outcome]:
    return [row.outcome for row in await core.store.read(audit.entries) if row.request == "r1"]


async def test_a_replica_closes_the_intents_of_the_dead_and_of_nobody_else(
    pair: tuple[Core, Core], open_core: OpenCore, clock: FakeClock
) -> None:
    living, other = pair
    await begin(living)
    third = await open_core()
    for _ in range(3 * DEAD_LOOKS):
        clock.advance(5)
        await living.replicas.beat()
        await other.replicas.beat()
    assert await outcomes(other) == [Outcome.INTENT]
    await third.close()
    for _ in range(DEAD_LOOKS + 1):
        clock.advance(5)
        await other.replicas.beat()
    assert await outcomes(other) == [Outcome.INTENT, Outcome.INTERRUPTED]
    (left,) = await other.store.read(everybody)
    assert left.id == other.store.replica


async def test_who_was_taken_for_dead_completes_nothing_and_goes_on_under_a_new_name(
    pair: tuple[Core, Core], clock: FakeClock
) -> None:
    silent, other = pair
    name = silent.store.replica
    for _ in range(DEAD_LOOKS + 1):
        clock.advance(5)
        await other.replicas.beat()
    with pytest.raises(StoreError, match="took it for dead"):
        await issue(silent, NAME)
    units = dict(a_directory().business_units) | {"prod.fraud": 7 * DAY}
    silent.take_over(a_directory(business_units=units))
    await silent.tend()
    await silent.replicas.beat()
    assert silent.store.replica != name
    await issue(silent, NAME)
    await silent.tend()
    assert "prod.fraud" in {owner for owner, _, _ in generations(silent)}
    # Each intent has one outcome, whoever wrote it.
    checked = await other.store.read(lambda connection: check(connection, now=clock.now() + HOUR))
    assert checked.findings == []


async def test_what_another_replica_has_closed_gets_no_second_outcome(
    pair: tuple[Core, Core], clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is buried between its intent and its outcome, where it signs."""
    silent, other = pair
    name, sign = silent.store.replica, silent.keys.sign_leaves

    def bury(connection: Connection) -> None:
        replica_rows.remove(connection, [name])
        replica_rows.close_interrupted(connection, clock.now())

    def sign_slowly(*arguments: Any) -> Any:
        burial = threading.Thread(target=lambda: asyncio.run(other.store.exclusive(bury)))
        burial.start()
        burial.join()
        return sign(*arguments)

    monkeypatch.setattr(silent.keys, "sign_leaves", sign_slowly)
    with pytest.raises(StoreError, match="took it for dead"):
        await issue(silent, NAME)
    checked = await other.store.read(lambda connection: check(connection, now=clock.now()))
    assert checked.findings == []


async def test_a_replica_that_has_much_to_say_takes_nobody_for_dead(
    pair: tuple[Core, Core], clock: FakeClock
) -> None:
    """As every rotation makes it, several times within a second."""
    busy, other = pair
    beating = asyncio.create_task(busy.replicas.keep_beating())
    for _ in range(3 * DEAD_LOOKS):
        clock.advance(0.5)
        busy.replicas.soon()
        while clock.now() not in {row.seen_at for row in await other.store.read(everybody)}:
            pass
    beating.cancel()
    assert len(await other.store.read(everybody)) == 2


@pytest.fixture
def served(postgresql_url: str, tmp_path: Path) -> Iterator[list[Replica]]:
    """Two, started at the same moment on an empty database."""
    lay_out(tmp_path)
    replicas = [Replica(tmp_path, name, postgresql_url) for name in ("one", "two")]
    try:
        for replica in replicas:
            replica.wait()
        yield replicas
    finally:
        for replica in replicas:
            if replica.process.poll() is None:
                replica.process.send_signal(signal.SIGTERM)
                assert replica.process.wait(20) == 0


@pytest.mark.timeout(150)
@pytest.mark.parametrize("dies", [0, 1])
def test_either_of_two_replicas_may_be_killed_and_the_other_goes_on(
    served: list[Replica], tmp_path: Path, dies: int
) -> None:
    killed, left = served[dies], served[1 - dies]
    while min(replica.generation() for replica in served) < 2:
        pass
    client = RenewingClient(killed.token())
    first = asyncio.run(client.attest(killed.address))
    os.kill(killed.process.pid, signal.SIGKILL)
    killed.process.wait()
    # The one who is left renews what the dead one signed, and attests others.
    assert asyncio.run(client.renew(left.address)) != first
    assert left.fetch_svid(tmp_path / "svid")
    reached = left.generation()
    while left.generation() == reached:
        pass
    while len(left.status()["replicas"]) > 1:
        pass
    assert "replicas are dead" in left.log.read_text()
    made = [
        line
        for replica in served
        for line in replica.log.read_text().splitlines()
        if '"authority made"' in line and '"prod.payments"' in line
    ]
    assert len(made) <= left.generation(), made
    assert asyncio.run(client.renew(left.address))
    assert left.fetch_svid(tmp_path / "svid")
    checked = left.check_issued()
    assert checked["findings"] == []
    assert checked["certificates"] > 4
