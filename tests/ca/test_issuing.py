"""The path from an order to a signature: what is signed was linted, once, and is recorded on both sides."""

import subprocess
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID
from sqlalchemy import Connection, text

from ca_kit import KEK, TRUST_DOMAIN, FakeClock, OpenCore, a_request, attested, issue, key_of
from featward_ca.core import Core
from featward_ca.errors import LintError, MalformedRequestError, StoreError, TokenSpentError
from featward_ca.issuance import Issuance, Signer, new_serial
from featward_ca.keys import EncryptedKeyStore
from featward_ca.linter import Linted
from featward_ca.profile import Order, Purpose, SubjectName
from featward_ca.requests import CSR_BYTES, public_key_of
from featward_ca.store import audit
from featward_ca.store.audit import Outcome

NOW = 1_795_305_600


class Bench:
    """A root without a store, and an order for an authority under it."""

    def __init__(self) -> None:
        self.keys = EncryptedKeyStore(KEK)
        self.issuance = Issuance(self.keys)
        root_key, _ = self.keys.create()
        root_order = Order(
            Purpose.ROOT,
            root_key,
            new_serial(),
            NOW,
            NOW + 10_000,
            subject=SubjectName("root", "r"),
        )
        self.root = self.issuance.sign(self.issuance.prepare(root_order, Signer(None, root_key)))
        key, _ = self.keys.create()
        order = Order(
            Purpose.AUTHORITY,
            key,
            new_serial(),
            NOW,
            NOW + 9_000,
            subject=SubjectName("prod.payments", "a"),
        )
        self.signer, self.order = Signer(self.root, root_key), order


@pytest.fixture(scope="module")
def bench() -> Bench:
    return Bench()


async def test_an_svid_has_the_fields_of_the_profile_and_no_others(core: Core) -> None:
    issued = await issue(core, "prod.payments/pricing-api")
    leaf = x509.load_der_x509_certificate(issued.chain[0])
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    spiffe_id = f"spiffe://{TRUST_DOMAIN}/bu/payments/svc/pricing-api"
    assert list(names.value) == [x509.UniformResourceIdentifier(spiffe_id)]
    assert names.critical
    assert not leaf.subject.rdns
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert leaf.not_valid_before_utc.timestamp() == core.clock.now() - 120
    assert leaf.not_valid_after_utc.timestamp() == core.clock.now() + 3600
    assert {extension.oid for extension in leaf.extensions} == {
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.KEY_USAGE,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.SUBJECT_KEY_IDENTIFIER,
        ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    }


async def test_openssl_accepts_the_chain_in_strict_mode(core: Core, tmp_path: Path) -> None:
    issued = await issue(core, "prod.payments/pricing-api")
    ders = {"leaf": issued.chain[0], "authority": issued.chain[1]}
    ders["root"] = core.authorities.root.row.der
    for name, der in ders.items():
        certificate = x509.load_der_x509_certificate(der)
        (tmp_path / name).write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    assert _openssl_verify(tmp_path) == "leaf: OK\n"


