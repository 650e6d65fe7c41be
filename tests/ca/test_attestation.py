"""Evidence: what each kind proves, what it costs, and how an SVID proves its own renewal."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from ca_kit import (
    TRUST_DOMAIN,
    FakeClock,
    OpenCore,
    a_directory,
    a_request,
    attested,
    issue,
    key_of,
)
from featward.identity.join_token import JoinToken
from featward_ca.attest import Attested, unix
from featward_ca.attest.renewal import Stored
from featward_ca.core import Core
from featward_ca.errors import (
    CaError,
    EvidenceNeededError,
    MalformedRequestError,
    NotAttestedError,
    SvidClonedError,
    TooManyRequestsError,
    UnknownWorkloadError,
)
from featward_ca.issuer import IssuedSvid
from featward_ca.requests import keys_of
from featward_ca.settings import DAY, HOUR
from featward_ca.store import audit

ROOT = b"\7" * 32
NAME = "prod.payments/pricing-api"


async def a_token(core: Core, workload: str = NAME, lifetime: float = HOUR) -> JoinToken:
    token, _ = await core.tokens.create(core.situation.directory, workload, lifetime, ROOT)
    return token


async def by_token(core: Core, token: JoinToken, csr: bytes | None = None) -> IssuedSvid:
    proof = await core.tokens.attest(core.situation.directory, token.evidence)
    return await issue(core, proof, csr)


async def renew(core: Core, svid: IssuedSvid, csr: bytes | None = None) -> IssuedSvid:
    key = keys_of([csr or a_request()])[0]
    directory, row = core.situation.directory, svid.row
    found = await core.renewals.attest(directory, row.held, key)
    return core.issuer.again(found) if isinstance(found, Stored) else await issue(core, found, csr)


async def test_a_join_token_gives_the_identity_that_it_is_bound_to(core: Core) -> None:
    issued = await by_token(core, await a_token(core))
    assert issued.row.spiffe_id == f"spiffe://{TRUST_DOMAIN}/bu/payments/svc/pricing-api"


async def test_a_used_an_expired_and_an_invented_token_are_refused_alike(
    core: Core, clock: FakeClock
) -> None:
    used, late = await a_token(core), await a_token(core)
    await by_token(core, used)
    clock.advance(HOUR)
    fresh = replace(await a_token(core), secret=b"\1" * 32)
    said = set()
    for token in (used, late, fresh):
        with pytest.raises(NotAttestedError) as refused:
            await core.tokens.attest(core.situation.directory, token.evidence)
        said.add(str(refused.value))
    assert said == {"the evidence was not accepted"}


async def test_a_token_that_expires_between_proof_and_issue_is_refused(
    core: Core, clock: FakeClock
) -> None:
    token = await a_token(core)
    proof = await core.tokens.attest(core.situation.directory, token.evidence)
    clock.advance(HOUR)
    with pytest.raises(NotAttestedError):
        await issue(core, proof)


async def test_the_store_never_holds_the_secret_of_a_token(core: Core, tmp_path: Path) -> None:
    token = await a_token(core)
    content = b"".join(_files(tmp_path))
    assert token.secret not in content
    assert token.evidence.encode() not in content


def _files(folder: Path) -> list[bytes]:
    return [file.read_bytes() for file in folder.iterdir()]


async def test_a_token_for_nobody_or_for_too_long_is_not_made(core: Core) -> None:
    with pytest.raises(UnknownWorkloadError, match="pricing-api"):
        await a_token(core, "prod.payments/pricing")
    with pytest.raises(MalformedRequestError):
        await a_token(core, lifetime=8 * DAY)


async def test_a_token_of_a_removed_workload_is_refused(core: Core) -> None:
    token = await a_token(core)
    core.take_over(a_directory(workloads={}))
    with pytest.raises(NotAttestedError):
        await core.tokens.attest(core.situation.directory, token.evidence)


def test_the_kernels_word_gives_the_workload_of_the_user() -> None:
    directory = a_directory()
    assert unix.attest(directory, 4242, "").workload.name == "prod.payments/feast"
    for uid, name in ((4243, ""), (None, ""), (4242, NAME)):
        with pytest.raises(NotAttestedError):
            unix.attest(directory, uid, name)


def test_a_user_of_several_workloads_has_to_name_one() -> None:
    directory = a_directory()
    feast = directory.workloads["prod.payments/feast"]
    second = replace(feast, name="prod.risk/feast", business_unit="prod.risk")
    directory = a_directory(workloads={feast.name: feast, second.name: second})
    with pytest.raises(NotAttestedError) as refused:
        unix.attest(directory, 4242, "")
    assert "prod.payments/feast, prod.risk/feast" in refused.value.reason
    assert unix.attest(directory, 4242, "prod.risk/feast").workload == second


async def test_a_serial_is_renewed_once_and_its_successor_again(core: Core) -> None:
    first = await by_token(core, await a_token(core))
    second = await renew(core, first)
    third = await renew(core, second)
    assert len({first.row.serial, second.row.serial, third.row.serial}) == 3
    assert {svid.row.lineage for svid in (second, third)} == {first.row.lineage}


async def test_the_same_new_key_gets_the_stored_svid_again(core: Core) -> None:
    first = await by_token(core, await a_token(core))
    csr = a_request()
    assert (await renew(core, first, csr)).chain == (await renew(core, first, csr)).chain


async def test_another_key_is_refused_and_ends_both_lineages(core: Core) -> None:
    first = await by_token(core, await a_token(core))
    second = await renew(core, first)
    with pytest.raises(SvidClonedError, match="svid-cloned"):
        await renew(core, first)
    for svid in (first, second):
        with pytest.raises(EvidenceNeededError):
            await renew(core, svid)
    rows = await core.store.read(audit.entries)
    assert [row.subject for row in rows if row.kind == "svid-cloned"] == [first.row.spiffe_id]


async def test_two_keys_at_the_same_moment_are_a_clone_too(core: Core) -> None:
    first = await by_token(core, await a_token(core))
    directory, row = core.situation.directory, first.row
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    proofs = [await core.renewals.attest(directory, row.held, key_of(key)) for key in keys]
    attempts = [
        issue(core, proof, a_request(key))
        for proof, key in zip(proofs, keys, strict=True)
        if isinstance(proof, Attested)
    ]
    outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [IssuedSvid, SvidClonedError]


async def test_one_key_twice_at_the_same_moment_gets_one_svid(core: Core) -> None:
    first = await by_token(core, await a_token(core))
    csr = a_request()
    outcomes = await asyncio.gather(
        *(renew(core, first, csr) for _ in range(5)), return_exceptions=True
    )
    assert sum(isinstance(outcome, IssuedSvid) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, TooManyRequestsError) for outcome in outcomes) == 4


# A day, or three lives where those are longer.
GRACES = [(HOUR, DAY), (8 * HOUR, DAY), (DAY, 3 * DAY)]


@pytest.mark.parametrize(("life", "grace"), GRACES)
async def test_a_svid_that_expired_within_the_grace_is_renewed(
    open_core: OpenCore, clock: FakeClock, life: float, grace: float
) -> None:
    core = await open_core(a_directory(svid_lifetime=life))
    first = await by_token(core, await a_token(core))
    clock.advance(life + grace - 1)
    await renew(core, first)


@pytest.mark.parametrize(("life", "grace"), GRACES)
async def test_a_svid_that_expired_before_the_grace_is_not_renewed(
    open_core: OpenCore, clock: FakeClock, life: float, grace: float
) -> None:
    core = await open_core(a_directory(svid_lifetime=life))
    first = await by_token(core, await a_token(core))
    clock.advance(life + grace)
    with pytest.raises(EvidenceNeededError, match="attest again"):
        await renew(core, first)


async def test_a_workload_of_the_kernels_word_shows_it_at_every_renewal(core: Core) -> None:
    issued = await issue(core, attested(core, "prod.payments/feast"))
    with pytest.raises(EvidenceNeededError, match="evidence at every renewal"):
        await renew(core, issued)


async def test_a_serial_does_not_renew_another_identity(core: Core) -> None:
    first = await by_token(core, await a_token(core))
    stranger = replace(first, row=replace(first.row, spiffe_id="spiffe://x/other"))
    with pytest.raises(NotAttestedError):
        await renew(core, stranger)


async def test_a_workload_that_was_removed_is_not_renewed(core: Core) -> None:
    first = await by_token(core, await a_token(core))
    core.take_over(a_directory(workloads={}))
    with pytest.raises(CaError):
        await renew(core, first)


async def test_renewal_goes_on_after_a_restart(open_core: OpenCore) -> None:
    core = await open_core()
    first = await by_token(core, await a_token(core))
    csr = a_request()
    second = await renew(core, first, csr)
    await core.close()
    again = await open_core()
    assert (await renew(again, first, csr)).chain == second.chain
