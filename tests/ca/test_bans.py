"""Whom the CA refuses, and how the word gets round."""

import asyncio
import json
from typing import Any

import grpc
import pytest
from typer.testing import CliRunner

from ca_kit import TRUST_DOMAIN, FakeClock, OpenCore, a_request
from featward.authority.v1 import authority_pb2
from featward.identity.join_token import JoinToken
from featward.identity.v1 import identity_pb2
from featward_ca.bans import Ban, BanKind
from featward_ca.service.admin import bans as service
from featward_ca.store import audit
from featward_ca.store.bans import BanRow, live_svids
from service_kit import Served, headers_of, refused

PRICING = f"spiffe://{TRUST_DOMAIN}/bu/payments/svc/pricing-api"
Add = authority_pb2.AddBanRequest


async def attest(served: Served) -> identity_pb2.Svid:
    svid: identity_pb2.Svid = (await served.attest()).svid
    return svid


async def test_a_ban_reaches_live_streams_within_a_second_and_so_does_its_end(
    served: Served,
) -> None:
    stream = served.stub.WatchIdentity(metadata=headers_of(await attest(served)))
    first = (await stream.read()).trust
    answer = await served.admin.AddBan(Add(spiffe_id=PRICING, reason="left"))
    pushed = (await asyncio.wait_for(stream.read(), 1)).trust
    assert pushed.sequence == answer.sequence > first.sequence
    assert [(ban.spiffe_id, ban.expires_at) for ban in pushed.bans] == [(PRICING, 0)]
    await served.admin.RemoveBan(authority_pb2.RemoveBanRequest(id=answer.ban.id))
    assert not (await asyncio.wait_for(stream.read(), 1)).trust.bans
    stream.cancel()


async def test_a_banned_identity_gets_no_svid_and_it_is_on_record(served: Served) -> None:
    svid = await attest(served)
    stream = served.stub.WatchIdentity(metadata=headers_of(svid))
    await stream.read()
    await served.admin.AddBan(Add(spiffe_id=PRICING, reason="left"))
    evidence = identity_pb2.Evidence(join_token=await served.token())
    request = identity_pb2.AttestRequest(evidence=evidence, csr=a_request())
    code, said = await refused(served.stub.Attest(request))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert "banned" not in said
    await stream.read()
    await stream.write(identity_pb2.WatchIdentityRequest(csrs=[a_request()]))
    assert (await refused(stream.read()))[0] is grpc.StatusCode.PERMISSION_DENIED
    rows = [row for row in await served.core.store.read(audit.entries) if row.outcome == "refused"]
    assert [row.kind for row in rows] == ["attest", "renew"]
    assert all("is banned" in (row.detail or "") for row in rows)


@pytest.mark.parametrize("name", [PRICING, "prod.payments/pricing-api"])
async def test_a_workload_is_called_by_its_spiffe_id_or_in_short_in_every_call(
    served: Served, name: str
) -> None:
    asked = authority_pb2.CreateJoinTokenRequest(workload=name)
    token = await served.admin.CreateJoinToken(asked)
    assert token.spiffe_id == PRICING
    evidence = identity_pb2.Evidence(join_token=JoinToken.parse(token.token).evidence)
    request = identity_pb2.AttestRequest(evidence=evidence, csr=a_request())
    assert (await served.stub.Attest(request)).svid.spiffe_id == PRICING
    answer = await served.admin.AddBan(Add(spiffe_id=name, reason="left"))
    assert (answer.ban.value, answer.live_svids) == (PRICING, 1)


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("pricing-api", grpc.StatusCode.INVALID_ARGUMENT, "such as prod.payments/pricing-api"),
        ("pricing-api", grpc.StatusCode.INVALID_ARGUMENT, "a SPIFFE ID, such as spiffe://"),
        ("prod.payments/gone", grpc.StatusCode.NOT_FOUND, "they have: prod.payments/"),
        ("pricing/api", grpc.StatusCode.NOT_FOUND, "/bu/<unit>/ns/pricing/sa/api"),
    ],
)
async def test_a_name_of_nobody_is_refused_with_what_to_write(
    served: Served, name: str, code: grpc.StatusCode, said: str
) -> None:
    found = await refused(served.admin.AddBan(Add(spiffe_id=name, reason="x")))
    assert (found[0], said in found[1]) == (code, True), found


async def test_a_ban_outlives_the_ca_and_ends_at_its_time(
    served: Served, open_core: OpenCore, clock: FakeClock
) -> None:
    request = Add(serial="00:0A:ff", reason="stolen", lifetime_seconds=60.5)
    answer = await served.admin.AddBan(request)
    assert (answer.ban.kind, answer.ban.value) == ("serial", "aff")
    (ban,) = (await open_core()).trust.current.bans
    assert ban == Ban(BanKind.SERIAL, "aff", clock.now() + 60.5)
    assert ban.ends == clock.now() + 61
    clock.advance(61)
    assert not (await open_core()).trust.current.bans
    # The record of it stays.
    listed = await served.admin.ListBans(authority_pb2.ListBansRequest())
    assert [one.id for one in listed.bans] == [answer.ban.id]
    assert (await served.admin.Show(authority_pb2.ShowRequest())).bans == 0


