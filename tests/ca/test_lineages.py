"""Whose renewal it is when evidence is shown again: of the client that proves its SVID in use."""

from collections.abc import Iterable

import pytest

from attestor_kit import renew
from ca_kit import TRUST_DOMAIN, FakeClock, a_directory, a_request
from featward.authority.v1 import authority_pb2
from featward.identity.v1 import identity_pb2
from featward_ca import directory
from featward_ca.settings import DAY, HOUR
from featward_ca.store import svids
from service_kit import UNIX_HEADERS, Metadata, Served

UNIX = identity_pb2.Evidence(unix=identity_pb2.UnixEvidence())


def headers(uid: int) -> Metadata:
    return (("featward-peer-uid", str(uid)), *UNIX_HEADERS[1:])


async def attest(served: Served, uid: int = 4242) -> identity_pb2.Svid:
    request = identity_pb2.AttestRequest(evidence=UNIX, csr=a_request())
    answer = await served.stub.Attest(request, metadata=headers(uid))
    svid: identity_pb2.Svid = answer.svid
    return svid


async def again(
    served: Served, old: identity_pb2.Svid, uid: int = 4242, lineage: str | None = None
) -> identity_pb2.Svid:
    said = old.lineage if lineage is None else lineage
    return await renew(served, old, UNIX, headers=headers(uid), lineage=said)


async def living(served: Served) -> list[str]:
    await served.service.drain()
    answer = await served.admin.ListClients(authority_pb2.ListClientsRequest())
    return [client.lineage for client in answer.clients]


async def test_a_process_that_renews_by_the_kernels_word_stays_one_client(served: Served) -> None:
    first = await attest(served)
    second = await again(served, first)
    third = await again(served, second)
    assert {second.lineage, third.lineage} == {first.lineage}
    assert await living(served) == [first.lineage]


async def test_a_gate_waits_for_the_newest_svid_of_such_a_process_alone(
    served: Served, clock: FakeClock
) -> None:
    """Its first SVID, which the old authority signed and nobody uses any more, would be in the way
    of a revocation until its end.
    """
    svid = await attest(served)
    clock.advance(HOUR / 2)
    svid = await again(served, svid)
    clock.advance(61)
    (client,) = (await served.core.schedule.known()).clients
    assert client.lineage == svid.lineage
    assert client.not_after == svid.not_after


async def test_a_process_that_says_nothing_is_a_new_client(served: Served) -> None:
    first = await attest(served)
    second = await again(served, first, lineage="")
    assert sorted(await living(served)) == sorted([first.lineage, second.lineage])


async def test_several_renewals_on_one_stream_are_of_one_client(served: Served) -> None:
    stream = served.stub.WatchIdentity(metadata=UNIX_HEADERS)
    await stream.read()
    found = []
    for _ in range(3):
        await stream.write(identity_pb2.WatchIdentityRequest(csrs=[a_request()], evidence=UNIX))
        found.append((await stream.read()).svids[0].lineage)
    assert len(set(found)) == 1


async def test_nobody_goes_on_as_another_users_client(served: Served) -> None:
    others = directory.workload("prod", TRUST_DOMAIN, "prod.risk", "batch", "5000")
    base = a_directory()
    served.core.take_over(a_directory(workloads={**base.workloads, others.name: others}))
    mine, theirs = await attest(served), await attest(served, 5000)
    stolen = await again(served, mine, lineage=theirs.lineage)
    assert stolen.lineage not in (mine.lineage, theirs.lineage)
    assert stolen.spiffe_id == mine.spiffe_id


async def test_another_workload_of_the_same_user_is_another_client(served: Served) -> None:
    base = a_directory()
    second = directory.workload("prod", TRUST_DOMAIN, "prod.risk", "batch", "4242")
    first = await attest(served)
    served.core.take_over(a_directory(workloads={**base.workloads, second.name: second}))
    told = identity_pb2.UnixEvidence(workload="prod.risk/batch")
    renewed = await renew(
        served,
        first,
        identity_pb2.Evidence(unix=told),
        headers=UNIX_HEADERS,
        lineage=first.lineage,
    )
    assert renewed.spiffe_id.endswith("/bu/risk/svc/batch")
    assert renewed.lineage != first.lineage


async def test_a_tainted_client_begins_anew(served: Served, clock: FakeClock) -> None:
    first = await attest(served)
    await served.core.store.run(lambda c: svids.taint(c, first.lineage, "svid-cloned", clock.now()))
    assert (await again(served, first)).lineage != first.lineage


@pytest.mark.parametrize(("away", "goes_on"), [(HOUR + DAY - 1, True), (HOUR + DAY, False)])
async def test_a_client_that_was_away_for_longer_than_the_grace_begins_anew(
    served: Served, clock: FakeClock, away: float, goes_on: bool
) -> None:
    first = await attest(served)
    clock.advance(away)
    assert ((await again(served, first)).lineage == first.lineage) is goes_on


async def test_svids_for_several_processes_are_of_several_clients(served: Served) -> None:
    first = await attest(served)
    stream = served.stub.WatchIdentity(metadata=UNIX_HEADERS)
    await stream.read()
    csrs: Iterable[bytes] = [a_request(), a_request()]
    await stream.write(
        identity_pb2.WatchIdentityRequest(csrs=csrs, evidence=UNIX, lineage=first.lineage)
    )
    found = {svid.lineage for svid in (await stream.read()).svids}
    assert len(found) == 2
    assert first.lineage not in found


async def test_a_join_token_is_always_a_new_beginning(served: Served) -> None:
    first = (await served.attest()).svid
    token = identity_pb2.Evidence(join_token=await served.token())
    assert (await renew(served, first, token)).lineage != first.lineage
