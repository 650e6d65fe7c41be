"""SVIDs in batches: one of them may fail, and none is without its rows."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import Connection, Engine, event

from ca_kit import TRUST_DOMAIN, FakeClock, a_request, attested, issue, key_of, killed
from featward_ca.attest import Attested, Method
from featward_ca.core import Core
from featward_ca.errors import (
    CaError,
    LintError,
    NotAttestedError,
    StoreError,
    SvidClonedError,
    TooManyRequestsError,
)
from featward_ca.issuer import IssuedSvid, Wanted
from featward_ca.profile import Order, Purpose, SubjectName
from featward_ca.recorded import Request
from featward_ca.requests import Key, keys_of
from featward_ca.rotation.known import ROOT
from featward_ca.settings import DAY
from featward_ca.store import audit
from featward_ca.store.audit import Outcome

_Result = TypeVar("_Result")
PRICING = "prod.payments/pricing-api"
SCORING = "prod.risk/scoring"


def wanted(proof: Attested, key: Key | None = None) -> Wanted:
    return Wanted(Request("attest", "test"), proof, key or keys_of([a_request()])[0])


async def issue_many(core: Core, orders: list[Wanted]) -> list[IssuedSvid | CaError]:
    return await core.issuer.issue_many(orders, core.situation.lifetimes)


async def outcomes(core: Core) -> Counter[Outcome]:
    return Counter(row.outcome for row in await core.store.read(audit.entries))


async def test_a_batch_for_two_authorities_is_answered_in_its_order(core: Core) -> None:
    names = [PRICING, SCORING] * 20
    orders = [wanted(attested(core, name)) for name in names]
    made = await issue_many(core, orders)
    for order, svid, name in zip(orders, made, names, strict=True):
        assert isinstance(svid, IssuedSvid)
        leaf, authority = (x509.load_der_x509_certificate(der) for der in svid.chain)
        leaf.verify_directly_issued_by(authority)
        assert svid.row.spiffe_id.endswith(name.rpartition("/")[2])
        assert svid.row.spki_sha256 == order.key.sha256


async def test_what_comes_at_once_shares_its_commits(core: Core) -> None:
    commits: list[object] = []
    count = commits.append
    event.listen(Engine, "commit", count)
    try:
        await asyncio.gather(*(issue(core, PRICING) for _ in range(50)))
    finally:
        event.remove(Engine, "commit", count)
    assert 2 <= len(commits) <= 5, "50 SVIDs, each with a commit before and one after it"


async def test_one_that_is_refused_leaves_its_neighbours_alone(core: Core) -> None:
    proof = attested(core, PRICING)
    stray = replace(proof, workload=replace(proof.workload, business_unit="prod.risk"))

    def refuse(_: Connection) -> None:
        raise NotAttestedError("it was used")

    before = await outcomes(core)
    proofs = [proof, stray, proof, replace(proof, claim=refuse), proof]
    first, strayed, second, used, third = await issue_many(core, [wanted(one) for one in proofs])
    assert isinstance(strayed, LintError)
    assert isinstance(used, NotAttestedError)
    assert all(isinstance(one, IssuedSvid) for one in (first, second, third))
    added = await outcomes(core) - before
    assert added == Counter({Outcome.INTENT: 3, Outcome.SIGNED: 3})


async def test_two_renewals_of_one_serial_in_one_batch_are_judged(core: Core) -> None:
    token, _ = await core.tokens.create(core.situation.directory, PRICING, 60, b"r" * 32)
    proof = await core.tokens.attest(core.situation.directory, token.evidence)
    first = await issue(core, proof)
    keys = [key_of(ec.generate_private_key(ec.SECP256R1())) for _ in range(2)]
    directory, row = core.situation.directory, first.row
    orders = []
    for key in (keys[0], keys[0], keys[1]):
        found = await core.renewals.attest(directory, row.held, key)
        assert isinstance(found, Attested)
        orders.append(wanted(found, key))
    made, same_key, other_key = await issue_many(core, orders)
    assert isinstance(made, IssuedSvid)
    assert isinstance(same_key, TooManyRequestsError)
    assert isinstance(other_key, SvidClonedError)


async def test_a_caller_that_goes_away_leaves_no_intent_behind(core: Core) -> None:
    task = asyncio.create_task(issue(core, PRICING))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await core._leaves.finish()
    rows = await outcomes(core)
    assert rows[Outcome.INTENT] == rows[Outcome.SIGNED]


async def test_a_store_that_fails_at_the_intent_issues_nothing(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = await outcomes(core)

    async def refuse(*_: object) -> None:
        raise StoreError("the disk is full")

    monkeypatch.setattr(core.store, "run", refuse)
    made = await issue_many(core, [wanted(attested(core, PRICING)) for _ in range(3)])
    assert all(isinstance(one, StoreError) for one in made)
    assert await outcomes(core) == before


async def test_a_defect_in_a_claim_leaves_no_caller_waiting(core: Core) -> None:
    def break_down(_: Connection) -> None:
        raise ZeroDivisionError

    proof = replace(attested(core, PRICING), claim=break_down)
    (made,) = await issue_many(core, [wanted(proof)])
    assert isinstance(made, CaError)


async def test_the_canary_does_not_wait_behind_a_full_queue(
    core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    held, both = asyncio.Event(), asyncio.Event()
    run, begun = core.store.run, 0

    async def hold_the_first_two(work: Callable[[Connection], _Result]) -> _Result:
        nonlocal begun
        begun += 1
        if begun == 2:
            both.set()
        if begun <= 2:
            await held.wait()
        return await run(work)

    monkeypatch.setattr(core.store, "run", hold_the_first_two)
    orders = [wanted(attested(core, PRICING), KEY) for _ in range(600)]
    crowd = asyncio.create_task(issue_many(core, orders))
    await both.wait()
    try:
        async with asyncio.timeout(10):
            await core.issuer.canary(TRUST_DOMAIN, KEY, core.situation.lifetimes)
        assert not crowd.done()
    finally:
        held.set()
    assert all(isinstance(one, IssuedSvid) for one in await crowd)


KEY = key_of(ec.generate_private_key(ec.SECP256R1()))


async def test_the_own_svid_starts_a_lineage_of_its_own(core: Core, clock: FakeClock) -> None:
    proof = replace(attested(core, PRICING), method=Method.SELF)
    svid = await issue(core, proof)
    assert svid.row.issued_at == clock.now()
    assert svid.row.lineage != (await issue(core, proof)).row.lineage


def counted(core: Core, purpose: str) -> dict[str, float]:
    """What came of signatures so far, as the metrics show it."""
    pattern = rf'^featward_ca_signatures_total{{purpose="{purpose}",result="(\w+)"}} (\S+)$'
    shown = re.findall(pattern, core.metrics.render().decode(), re.MULTILINE)
    return {result: float(value) for result, value in shown}


async def test_svids_that_are_signed_refused_and_failed_are_counted(core: Core) -> None:
    proof = attested(core, PRICING)
    stray = replace(proof, workload=replace(proof.workload, business_unit="prod.risk"))
    await issue_many(core, [wanted(one) for one in (proof, stray, proof)])
    assert counted(core, "svid") == {"signed": 2, "refused": 1}
    await killed(core)
    with pytest.raises(StoreError):
        await issue(core, PRICING)
    assert counted(core, "svid") == {"signed": 2, "refused": 1, "failed": 1}


async def test_authorities_that_are_signed_refused_and_failed_are_counted(core: Core) -> None:
    before = counted(core, "authority")
    assert before == {"signed": 3}, "the platform's and two business units'"
    now = int(core.clock.now())
    ends_in_time = Order(
        purpose=Purpose.AUTHORITY,
        public_key=ec.generate_private_key(ec.SECP256R1()).public_key(),
        serial=2**100,
        not_before=now,
        not_after=now + int(DAY),
        subject=SubjectName("prod.payments", "f00d"),
    )
    outlives = replace(ends_in_time, not_after=now + 20 * 365 * int(DAY))
    signer, request = core.authorities.active(ROOT).signer, Request("test", "test")
    with pytest.raises(LintError, match="outlives"):
        await core.issuance.issue(request, outlives, signer)
    assert counted(core, "authority") == before | {"refused": 1}
    await killed(core)
    with pytest.raises(StoreError):
        await core.issuance.issue(request, ends_in_time, signer)
    assert counted(core, "authority") == before | {"refused": 1, "failed": 1}