def _openssl_verify(folder: Path) -> str:
    command = ["openssl", "verify", "-x509_strict", "-attime", str(NOW), "-purpose", "sslclient"]
    command += ["-CAfile", "root", "-untrusted", "authority", "leaf"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def _weak() -> bytes:
    return a_request(ec.derive_private_key(1, ec.SECP256R1()))


def _p384() -> bytes:
    return a_request(ec.generate_private_key(ec.SECP384R1()))


def _rsa() -> bytes:
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    key = rsa.generate_private_key(65537, 2048)
    return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _unsigned() -> bytes:
    whole = bytearray(a_request())
    whole[-1] ^= 1
    return bytes(whole)


@pytest.mark.parametrize(
    "csr",
    [b"", b"\x30\x00", b"x" * (CSR_BYTES + 1), _weak(), _p384(), _rsa(), _unsigned()],
    ids=["empty", "garbage", "too long", "known key", "P-384", "RSA", "bad signature"],
)
def test_a_request_with_a_bad_key_or_signature_is_refused(csr: bytes) -> None:
    with pytest.raises(MalformedRequestError):
        public_key_of(csr)


def test_a_permission_to_sign_is_good_for_one_signature(bench: Bench) -> None:
    prepared = bench.issuance.prepare(bench.order, bench.signer)
    bench.issuance.sign(prepared)
    with pytest.raises(TokenSpentError, match="used before"):
        bench.issuance.sign(prepared)


def test_a_permission_to_sign_is_good_for_one_authority(bench: Bench) -> None:
    prepared = bench.issuance.prepare(bench.order, bench.signer)
    other, _ = bench.keys.create()
    with pytest.raises(TokenSpentError, match="another authority"):
        bench.keys.sign(other, prepared.linted)


def test_a_permission_to_sign_comes_from_the_linter_alone() -> None:
    with pytest.raises(TokenSpentError):
        Linted(object(), b"anything", b"\0" * 32)


class LyingKeyStore(EncryptedKeyStore):
    """Signs something else than it was asked to."""

    def sign(self, signer: ec.EllipticCurvePublicKey, linted: Linted) -> bytes:
        linted.redeem(signer)
        key = ec.generate_private_key(ec.SECP256R1())
        return key.sign(b"other bytes", ec.ECDSA(hashes.SHA256()))


def test_a_signature_over_other_bytes_does_not_leave() -> None:
    keys = LyingKeyStore(KEK)
    public, _ = keys.create()
    order = Order(
        Purpose.ROOT, public, new_serial(), NOW, NOW + 9, subject=SubjectName("root", "r")
    )
    issuance = Issuance(keys)
    with pytest.raises(LintError, match="signature"):
        issuance.sign(issuance.prepare(order, Signer(None, public)))


def test_an_authority_that_would_outlive_its_root_is_not_signed(bench: Bench) -> None:
    with pytest.raises(LintError, match="outlives"):
        bench.issuance.prepare(replace(bench.order, not_after=NOW + 10_001), bench.signer)


def test_a_roots_own_key_gets_no_other_certificate(bench: Bench) -> None:
    with pytest.raises(LintError, match="authority's own"):
        bench.issuance.prepare(
            replace(bench.order, public_key=bench.signer.public_key), bench.signer
        )


async def test_every_signature_has_a_row_before_and_a_row_after_it(core: Core) -> None:
    issued = await issue(core, "prod.payments/pricing-api")
    rows = [row for row in await core.store.read(audit.entries) if row.serial == issued.row.serial]
    tbs = x509.load_der_x509_certificate(issued.chain[0]).tbs_certificate_bytes
    digest = hashes.Hash(hashes.SHA256())
    digest.update(tbs)
    assert [row.outcome for row in rows] == [Outcome.INTENT, Outcome.SIGNED]
    assert {row.tbs_sha256 for row in rows} == {digest.finalize().hex()}
    assert {(row.kind, row.caller, row.profile) for row in rows} == {("attest", "test", "svid")}


async def test_a_refused_template_leaves_no_intent(core: Core) -> None:
    before = len(await core.store.read(audit.entries))
    stray = attested(core, "prod.payments/pricing-api")
    stray = replace(stray, workload=replace(stray.workload, business_unit="prod.risk"))
    with pytest.raises(LintError):
        await issue(core, stray)
    assert len(await core.store.read(audit.entries)) == before


async def test_what_was_not_signed_is_recorded_as_failed(
    open_core: OpenCore, monkeypatch: pytest.MonkeyPatch
) -> None:
    core = await open_core()

    def sign_with_another_key(*given: object) -> list[bytes]:
        """The permission that comes last is for another authority's key."""
        keys = EncryptedKeyStore(KEK)
        public, _ = keys.create()
        return real_sign(keys, public, given[-1])  # type: ignore[arg-type]

    real_sign = EncryptedKeyStore.sign_leaves
    monkeypatch.setattr(EncryptedKeyStore, "sign_leaves", sign_with_another_key)
    with pytest.raises(LintError, match="another authority"):
        await issue(core, "prod.payments/pricing-api")
    last = (await core.store.read(audit.entries))[-1]
    assert (last.outcome, last.profile) == (Outcome.FAILED, "svid")


async def test_the_audit_table_can_not_be_rewritten(core: Core) -> None:
    for statement in ("UPDATE audit SET caller = 'nobody'", "DELETE FROM audit"):
        with pytest.raises(StoreError):
            await core.store.run(partial(_execute, statement=statement))


def _execute(connection: Connection, statement: str) -> None:
    connection.execute(text(statement))


async def test_a_canary_is_signed_and_has_expired(core: Core, clock: FakeClock) -> None:
    key = key_of(ec.generate_private_key(ec.SECP256R1()))
    before = len(await core.store.read(audit.entries))
    await core.issuer.canary(TRUST_DOMAIN, key, core.situation.lifetimes)
    rows = (await core.store.read(audit.entries))[before:]
    assert [(row.profile, row.outcome) for row in rows] == [
        ("canary", "intent"),
        ("canary", "signed"),
    ]
