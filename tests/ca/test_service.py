"""The gRPC services behind their table of calls; the headers are those that a Listener would set."""

import asyncio
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from typer.testing import CliRunner

from ca_kit import TRUST_DOMAIN, FakeClock, OpenCore, a_directory, a_request
from featward.authority.v1 import authority_pb2
from featward.identity.v1 import identity_pb2
from featward_ca.cli import app
from featward_ca.core import Core
from featward_ca.errors import ConfigurationError, StoreError
from featward_ca.recorded import Request
from featward_ca.service import rpcs
from featward_ca.service.guard import Call, Guard
from featward_ca.service.sockets import listen
from featward_ca.service.stream import CSRS_PER_MESSAGE
from featward_ca.settings import DAY, HOUR
from featward_ca.store import audit
from service_kit import (
    AUTHORITY,
    IDENTITY,
    NAME,
    UNIX_HEADERS,
    Metadata,
    Served,
    Stub,
    headers_of,
    refused,
)


async def test_a_token_is_attested_to_an_svid_and_the_trust_to_go_with_it(served: Served) -> None:
    answer = await served.attest()
    assert answer.svid.spiffe_id.endswith("/bu/payments/svc/pricing-api")
    assert answer.trust.sequence == served.core.trust.current.sequence
    assert len(answer.svid.chain) == 2
    assert answer.server_time == served.core.clock.now() * 1000
    half = (answer.svid.renew_at - answer.svid.issued_at) / HOUR
    assert 0.44 < half < 0.56


async def test_the_kernels_word_is_attested_by_its_header_alone(served: Served) -> None:
    evidence = identity_pb2.Evidence(unix=identity_pb2.UnixEvidence())
    request = identity_pb2.AttestRequest(evidence=evidence, csr=a_request())
    answer = await served.stub.Attest(request, metadata=UNIX_HEADERS)
    assert answer.svid.spiffe_id.endswith("/svc/feast")
    code, _ = await refused(served.stub.Attest(request))
    assert code is grpc.StatusCode.UNAUTHENTICATED


async def test_bad_evidence_is_refused_without_a_reason_that_the_log_has(
    served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    request = identity_pb2.AttestRequest(
        evidence=identity_pb2.Evidence(join_token="A" * 43), csr=a_request()
    )
    code, said = await refused(served.stub.Attest(request))
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert said.startswith("the evidence was not accepted (request ")
    assert "unknown, used or expired" in str(vars(caplog.records[-1])["featward_fields"])
    last = (await served.core.store.read(audit.entries))[-1]
    assert (last.kind, last.outcome, last.caller) == ("attest", "refused", "anonymous")


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (identity_pb2.AttestRequest(), grpc.StatusCode.INVALID_ARGUMENT),
        (identity_pb2.AttestRequest(csr=a_request()), grpc.StatusCode.UNAUTHENTICATED),
        (identity_pb2.AttestRequest(csr=b"x" * 5000), grpc.StatusCode.INVALID_ARGUMENT),
        (identity_pb2.AttestRequest(csr=b"x" * 200_000), grpc.StatusCode.RESOURCE_EXHAUSTED),
    ],
    ids=["empty", "no evidence", "long request", "long message"],
)
async def test_a_malformed_call_is_refused(
    served: Served, request_: identity_pb2.AttestRequest, code: grpc.StatusCode
) -> None:
    assert (await refused(served.stub.Attest(request_)))[0] is code


async def test_who_has_an_identity_does_not_attest_and_who_has_none_does_not_watch(
    served: Served,
) -> None:
    svid = (await served.attest()).svid
    evidence = identity_pb2.Evidence(join_token=await served.token())
    request = identity_pb2.AttestRequest(evidence=evidence, csr=a_request())
    code, _ = await refused(served.stub.Attest(request, metadata=headers_of(svid)))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    code, _ = await refused(served.stub.WatchIdentity().read())
    assert code is grpc.StatusCode.PERMISSION_DENIED