async def test_the_same_ban_again_changes_its_reason_and_end_alone(served: Served) -> None:
    first = await served.admin.AddBan(Add(serial="0a", reason="one"))
    again = await served.admin.AddBan(Add(serial="0a", reason="one"))
    assert (again.changed, again.sequence) == (False, first.sequence)
    other = await served.admin.AddBan(Add(serial="0a", reason="two"))
    assert other.changed
    assert (other.ban.id, other.ban.reason) == (first.ban.id, "two")


@pytest.mark.parametrize(
    "request_",
    [
        Add(reason="whom?"),
        Add(serial="0a", spiffe_id=PRICING),
        Add(serial="xyz"),
        Add(serial="000"),
        Add(serial="a" * 41),
        Add(spiffe_id="spiffe://prod.acme.example/../x"),
        Add(spiffe_id="payments"),
        Add(authority="abc"),
        Add(serial="0a", reason="r" * 501),
    ],
    ids=str,
)
async def test_what_is_no_ban_is_refused(served: Served, request_: Any) -> None:
    assert (await refused(served.admin.AddBan(request_)))[0] is grpc.StatusCode.INVALID_ARGUMENT


@pytest.mark.parametrize("name", ["ca", "operator"])
async def test_nobody_bans_featward_itself(served: Served, name: str) -> None:
    request = Add(spiffe_id=f"spiffe://{TRUST_DOMAIN}/featward/{name}")
    code, said = await refused(served.admin.AddBan(request))
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert "without it nobody is served" in said


async def test_an_authority_in_use_is_not_banned_and_a_strange_one_is(served: Served) -> None:
    row = served.core.authorities.active("prod.payments").row
    for name in (row.id, row.spki_sha256.hex().upper()):
        code, said = await refused(served.admin.AddBan(Add(authority=name)))
        assert code is grpc.StatusCode.FAILED_PRECONDITION
        assert f"featward ca compromise {row.id}" in said
    answer = await served.admin.AddBan(Add(authority="AB" * 32))
    assert answer.ban.value == "ab" * 32
    assert served.core.trust.current.message().bans[0].authority_spki_sha256 == b"\xab" * 32


async def test_a_ban_says_how_many_svids_it_is_about(served: Served) -> None:
    svids = [await attest(served) for _ in range(2)]
    assert (await served.admin.AddBan(Add(spiffe_id=PRICING))).live_svids == 2
    serial = headers_of(svids[0])[1][1]
    assert (await served.admin.AddBan(Add(serial=f"00{serial}"))).live_svids == 1
    mistyped = Add(spiffe_id=f"{PRICING}i")
    assert (await served.admin.AddBan(mistyped)).live_svids == 0
    active = served.core.authorities.active("prod.payments").row
    row = BanRow("x", BanKind.AUTHORITY, active.spki_sha256.hex(), "", "test", 0)
    now = served.core.clock.now()
    assert await served.core.store.read(lambda c: live_svids(c, row, now)) == 2


async def test_a_ban_that_is_none_can_not_be_lifted(served: Served) -> None:
    before = served.core.trust.current.sequence
    request = authority_pb2.RemoveBanRequest(id="nothing")
    code, said = await refused(served.admin.RemoveBan(request))
    assert (code, served.core.trust.current.sequence) == (grpc.StatusCode.NOT_FOUND, before)
    assert "featward ca ban list" in said


async def test_bans_are_on_record_with_who_and_why(served: Served) -> None:
    answer = await served.admin.AddBan(Add(serial="0a", reason="stolen laptop"))
    await served.admin.RemoveBan(authority_pb2.RemoveBanRequest(id=answer.ban.id))
    rows = [row for row in await served.core.store.read(audit.entries) if row.outcome == "done"]
    assert [(row.kind, row.subject) for row in rows] == [("ban", "a"), ("unban", "a")]
    assert all(row.detail == "serial: stolen laptop" for row in rows)


async def test_lists_of_bans_come_in_pages(served: Served) -> None:
    for number in range(1, 6):
        await served.admin.AddBan(Add(serial=f"{number}", reason="many"))
    seen: list[str] = []
    request = authority_pb2.ListBansRequest(limit=2)
    while True:
        page = await served.admin.ListBans(request)
        seen += [ban.value for ban in page.bans]
        if not page.next:
            break
        request.after = page.next
    assert sorted(seen) == ["1", "2", "3", "4", "5"]


def test_handlers_are_for_all_calls_about_bans() -> None:
    assert set(service.HANDLERS) == {"AddBan", "RemoveBan", "ListBans"}


async def test_the_commands_add_list_and_remove(served: Served, tmp_path: Any) -> None:
    from featward_ca.cli import app

    svid = await attest(served)
    where = ["--admin-socket", str(tmp_path / "a.sock")]

    async def run(*words: str) -> str:
        result = await asyncio.to_thread(CliRunner().invoke, app, [*words, *where])
        assert result.exit_code == 0, result.output
        return result.output

    assert PRICING in await run(
        "ban", "add", "--identity", PRICING, "--reason", "left", "--ttl", "2h"
    )
    listed = json.loads(await run("ban", "list", "--output", "json"))
    assert listed["bans"][0]["value"] == PRICING
    assert PRICING in await run("ban", "list")
    assert "bans in force: 1" in await run("status")
    await run("ban", "remove", listed["bans"][0]["id"])
    assert "nobody is banned" in await run("ban", "list")
    assert PRICING in await run("clients")
    (client,) = json.loads(await run("clients", "--output", "json"))["clients"]
    assert client["lineage"] == svid.lineage
