"""The engine's leaves beside those of another library, before the CA's linter and OpenSSL: three opinions of
one certificate.
"""

import hashlib
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import reference_leaf
from ca_kit import TRUST_DOMAIN, a_request
from featward.identity.spiffe import SpiffeId
from featward_ca import builder, linter
from featward_ca.issuance import der, new_serial
from featward_ca.profile import Order, Purpose, SubjectName
from featward_ca.requests import public_key_of, spki
from featward_engine import IssuingError, SigningKey, check_requests, prepare_leaves

NOW = 1_795_305_600
YEAR = 365 * 86_400
SCOPE = "/bu/payments/"
_THROWAWAY = ec.generate_private_key(ec.SECP256R1())
_ROOT_KEY = ec.generate_private_key(ec.SECP256R1())
_KEY = ec.generate_private_key(ec.SECP256R1())

_Leaf = tuple[bytes, str, bytes, int, int]


def _authority(
    purpose: Purpose, name: str, issuer: x509.Certificate | None, key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    order = Order(
        purpose,
        key.public_key(),
        new_serial(),
        NOW - 3600,
        NOW + 60 * YEAR,
        subject=SubjectName("prod.payments", name),
    )
    return builder.build(order, issuer, _ROOT_KEY)


ROOT = _authority(Purpose.ROOT, "root", None, _ROOT_KEY)
ISSUER = _authority(Purpose.AUTHORITY, "a", ROOT, _KEY)


def _pkcs8(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def an_order(**changes: object) -> Order:
    order = Order(
        Purpose.SVID,
        public_key_of(a_request()),
        new_serial(),
        NOW,
        NOW + 3600,
        spiffe_id=SpiffeId.workload(TRUST_DOMAIN, "payments", "pricing-api"),
    )
    return replace(order, **changes)  # type: ignore[arg-type]


def a_leaf(order: Order) -> _Leaf:
    serial = order.serial.to_bytes(16, "big")
    return (spki(order.public_key), str(order.spiffe_id), serial, order.not_before, order.not_after)


def signed(*orders: Order) -> list[bytes]:
    prepared = prepare_leaves(der(ISSUER), SCOPE, [a_leaf(order) for order in orders])
    return SigningKey(_pkcs8(_KEY)).sign_leaves(prepared)


@pytest.mark.parametrize(
    "order",
    [
        an_order(),
        an_order(serial=1 << 65),
        an_order(serial=(1 << 128) - 1),
        # The last second of UTCTime, and the first of GeneralizedTime.
        an_order(not_before=2_524_607_999, not_after=2_524_608_000),
        an_order(not_before=1_835_395_200),  # 2028-02-29
        an_order(spiffe_id=SpiffeId.parse(f"spiffe://{TRUST_DOMAIN}{SCOPE}{'a' * 1900}")),
    ],
    ids=["plain", "small serial", "large serial", "end of UTCTime", "leap day", "long name"],
)
def test_engine_and_python_write_the_same_bytes(order: Order) -> None:
    order = replace(order, not_after=max(order.not_after, order.not_before + 1))
    ours = x509.load_der_x509_certificate(signed(order)[0])
    python = reference_leaf.a_leaf(order, ISSUER, _THROWAWAY)
    assert ours.tbs_certificate_bytes == python.tbs_certificate_bytes
    linter.lint(ours, order, ISSUER, SCOPE)
    ours.verify_directly_issued_by(ISSUER)


def test_a_batch_is_answered_in_its_order_with_the_digests_of_what_is_signed() -> None:
    orders = [an_order() for _ in range(20)]
    prepared = prepare_leaves(der(ISSUER), SCOPE, [a_leaf(order) for order in orders])
    digests = prepared.tbs_sha256
    made = [
        x509.load_der_x509_certificate(raw)
        for raw in SigningKey(_pkcs8(_KEY)).sign_leaves(prepared)
    ]
    assert [one.serial_number for one in made] == [order.serial for order in orders]
    assert [hashlib.sha256(one.tbs_certificate_bytes).digest() for one in made] == digests


def test_openssl_accepts_a_leaf_strictly(tmp_path: Path) -> None:
    pem = serialization.Encoding.PEM
    leaf = x509.load_der_x509_certificate(signed(an_order())[0])
    for name, certificate in (("root", ROOT), ("authority", ISSUER), ("leaf", leaf)):
        (tmp_path / f"{name}.pem").write_bytes(certificate.public_bytes(pem))
    command = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver"]
    command += ["-attime", str(NOW + 60), "-CAfile", "root.pem", "-untrusted", "authority.pem"]
    done = subprocess.run(
        [*command, "leaf.pem"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "leaf.pem: OK\n"), done.stderr


def test_a_permission_to_sign_is_good_for_one_signature() -> None:
    key = SigningKey(_pkcs8(_KEY))
    prepared = prepare_leaves(der(ISSUER), SCOPE, [a_leaf(an_order())])
    key.sign_leaves(prepared)
    with pytest.raises(IssuingError, match="used before"):
        key.sign_leaves(prepared)
    with pytest.raises(IssuingError, match="used before"):
        prepared.keep({0})


def test_a_permission_to_sign_is_good_for_one_authority_and_spent_by_another() -> None:
    other = SigningKey(_pkcs8(_ROOT_KEY))
    prepared = prepare_leaves(der(ISSUER), SCOPE, [a_leaf(an_order())])
    with pytest.raises(IssuingError, match="another authority"):
        other.sign_leaves(prepared)
    with pytest.raises(IssuingError, match="used before"):
        SigningKey(_pkcs8(_KEY)).sign_leaves(prepared)


def test_what_is_given_up_is_not_signed() -> None:
    orders = [an_order() for _ in range(3)]
    prepared = prepare_leaves(der(ISSUER), SCOPE, [a_leaf(order) for order in orders])
    with pytest.raises(IssuingError, match="no place 3"):
        prepared.keep({3})
    prepared.keep({0, 2})
    made = SigningKey(_pkcs8(_KEY)).sign_leaves(prepared)
    serials = [x509.load_der_x509_certificate(raw).serial_number for raw in made]
    assert serials == [orders[0].serial, orders[2].serial]


@pytest.mark.parametrize(
    ("order", "finding"),
    [
        (an_order(spiffe_id=SpiffeId.workload(TRUST_DOMAIN, "risk", "scoring")), "outside"),
        (an_order(not_after=NOW + 61 * YEAR), "outlives"),
        (an_order(not_before=NOW - 3601), "starts before"),
        (an_order(not_after=NOW), "ends before it starts"),
        (an_order(serial=1), "65 to 128 bits"),
        (an_order(public_key=_KEY.public_key()), "authority's own"),
    ],
)
def test_an_order_that_the_authority_may_not_fill_is_refused(order: Order, finding: str) -> None:
    with pytest.raises(IssuingError, match=finding):
        prepare_leaves(der(ISSUER), SCOPE, [a_leaf(an_order()), a_leaf(order)])


def test_a_serial_of_another_size_and_a_key_of_another_kind_are_refused() -> None:
    spki_, name, serial, start, end = a_leaf(an_order())
    with pytest.raises(IssuingError, match="15 bytes, expected 16"):
        prepare_leaves(der(ISSUER), SCOPE, [(spki_, name, serial[1:], start, end)])
    with pytest.raises(IssuingError, match="P-256"):
        SigningKey(_pkcs8(rsa.generate_private_key(65537, 2048)))


def test_a_certificate_that_is_no_authority_prepares_nothing() -> None:
    leaf = signed(an_order())[0]
    for issuer in (leaf, b"", b"\x30\x00"):
        with pytest.raises(IssuingError, match="can't sign leaves"):
            prepare_leaves(issuer, SCOPE, [])


def test_requests_are_reduced_to_their_key_or_refused_one_by_one() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    known = a_request(ec.derive_private_key(1, ec.SECP256R1()))
    whole = bytearray(a_request())
    whole[-1] ^= 1
    good, *refused = check_requests([a_request(key), b"", b"x" * 5000, known, bytes(whole)])
    assert good == spki(key.public_key())
    assert [str(sentence).split(",")[0] for sentence in refused] == [
        "a certificate request has 1 to 4096 bytes",
        "a certificate request has 1 to 4096 bytes",
        "the private half of this key is publicly known; make a new key",
        "the certificate request is not signed by its own key with SHA-256 or better",
    ]


@pytest.mark.parametrize("digest", [hashes.SHA256(), hashes.SHA384(), hashes.SHA512()])
def test_python_and_engine_take_the_same_key_from_a_request(
    digest: hashes.SHA256 | hashes.SHA384 | hashes.SHA512,
) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "root")])
    wish = x509.SubjectAlternativeName([x509.DNSName("evil.example")])
    request = x509.CertificateSigningRequestBuilder(name).add_extension(wish, critical=True)
    csr = request.sign(key, digest).public_bytes(serialization.Encoding.DER)
    assert check_requests([csr]) == [spki(public_key_of(csr))]
