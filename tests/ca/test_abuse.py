"""What callers try who hold something: a stolen authority's key, an SVID, a uid."""

import asyncio
from typing import Any

import grpc
import pytest

from ca_kit import FakeClock, a_request
from featward.authority.v1 import authority_pb2
from featward.identity.v1 import identity_pb2
from featward_ca.errors import StoreError, TooManyRequestsError
from featward_ca.service import guard, stream
from featward_ca.service.limits import Allowance
from featward_ca.service.rpcs import Limit, Rate
from featward_ca.store import audit, clients, svids
from featward_ca.store.audit import Outcome
from featward_ca.store.clients import ClientRow
from service_kit import UNIX_HEADERS, Metadata, Served, headers_of, refused

Say = identity_pb2.WatchIdentityRequest
UNIX = identity_pb2.Evidence(unix=identity_pb2.UnixEvidence())


async def attest(served: Served) -> identity_pb2.Svid:
    svid: identity_pb2.Svid = (await served.attest()).svid
    return svid


async def watch(served: Served, headers: Metadata) -> Any:
    opened = served.stub.WatchIdentity(metadata=headers)
    await opened.read()
    return opened


async def answered(opened: Any, message: Say) -> identity_pb2.WatchIdentityResponse:
    await opened.write(message)
    answer: identity_pb2.WatchIdentityResponse = await opened.read()
    return answer


async def end(opened: Any) -> None:
    await opened.done_writing()
    await opened.code()


async def client(served: Served, lineage: str) -> ClientRow:
    await served.service.drain()
    store, now = served.core.store, served.core.clock.now()
    rows = await store.read(lambda connection: clients.live(connection, store.replica, now))
    return next(row for row in rows if row.lineage == lineage)


def forged(svid: identity_pb2.Svid, spiffe_id: str | None = None) -> Metadata:
    """What a Listener says of a leaf that a stolen authority has signed with a serial that it saw in
    somebody's handshake, for a key of its own.
    """
    (_, identity), serial, _ = headers_of(svid)
    return (
        ("featward-peer-spiffe-id", spiffe_id or str(identity)),
        serial,
        ("featward-peer-key", "0b" * 32),
    )


async def test_a_forged_leaf_with_a_victims_serial_renews_nothing(served: Served) -> None:
    victim = await attest(served)
    thief = await watch(served, forged(victim))
    await thief.write(Say(csrs=[a_request()]))
    code, _ = await refused(thief.read())
    assert code is grpc.StatusCode.UNAUTHENTICATED
    # Nothing became of it, so the victim is taken for no clone.
    opened = await watch(served, headers_of(victim))
    assert (await answered(opened, Say(csrs=[a_request()]))).svids[0].lineage == victim.lineage
    opened.cancel()


@pytest.mark.parametrize("path", ["/bu/payments/svc/pricing-api", "/bu/risk/svc/thief"])
async def test_a_forged_leaf_acknowledges_for_nobody(served: Served, path: str) -> None:
    victim = await attest(served)
    domain = victim.spiffe_id.split("/bu/")[0]
    before = await client(served, victim.lineage)
    thief = await watch(served, forged(victim, domain + path))
    await thief.write(Say(acknowledged_sequence=2**62, version="thief"))
    await end(thief)
    after = await client(served, victim.lineage)
    assert (after.version, after.connected) == (before.version, before.connected)


async def test_a_banned_serial_is_banned_although_the_connection_began_with_another(
    served: Served,
) -> None:
    opened = await watch(served, headers_of(await attest(served)))
    newest = (await answered(opened, Say(csrs=[a_request()]))).svids[0]
    serial = headers_of(newest)[1][1]
    bystander = await watch(served, headers_of(await attest(served)))
    await served.admin.AddBan(authority_pb2.AddBanRequest(serial=f"00{serial}", reason="stolen"))
    assert (await asyncio.wait_for(refused(opened.read()), 1))[0] is grpc.StatusCode.UNAVAILABLE
    assert len((await asyncio.wait_for(bystander.read(), 1)).trust.bans) == 1
    # By a message that was on its way, or on a Listener that does not know yet.
    again = await watch(served, headers_of(newest))
    await again.write(Say(csrs=[a_request()]))
    assert (await refused(again.read()))[0] is grpc.StatusCode.PERMISSION_DENIED
    bystander.cancel()


async def test_one_svid_has_four_streams_and_no_fifth(served: Served) -> None:
    svid = await attest(served)
    opened = [await watch(served, headers_of(svid)) for _ in range(4)]
    fifth = served.stub.WatchIdentity(metadata=headers_of(svid))
    code, said = await refused(fifth.read())
    assert (code, "4 calls" in said) == (grpc.StatusCode.UNAVAILABLE, True)
    await end(opened[0])
    opened[0] = await watch(served, headers_of(svid))
    for one in opened:
        one.cancel()