async def test_a_stream_begins_with_the_trust_and_renews_again_and_again(served: Served) -> None:
    svid = (await served.attest()).svid
    stream = served.stub.WatchIdentity(metadata=headers_of(svid))
    assert (await stream.read()).trust.sequence == served.core.trust.current.sequence
    serials = set()
    for _ in range(3):
        await stream.write(identity_pb2.WatchIdentityRequest(csrs=[a_request()]))
        answer = await stream.read()
        serials.add(bytes(answer.svids[0].chain[0]))
    assert len(serials) == 3
    await stream.done_writing()
    assert await stream.code() is grpc.StatusCode.OK


async def test_a_lost_answer_is_given_again_on_a_new_stream(served: Served) -> None:
    svid = (await served.attest()).svid
    key = ec.generate_private_key(ec.SECP256R1())
    answers = []
    for _ in range(2):
        stream = served.stub.WatchIdentity(metadata=headers_of(svid))
        await stream.read()
        await stream.write(identity_pb2.WatchIdentityRequest(csrs=[a_request(key)]))
        answers.append((await stream.read()).svids[0].chain[0])
        stream.cancel()
    assert answers[0] == answers[1]


async def test_a_cloned_svid_is_told_by_name_and_counted(served: Served) -> None:
    svid = (await served.attest()).svid
    request = identity_pb2.WatchIdentityRequest(csrs=[a_request()])
    for last in (False, True):
        stream = served.stub.WatchIdentity(metadata=headers_of(svid))
        await stream.read()
        await stream.write(identity_pb2.WatchIdentityRequest(csrs=[a_request()]))
        if not last:
            await stream.read()
    code, said = await refused(stream.read())
    assert code is grpc.StatusCode.PERMISSION_DENIED
    assert "svid-cloned" in said
    assert b"featward_ca_svids_cloned_total 1.0" in served.core.metrics.render()
    stream = served.stub.WatchIdentity(metadata=headers_of(svid))
    await stream.read()
    await stream.write(request)
    assert (await refused(stream.read()))[0] is grpc.StatusCode.FAILED_PRECONDITION


async def test_an_expired_svid_within_the_grace_renews(served: Served, clock: FakeClock) -> None:
    svid = (await served.attest()).svid
    clock.advance(HOUR + 60)
    stream = served.stub.WatchIdentity(metadata=headers_of(svid, expired=True))
    await stream.read()
    await stream.write(identity_pb2.WatchIdentityRequest(csrs=[a_request()]))
    assert (await stream.read()).svids[0].not_after > clock.now()


async def test_a_workload_on_the_socket_renews_by_evidence_many_at_once(served: Served) -> None:
    stream = served.stub.WatchIdentity(metadata=UNIX_HEADERS)
    await stream.read()
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(CSRS_PER_MESSAGE)]
    evidence = identity_pb2.Evidence(unix=identity_pb2.UnixEvidence(workload="prod.payments/feast"))
    csrs = [a_request(key) for key in keys]
    await stream.write(identity_pb2.WatchIdentityRequest(csrs=csrs, evidence=evidence))
    answer = await stream.read()
    given = [x509.load_der_x509_certificate(svid.chain[0]).public_key() for svid in answer.svids]
    assert given == [key.public_key() for key in keys]
    await stream.write(identity_pb2.WatchIdentityRequest(csrs=[a_request()]))
    assert (await refused(stream.read()))[0] is grpc.StatusCode.FAILED_PRECONDITION


