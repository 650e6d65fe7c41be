"""What clients say on their streams, and how many of them are told of a change at once."""

import asyncio
import gc
from dataclasses import replace
from typing import Any

import grpc
import pytest

from ca_kit import FakeClock, OpenCore, a_directory, a_request, outlive_the_dead
from featward.authority.v1 import authority_pb2
from featward.identity.v1 import identity_pb2
from featward_ca import pacing
from featward_ca.bans import Ban, BanKind
from featward_ca.errors import StoreError, TooManyRequestsError
from featward_ca.service.limits import Allowance
from featward_ca.service.rpcs import Limit, Rate
from featward_ca.service.streams import Stream
from featward_ca.settings import DAY, HOUR
from featward_ca.store import clients, living
from featward_ca.store.clients import ClientRow
from featward_ca.trust import Trust, TrustBroadcast
from service_kit import NAME, UNIX_HEADERS, Served, headers_of, refused

FEAST = "prod.payments/feast"
Say = identity_pb2.WatchIdentityRequest


async def attest(served: Served, workload: str = NAME) -> identity_pb2.Svid:
    evidence = identity_pb2.Evidence(join_token=await served.token(workload))
    answer = await served.stub.Attest(
        identity_pb2.AttestRequest(evidence=evidence, csr=a_request())
    )
    svid: identity_pb2.Svid = answer.svid
    return svid


async def attest_by_user(served: Served) -> identity_pb2.Svid:
    evidence = identity_pb2.Evidence(unix=identity_pb2.UnixEvidence())
    request = identity_pb2.AttestRequest(evidence=evidence, csr=a_request())
    answer = await served.stub.Attest(request, metadata=UNIX_HEADERS)
    svid: identity_pb2.Svid = answer.svid
    return svid


async def watch(served: Served, svid: identity_pb2.Svid) -> tuple[Any, identity_pb2.Trust]:
    stream = served.stub.WatchIdentity(metadata=headers_of(svid))
    return stream, (await stream.read()).trust


async def end(stream: Any) -> None:
    await stream.done_writing()
    assert await stream.code() is grpc.StatusCode.OK


async def new_unit(served: Served, name: str = "prod.fraud") -> int:
    """A change of trust that only adds; its sequence."""
    units = dict(served.core.situation.directory.business_units) | {name: 7 * DAY}
    served.core.take_over(a_directory(business_units=units))
    await served.core.tend()
    return served.core.trust.current.sequence


async def stored(served: Served, lineage: str) -> ClientRow:
    await served.service.drain()
    store, now = served.core.store, served.core.clock.now()
    rows = await store.read(lambda connection: clients.live(connection, store.replica, now))
    return next(row for row in rows if row.lineage == lineage)


async def test_what_a_client_says_is_stored_and_outlives_the_ca(
    served: Served, open_core: OpenCore
) -> None:
    svid = await attest(served)
    stream, trust = await watch(served, svid)
    said = Say(
        acknowledged_sequence=trust.sequence,
        serial_in_use=headers_of(svid)[1][1].upper(),
        version="1.2.3\x1b[0m",
        clock_offset_ms=-1500,
    )
    await stream.write(said)
    await end(stream)
    await served.service.drain()
    again = await open_core()
    now = again.clock.now()
    (row,) = await again.store.read(lambda connection: clients.live(connection, "", now))
    assert (row.acknowledged_sequence, row.version) == (trust.sequence, "1.2.3[0m")
    assert (row.clock_offset_ms, row.serial) == (-1500, headers_of(svid)[1][1])


async def test_an_acknowledgement_is_stored_by_itself_within_a_moment(served: Served) -> None:
    svid = await attest(served)
    stream, _ = await watch(served, svid)
    sequence = await new_unit(served)
    assert (await stream.read()).trust.sequence == sequence
    await stream.write(Say(acknowledged_sequence=sequence))

    async def until_stored() -> None:
        now = served.core.clock.now()
        read = served.core.store.read
        while (await read(lambda c: clients.counts(c, "", sequence, now))).behind:  # noqa: ASYNC110  # no event tells
            await asyncio.sleep(0.02)

    await asyncio.wait_for(until_stored(), 2)
    stream.cancel()