def test_what_ended_is_forgotten() -> None:
    allowance = Allowance(Limit(Rate(9, 1), at_once=9, each_svid_at_once=1))
    allowance.enter("a", 0, "0f")
    with pytest.raises(TooManyRequestsError):
        allowance.enter("a", 0, "0f")
    allowance.leave("0f")
    allowance.enter("a", 0, "0f")


async def test_a_flood_of_messages_ends_the_stream(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served.service._watching._said, "_rate", Rate(5, 1))
    opened = await watch(served, headers_of(await attest(served)))
    for _ in range(6):
        await opened.write(Say())
    assert (await refused(opened.read()))[0] is grpc.StatusCode.UNAVAILABLE
    assert stream._MESSAGES.burst > 10_000


async def test_svids_of_one_identity_are_not_made_without_end(
    served: Served, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(served.service._issuing._svids, "_rate", Rate(20, 1))
    opened = await watch(served, UNIX_HEADERS)
    twenty = Say(evidence=UNIX, csrs=[a_request() for _ in range(20)])
    assert len((await answered(opened, twenty)).svids) == 20
    await opened.write(twenty)
    code, said = await refused(opened.read())
    assert (code, "more SVIDs" in said) == (grpc.StatusCode.UNAVAILABLE, True)
    clock.advance(20)
    opened = await watch(served, UNIX_HEADERS)
    assert len((await answered(opened, twenty)).svids) == 20
    opened.cancel()


async def test_a_uid_speaks_for_no_client_that_was_attested_by_a_token(served: Served) -> None:
    evidence = identity_pb2.Evidence(join_token=await served.token("prod.payments/feast"))
    request = identity_pb2.AttestRequest(evidence=evidence, csr=a_request())
    other = (await served.stub.Attest(request)).svid
    assert served.core.situation.directory.workloads["prod.payments/feast"].runs_as(4242)
    opened = await watch(served, UNIX_HEADERS)
    await opened.write(Say(lineage=other.lineage, version="uid"))
    await end(opened)
    assert (await client(served, other.lineage)).version != "uid"


async def test_a_long_version_costs_no_more_than_a_short_one(served: Served) -> None:
    svid = await attest(served)
    opened = await watch(served, headers_of(svid))
    await opened.write(Say(version="v" * 60_000))
    await end(opened)
    assert (await client(served, svid.lineage)).version == "v" * 64


async def test_one_source_fills_its_own_share_of_the_audit_table(served: Served) -> None:
    nobody: Metadata = (("featward-peer-uid", "12345"), *UNIX_HEADERS[1:])
    request = identity_pb2.AttestRequest(evidence=UNIX, csr=a_request())
    for _ in range(105):
        await refused(served.stub.Attest(request, metadata=nobody))
    other: Metadata = (("featward-peer-uid", "54321"), *UNIX_HEADERS[1:])
    await refused(served.stub.Attest(request, metadata=other))
    rows = [row for row in await served.core.store.read(audit.entries) if row.outcome == "refused"]
    assert [row.caller for row in rows] == ["uid 12345"] * 100 + ["uid 54321"]


async def test_forbidden_calls_are_limited_too_and_do_not_fill_the_log(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    stranger: Metadata = (("featward-peer-address", "192.0.2.7"),)
    codes = [
        (await refused(served.remote.Show(authority_pb2.ShowRequest(), metadata=stranger)))[0]
        for _ in range(205)
    ]
    assert codes.count(grpc.StatusCode.PERMISSION_DENIED) == 200
    assert codes[-1] is grpc.StatusCode.UNAVAILABLE
    assert len([one for one in caplog.records if one.message == "call refused"]) == 100
    assert guard._LOGGED.burst == 100


async def test_a_renewal_whose_failure_could_not_be_stored_is_possible_again(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both the outcome and the failure meet a store that does not work."""
    core = served.core
    svid = await attest(served)
    living, wait = core.store.run, {"left": 0}

    async def broken(work: Any) -> Any:
        if wait["left"] and work.__qualname__ != "Batch.run.<locals>.<lambda>":
            wait["left"] -= 1
            raise StoreError("the disk is gone")
        return await living(work)

    opened = await watch(served, headers_of(svid))
    monkeypatch.setattr(core.store, "run", broken)
    wait["left"] = 2
    await opened.write(Say(csrs=[a_request()]))
    await refused(opened.read())
    assert wait["left"] == 0
    await served.attest()
    opened = await watch(served, headers_of(svid))
    renewed = (await answered(opened, Say(csrs=[a_request()]))).svids[0]
    assert renewed.lineage == svid.lineage
    row = await core.store.read(lambda c: svids.find_lineage(c, svid.lineage))
    assert row
    assert row.tainted_at is None
    outcomes = [one.outcome for one in await core.store.read(audit.entries) if one.kind == "renew"]
    assert outcomes.count(Outcome.FAILED) == 1
    opened.cancel()