async def test_a_change_of_trust_reaches_every_stream_and_their_acknowledgements_are_counted(
    served: Served,
) -> None:
    given = [(await served.attest()).svid for _ in range(10)]
    opened = [served.stub.WatchIdentity(metadata=headers_of(svid)) for svid in given]
    for stream in opened:
        await stream.read()
    units = dict(a_directory().business_units) | {"prod.fraud": 7 * DAY}
    served.core.take_over(a_directory(business_units=units))
    await served.core.tend()
    sequence = served.core.trust.current.sequence
    for stream in opened:
        assert (await stream.read()).trust.sequence == sequence
    for stream in opened[:4]:
        request = identity_pb2.WatchIdentityRequest(acknowledged_sequence=sequence)
        await stream.write(request)
        await stream.done_writing()
        await stream.code()
    await served.service.drain()
    shown = await served.admin.Show(authority_pb2.ShowRequest())
    assert (shown.streams, shown.streams_behind, shown.sequence) == (6, 6, sequence)
    for stream in opened[4:]:
        stream.cancel()


async def test_streams_end_with_a_status_when_the_ca_stops(served: Served) -> None:
    svid = (await served.attest()).svid
    stream = served.stub.WatchIdentity(metadata=headers_of(svid))
    await stream.read()
    served.service.close()
    code, said = await refused(stream.read())
    assert code is grpc.StatusCode.UNAVAILABLE
    assert said.startswith("the CA is stopping; connect again")


async def test_a_caller_that_calls_too_often_is_told_to_wait(served: Served) -> None:
    svid = (await served.attest()).svid
    headers, codes = headers_of(svid), []
    for _ in range(70):
        stream = served.stub.WatchIdentity(metadata=headers)
        try:
            await stream.read()
            codes.append(grpc.StatusCode.OK)
        except grpc.aio.AioRpcError as error:
            codes.append(error.code())
        stream.cancel()
    assert codes[:64] == [grpc.StatusCode.OK] * 64
    assert codes[64:] == [grpc.StatusCode.UNAVAILABLE] * 6


async def test_the_status_shows_authorities_lives_and_runway(
    served: Served, clock: FakeClock
) -> None:
    await served.attest()
    clock.advance(600)
    shown = await served.admin.Show(authority_pb2.ShowRequest())
    assert {row.owner for row in shown.authorities} == {
        "root",
        "platform",
        "prod.payments",
        "prod.risk",
    }
    assert (shown.live_svids, shown.live_identities, shown.live_clients) == (1, 1, 1)
    assert shown.runway_seconds == HOUR - 600


async def test_a_token_for_nobody_is_not_found(served: Served) -> None:
    request = authority_pb2.CreateJoinTokenRequest(workload="prod.payments/nobody")
    code, said = await refused(served.admin.CreateJoinToken(request))
    assert code is grpc.StatusCode.NOT_FOUND
    assert "they have: prod.payments/feast" in said


def test_a_call_without_a_row_in_the_table_stops_the_start() -> None:
    rows = {path: row for path, row in rpcs.RPCS.items() if not path.endswith("/Show")}
    with pytest.raises(ConfigurationError, match="no row for Show"):
        rpcs.rows_of(AUTHORITY, {}, rows)