async def test_who_has_not_acknowledged_is_counted_and_listed_by_page(served: Served) -> None:
    svids = [await attest(served) for _ in range(5)]
    opened = [(await watch(served, svid))[0] for svid in svids[:4]]
    sequence = await new_unit(served)
    for stream in opened:
        await stream.read()
    await opened[0].write(Say(acknowledged_sequence=sequence))
    await opened[1].write(Say(acknowledged_sequence=sequence - 1))
    await end(opened[3])
    for stream in opened[:2]:
        # Answered only after what was said before has been taken down.
        await stream.write(Say(csrs=[a_request()]))
        await stream.read()
    await served.service.drain()
    shown = await served.admin.Show(authority_pb2.ShowRequest())
    assert (shown.live_clients, shown.streams, shown.streams_behind) == (5, 3, 2)
    request = authority_pb2.ListClientsRequest(limit=3, behind_sequence=sequence)
    first = await served.admin.ListClients(request)
    assert (first.total, len(first.clients)) == (4, 3)
    request.after = first.next
    rest = await served.admin.ListClients(request)
    assert (len(rest.clients), rest.next) == (1, "")
    listed = {client.lineage: client for client in (*first.clients, *rest.clients)}
    assert listed.keys() == {svid.lineage for svid in svids[1:]}
    assert [listed[svid.lineage].connected for svid in svids[1:]] == [True, True, False, False]
    for stream in opened[:3]:
        stream.cancel()


async def test_clients_are_listed_by_the_authority_that_signed_what_they_use(
    served: Served,
) -> None:
    svid = await attest(served)
    active = served.core.authorities.active("prod.payments").row.id
    other = served.core.authorities.active("prod.risk").row.id
    for authority, count in ((active, 1), (other, 0), ("prod.payments", 1), ("prod.risk", 0)):
        request = authority_pb2.ListClientsRequest(authority=authority)
        answer = await served.admin.ListClients(request)
        assert [one.lineage for one in answer.clients] == [svid.lineage] * count
    mistyped = authority_pb2.ListClientsRequest(authority=active[:4])
    code, said = await refused(served.admin.ListClients(mistyped))
    assert (code, "no authority" in said) == (grpc.StatusCode.NOT_FOUND, True)


async def test_the_answer_to_a_step_says_how_many_svids_the_authority_has(served: Served) -> None:
    for _ in range(2):
        await attest(served)
    old = served.core.authorities.active("prod.payments").row.id
    request = authority_pb2.StepRequest(authority=old, force=True)
    await served.admin.Prepare(authority_pb2.StepRequest(authority="prod.payments"))
    await served.admin.Activate(authority_pb2.StepRequest(authority="prod.payments", force=True))
    answer = await served.admin.Taint(request)
    assert (answer.authority.id, answer.authority.live_svids) == (old, 2)


async def test_an_attestation_counts_as_an_acknowledgement(served: Served) -> None:
    svid = await attest(served)
    row = await stored(served, svid.lineage)
    assert row.acknowledged_sequence == served.core.trust.current.sequence
    assert not row.connected


async def test_nobody_acknowledges_what_it_was_not_sent(served: Served) -> None:
    svid = await attest(served)
    stream, trust = await watch(served, svid)
    await stream.write(Say(acknowledged_sequence=trust.sequence + 1000))
    await end(stream)
    assert (await stored(served, svid.lineage)).acknowledged_sequence == trust.sequence


async def test_a_claim_counts_once_it_is_sent_here_too(served: Served) -> None:
    """It came from another replica; the client will not say it twice."""
    svid = await attest(served)
    stream, trust = await watch(served, svid)
    await stream.write(Say(acknowledged_sequence=trust.sequence + 1, csrs=[a_request()]))
    await stream.read()
    assert await new_unit(served) == trust.sequence + 1
    await stream.read()
    assert (await stored(served, svid.lineage)).acknowledged_sequence == trust.sequence + 1
    stream.cancel()


async def test_an_acknowledgement_never_falls(served: Served) -> None:
    svid = await attest(served)
    stream, trust = await watch(served, svid)
    await stream.write(Say(acknowledged_sequence=trust.sequence))
    await end(stream)
    stream, _ = await watch(served, svid)
    await stream.write(Say(acknowledged_sequence=1))
    await end(stream)
    assert (await stored(served, svid.lineage)).acknowledged_sequence == trust.sequence


async def test_nobody_speaks_for_another_lineage(served: Served) -> None:
    mine, other = await attest_by_user(served), await attest(served)
    sequence = await new_unit(served)
    for lineage, acknowledged in ((mine.lineage, sequence), (other.lineage, sequence - 1)):
        stream = served.stub.WatchIdentity(metadata=UNIX_HEADERS)
        await stream.read()
        await stream.write(Say(acknowledged_sequence=sequence, lineage=lineage))
        await end(stream)
        assert (await stored(served, lineage)).acknowledged_sequence == acknowledged
    # With a certificate, what is said does not matter.
    stream, _ = await watch(served, other)
    await stream.write(Say(lineage=mine.lineage, serial_in_use=headers_of(mine)[1][1]))
    await end(stream)
    assert (await stored(served, other.lineage)).serial == headers_of(other)[1][1]


async def test_a_serial_that_is_none_ends_the_stream(served: Served) -> None:
    stream, _ = await watch(served, await attest(served))
    await stream.write(Say(serial_in_use="no hex"))
    assert await stream.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_client_is_connected_until_its_last_stream_ends(served: Served) -> None:
    svid = await attest(served)
    first, _ = await watch(served, svid)
    second, _ = await watch(served, svid)
    assert (await stored(served, svid.lineage)).connected
    assert b"\nfeatward_ca_streams 2.0\n" in served.core.metrics.render()
    await end(first)
    assert (await stored(served, svid.lineage)).connected
    assert b"\nfeatward_ca_streams 1.0\n" in served.core.metrics.render()
    await end(second)
    assert not (await stored(served, svid.lineage)).connected
    assert b"\nfeatward_ca_streams 0.0\n" in served.core.metrics.render()


async def test_who_was_connected_to_a_ca_that_was_killed_is_not(
    served: Served, open_core: OpenCore
) -> None:
    svid = await attest(served)
    stream, _ = await watch(served, svid)
    assert (await stored(served, svid.lineage)).connected
    again = await open_core()
    await outlive_the_dead(again)
    store, now = again.store, again.clock.now()
    (row,) = await store.read(lambda connection: clients.live(connection, store.replica, now))
    assert not row.connected
    stream.cancel()


async def test_a_stream_that_is_attested_anew_leaves_the_client_that_it_was(
    served: Served,
) -> None:
    svid = await attest_by_user(served)
    stream = served.stub.WatchIdentity(metadata=UNIX_HEADERS)
    await stream.read()
    evidence = identity_pb2.Evidence(unix=identity_pb2.UnixEvidence())
    said = Say(csrs=[a_request()], evidence=evidence, lineage=svid.lineage)
    await stream.write(said)
    lineage = (await stream.read()).svids[0].lineage
    assert (await stored(served, lineage)).connected
    # It may be the same client, if the CA could tell.
    assert (await stored(served, svid.lineage)).connected is (lineage == svid.lineage)
    stream.cancel()


async def test_the_svid_in_use_is_the_one_said_and_else_the_newest(
    served: Served, clock: FakeClock
) -> None:
    svid = await attest(served)
    old = headers_of(svid)[1][1]
    clock.advance(600)
    stream, _ = await watch(served, svid)
    await stream.write(Say(csrs=[a_request()], serial_in_use=old))
    new = headers_of((await stream.read()).svids[0])[1][1]
    assert (await stored(served, svid.lineage)).serial == old
    clock.advance(living.ANSWERED_SECONDS)
    # It was answered long enough ago, and can only have stopped saying.
    assert (await stored(served, svid.lineage)).serial == new
    await stream.write(Say(serial_in_use=new))
    await end(stream)
    assert (await stored(served, svid.lineage)).serial == new