async def test_a_ca_whose_store_is_away_is_not_taken_for_no_ca(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(_: object) -> None:
        raise StoreError("PostgreSQL can't be reached")

    monkeypatch.setattr(served.core.store, "read", away)
    command = ["status", "--admin-socket", str(tmp_path / "a.sock")]
    answer = await asyncio.to_thread(CliRunner().invoke, app, command)
    assert answer.exit_code == 1
    assert "its log says why" in answer.output
    assert "no CA answers" not in answer.output


def test_a_service_with_a_call_that_nobody_handles_does_not_start() -> None:
    with pytest.raises(ConfigurationError, match=r"^Attest of .* has no handler"):
        rpcs.rows_of(IDENTITY, {"WatchIdentity"})


async def test_the_operator_may_rotate_and_may_not_force(served: Served) -> None:
    operator = (
        ("featward-peer-spiffe-id", f"spiffe://{TRUST_DOMAIN}/featward/operator"),
        ("featward-peer-serial", "0f"),
        ("featward-peer-key", "0f" * 32),
    )
    step = authority_pb2.StepRequest(authority="prod.payments")
    answer = await served.remote.Prepare(step, metadata=operator)
    assert (answer.authority.state, answer.changed) == ("prepared", True)
    step.force = True
    code, _ = await refused(served.remote.Activate(step, metadata=operator))
    assert code is grpc.StatusCode.PERMISSION_DENIED
    asked = [
        (row.outcome, row.caller)
        for row in await served.core.store.read(audit.entries)
        if row.kind == "activate"
    ]
    assert [outcome for outcome, _ in asked] == [audit.Outcome.ASKED, audit.Outcome.REFUSED]


async def test_an_acknowledgement_on_a_stream_is_stored_and_opens_the_gate(served: Served) -> None:
    answer = await served.attest()
    step = authority_pb2.RotateRequest(owner="prod.payments", reason="a test")
    waiting = await served.admin.Rotate(step)
    assert waiting.rotation.step == "activate"
    assert [one.who for one in waiting.blockers] == [answer.svid.spiffe_id]
    stream = served.stub.WatchIdentity(metadata=headers_of(answer.svid))
    pushed = (await stream.read()).trust
    await stream.write(identity_pb2.WatchIdentityRequest(acknowledged_sequence=pushed.sequence))
    for _ in range(100):
        await asyncio.sleep(0.05)
        await served.core.tend()
        (rotation,) = (await served.admin.Show(authority_pb2.ShowRequest())).rotations
        if rotation.step == "revoke":
            break
    assert rotation.step == "revoke"
    assert any(scope.tainted for scope in (await stream.read()).trust.scopes)
    await stream.done_writing()


@pytest.mark.usefixtures("served")
def test_the_sockets_are_for_their_owner_alone(tmp_path: Path) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes["i.sock"] == 0o600
    assert modes["a.sock"] == 0o600


async def test_strangers_can_not_fill_the_audit_table(served: Served, clock: FakeClock) -> None:
    bad = identity_pb2.AttestRequest(
        evidence=identity_pb2.Evidence(join_token="A" * 43), csr=a_request()
    )

    async def refused(count: int) -> int:
        for _ in range(count):
            with pytest.raises(grpc.aio.AioRpcError):
                await served.stub.Attest(bad)
        rows = await served.core.store.read(audit.entries)
        return sum(row.outcome is audit.Outcome.REFUSED for row in rows)

    assert await refused(150) == 100
    clock.advance(10)
    assert await refused(20) == 110


def as_spiffe_id(spiffe_id: str) -> Metadata:
    return (
        ("featward-peer-spiffe-id", spiffe_id),
        ("featward-peer-serial", "0a"),
        ("featward-peer-key", "0a" * 32),
    )


async def test_the_operator_looks_after_the_ca_with_its_svid_and_nobody_else_does(
    served: Served,
) -> None:
    operator = as_spiffe_id(f"spiffe://{TRUST_DOMAIN}/featward/operator")
    shown = await served.remote.Show(authority_pb2.ShowRequest(), metadata=operator)
    assert shown.trust_domain == TRUST_DOMAIN
    strangers: list[Metadata] = [
        (),
        UNIX_HEADERS,
        (*operator, ("featward-peer-expired", "1")),
        as_spiffe_id(f"spiffe://{TRUST_DOMAIN}/featward/ca"),
        as_spiffe_id("spiffe://other.example/featward/operator"),
    ]
    for headers in strangers:
        code, _ = await refused(served.remote.Show(authority_pb2.ShowRequest(), metadata=headers))
        assert code is grpc.StatusCode.PERMISSION_DENIED


async def test_what_is_the_administrators_alone_is_not_the_operators(served: Served) -> None:
    operator = as_spiffe_id(f"spiffe://{TRUST_DOMAIN}/featward/operator")
    request = authority_pb2.CreateJoinTokenRequest(workload=NAME)
    code, _ = await refused(served.remote.CreateJoinToken(request, metadata=operator))
    assert code is grpc.StatusCode.PERMISSION_DENIED


async def test_a_source_that_attests_too_often_leaves_the_others_their_turn(
    served: Served,
) -> None:
    bad = identity_pb2.AttestRequest(
        evidence=identity_pb2.Evidence(join_token="A" * 43), csr=a_request()
    )

    async def attest(address: str) -> grpc.StatusCode:
        headers = (("featward-peer-address", address),)
        return (await refused(served.stub.Attest(bad, metadata=headers)))[0]

    codes = [await attest(f"2001:db8::{number:x}") for number in range(1, 203)]
    assert codes[:200] == [grpc.StatusCode.UNAUTHENTICATED] * 200
    assert codes[200:] == [grpc.StatusCode.UNAVAILABLE] * 2
    assert await attest("2001:db8:0:1::1") is grpc.StatusCode.UNAUTHENTICATED
    assert await attest("192.0.2.1") is grpc.StatusCode.UNAUTHENTICATED


async def test_a_stream_always_ends_in_a_status(core: Core, tmp_path: Path) -> None:
    async def cut_off(_: object, __: Call) -> None:
        asyncio.current_task().cancel()  # type: ignore[union-attr]
        await asyncio.sleep(0)

    guard = Guard(TRUST_DOMAIN, core.clock, core.metrics, core.issuance)
    service = guard.service(IDENTITY, {"Attest": cut_off, "WatchIdentity": cut_off})
    server = await listen(tmp_path / "c.sock", [service])
    async with grpc.aio.insecure_channel(f"unix:{tmp_path}/c.sock") as channel:
        stub = Stub(channel)
        code, _ = await refused(stub.WatchIdentity(metadata=as_spiffe_id("spiffe://x/y")).read())
        assert code is grpc.StatusCode.UNAVAILABLE
        code, _ = await refused(stub.Attest(identity_pb2.AttestRequest()))
        assert code is grpc.StatusCode.UNAVAILABLE
    await server.stop(0)


async def test_a_change_is_on_record_before_and_after_it(served: Served) -> None:
    await served.token()
    nobody = authority_pb2.CreateJoinTokenRequest(workload="prod.payments/nobody")
    await refused(served.admin.CreateJoinToken(nobody))
    await served.admin.Show(authority_pb2.ShowRequest())
    entries = await served.core.store.read(audit.entries)
    rows = [row for row in entries if row.profile is None and row.caller == "admin"]
    assert [(row.kind, row.caller, row.outcome) for row in rows] == [
        ("create-join-token", "admin", audit.Outcome.ASKED),
        ("create-join-token", "admin", audit.Outcome.DONE),
        ("create-join-token", "admin", audit.Outcome.ASKED),
        ("create-join-token", "admin", audit.Outcome.REFUSED),
    ]
    assert rows[0].request == rows[1].request != rows[2].request == rows[3].request
    assert (rows[1].subject or "").endswith("/bu/payments/svc/pricing-api")
    assert rows[1].detail == "for 3600 s"
    assert (rows[3].detail or "").startswith("the manifests have no Workload")


async def test_a_change_that_was_cut_off_by_a_kill_is_said_to_be_interrupted(
    open_core: OpenCore,
) -> None:
    core = await open_core()
    await core.issuance.note(Request("halt", "admin"), audit.Outcome.ASKED)
    await core.close()
    rows = await (await open_core()).store.read(audit.entries)
    (row,) = [row for row in rows if row.outcome is audit.Outcome.INTERRUPTED]
    assert (row.kind, row.caller) == ("halt", "admin")
    assert "before it was done" in (row.detail or "")


async def test_a_caller_that_goes_away_is_not_a_refusal(served: Served) -> None:
    svid = (await served.attest()).svid
    stream = served.stub.WatchIdentity(metadata=headers_of(svid))
    await stream.read()
    stream.cancel()
    while len(served.streams):  # noqa: ASYNC110  # nothing else tells of the end of a stream
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert b"featward_ca_refusals_total{" not in served.core.metrics.render()