async def test_what_could_not_be_stored_is_stored_later(
    served: Served, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    svid = await attest(served)
    await served.service.drain()
    stream, trust = await watch(served, svid)
    await stream.write(Say(acknowledged_sequence=trust.sequence, version="9", csrs=[a_request()]))
    await stream.read()

    async def full(*_: object) -> None:
        raise StoreError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(served.core.store, "run", full)
        await served.service.drain()
    assert "acknowledgements not stored" in caplog.messages
    assert (await stored(served, svid.lineage)).version == "9"
    stream.cancel()


async def test_clients_that_come_and_go_while_the_store_is_away_fill_no_memory(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    svid = await attest(served)
    await served.service.drain()

    async def away(*_: object) -> None:
        raise StoreError("PostgreSQL can't be reached")

    with monkeypatch.context() as broken:
        broken.setattr(served.core.store, "run", away)
        for version in ("7", "8", "9"):
            stream, _ = await watch(served, svid)
            await stream.write(Say(version=version))
            await end(stream)
            await served.service.drain()
    gc.collect()
    assert not [one for one in gc.get_objects() if isinstance(one, Stream)]
    assert (await stored(served, svid.lineage)).version == "9"


TRUST = Trust(1, "x", (b"root",), ((b"a", "/bu/a/"), (b"b", "/bu/b/")))
BAN = Ban(BanKind.SERIAL, "0a")


@pytest.mark.parametrize(
    ("change", "urgent"),
    [
        ({"scopes": (*TRUST.scopes, (b"c", "/bu/c/"))}, False),
        ({"roots": (b"root", b"next")}, False),
        ({"bans": (BAN,)}, True),
        ({"tainted": frozenset({b"a"})}, True),
        ({"scopes": TRUST.scopes[:1]}, True),
        ({"roots": ()}, True),
    ],
    ids=["scope", "root", "ban", "taint", "less scopes", "less roots"],
)
def test_only_what_takes_trust_away_is_urgent(change: dict[str, Any], urgent: bool) -> None:
    assert replace(TRUST, **change).is_urgent_after(TRUST) is urgent


def test_a_lifted_ban_is_not_urgent() -> None:
    assert not TRUST.is_urgent_after(replace(TRUST, bans=(BAN,)))


async def test_listeners_hear_of_each_change_once() -> None:
    broadcast, heard = TrustBroadcast(TRUST), []
    broadcast.subscribe(lambda before, now: heard.append((before.sequence, now.sequence)))
    for sequence in (2, 2, 1, 5):
        broadcast.publish(replace(TRUST, sequence=sequence))
    assert heard == [(1, 2), (2, 5)]


def test_pushes_are_spread_by_how_many_there_are_and_not_for_long() -> None:
    assert pacing.splay(1) < 0.001
    assert pacing.splay(2000) == 1
    assert pacing.splay(100_000) == 5


def test_a_taint_gives_time_for_all_renewals() -> None:
    assert pacing.reissue_within(10) == 1000
    assert pacing.reissue_within(10_000) == 40_000


async def test_a_change_that_adds_is_spread_and_a_ban_is_not(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, _ = await watch(served, await attest(served))
    monkeypatch.setattr("featward_ca.service.stream.splay", lambda _: 3600.0)
    await new_unit(served)
    reading = asyncio.ensure_future(stream.read())
    assert not (await asyncio.wait({reading}, timeout=0.2))[0]
    request = authority_pb2.AddBanRequest(serial="0a", reason="test")
    sequence = (await served.admin.AddBan(request)).sequence
    assert (await asyncio.wait_for(reading, 1)).trust.sequence == sequence
    stream.cancel()


async def test_who_is_shed_is_told_when_to_come_back(served: Served) -> None:
    headers, waits = headers_of(await attest(served)), []
    for number in range(64 + 3):
        stream = served.stub.WatchIdentity(metadata=headers)
        if number < 64:
            await stream.read()
            stream.cancel()
            continue
        assert await stream.code() is grpc.StatusCode.UNAVAILABLE
        waits.append(int(dict(await stream.trailing_metadata())["featward-retry-after-ms"]))
    assert waits == sorted(set(waits))
    assert 250 <= waits[0] <= 10_000


def test_everybody_who_is_sent_away_is_given_another_moment() -> None:
    allowance = Allowance(Limit(Rate(1, 1), 1000, together=Rate(10, 5)))
    waits = []
    for number in range(30):
        try:
            allowance.enter(str(number), 0.0)
        except TooManyRequestsError as error:
            waits.append(error.retry_after)
    assert waits == [(number + 1) / 5 for number in range(20)]
    # Those had their time to come back.
    for number in range(100, 110):
        allowance.enter(str(number), 4.0)
    with pytest.raises(TooManyRequestsError) as shed:
        allowance.enter("next", 4.0)
    assert shed.value.retry_after == pytest.approx(0.2)


async def test_a_ca_that_stops_spreads_those_who_come_back(served: Served) -> None:
    stream, _ = await watch(served, await attest(served))
    served.service.close()
    assert await stream.code() is grpc.StatusCode.UNAVAILABLE
    assert "featward-retry-after-ms" in dict(await stream.trailing_metadata())


async def test_runway_is_of_those_who_would_renew(served: Served, clock: FakeClock) -> None:
    staying = await attest(served)
    clock.advance(600)
    await attest(served, "prod.risk/scoring")
    stream, _ = await watch(served, staying)

    async def runway() -> float:
        await served.service.drain()
        return float((await served.admin.Show(authority_pb2.ShowRequest())).runway_seconds)

    assert await runway() == HOUR - 600
    await stream.write(Say(csrs=[a_request()]))
    await stream.read()
    assert await runway() == HOUR
    stream.cancel()


async def test_nobody_lives_and_there_is_no_runway(served: Served) -> None:
    assert (await served.admin.Show(authority_pb2.ShowRequest())).runway_seconds == -1
