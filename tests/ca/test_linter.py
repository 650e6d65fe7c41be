"""The linter against certificates that a faulty builder might make: each mutation is found."""

import datetime
from collections.abc import Callable
from dataclasses import replace

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ca_kit import TRUST_DOMAIN, a_request
from featward.identity.spiffe import SpiffeId
from featward_ca import builder, linter
from featward_ca.errors import LintError
from featward_ca.issuance import new_serial
from featward_ca.profile import Order, Purpose, SubjectName
from featward_ca.requests import public_key_of
from reference_leaf import a_leaf

NOW = 1_795_305_600
SCOPE = "/bu/payments/"
THROWAWAY = ec.generate_private_key(ec.SECP256R1())
ISSUER_KEY = ec.generate_private_key(ec.SECP256R1())
OTHER_KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
ISSUER = builder.build(
    Order(
        Purpose.AUTHORITY,
        ISSUER_KEY.public_key(),
        new_serial(),
        NOW,
        NOW + 9000,
        subject=SubjectName("prod.payments", "a"),
    ),
    None,
    ISSUER_KEY,
)
SVID = Order(
    Purpose.SVID,
    public_key_of(a_request()),
    new_serial(),
    NOW,
    NOW + 3600,
    spiffe_id=SpiffeId.workload(TRUST_DOMAIN, "payments", "pricing-api"),
)
AUTHORITY = Order(
    Purpose.AUTHORITY,
    public_key_of(a_request()),
    new_serial(),
    NOW,
    NOW + 3600,
    subject=SubjectName("prod.payments", "b"),
)

_Extensions = dict[type[x509.ExtensionType], tuple[x509.ExtensionType, bool]]


class Template:
    """A certificate's fields, taken from what the builder made, to be changed one at a time."""

    def __init__(self, order: Order) -> None:
        build = a_leaf if order.spiffe_id else builder.build
        good = build(order, ISSUER, THROWAWAY)
        self.subject, self.issuer = good.subject, good.issuer
        self.key = good.public_key()
        self.serial = good.serial_number
        self.start, self.end = good.not_valid_before_utc, good.not_valid_after_utc
        self.extensions: _Extensions = {
            type(extension.value): (extension.value, extension.critical)
            for extension in good.extensions
        }
        self.hash: hashes.HashAlgorithm = hashes.SHA256()

    def put(self, value: x509.ExtensionType, critical: bool) -> None:
        self.extensions[type(value)] = (value, critical)

    def sign(self) -> x509.Certificate:
        made = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(self.issuer)
            .public_key(self.key)
            .serial_number(self.serial)
            .not_valid_before(self.start)
            .not_valid_after(self.end)
        )
        for value, critical in self.extensions.values():
            made = made.add_extension(value, critical)
        return made.sign(THROWAWAY, self.hash)  # type: ignore[arg-type]


def _usage(**bits: bool) -> x509.KeyUsage:
    names = "digital_signature content_commitment key_encipherment data_encipherment key_agreement"
    names += " key_cert_sign crl_sign encipher_only decipher_only"
    return x509.KeyUsage(**{name: bits.get(name, False) for name in names.split()})


def _uri(text: str) -> x509.UniformResourceIdentifier:
    return x509.UniformResourceIdentifier(text)


def _names(*names: x509.GeneralName) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(names)


GOOD = _uri(str(SVID.spiffe_id))
HOUR = datetime.timedelta(hours=1)
BOTH = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]

_Mutation = Callable[[Template], object]
SVID_MUTATIONS: dict[str, _Mutation] = {
    "a subject": lambda t: setattr(
        t, "subject", x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "x")])
    ),
    "another issuer": lambda t: setattr(t, "issuer", x509.Name([])),
    "another key": lambda t: setattr(t, "key", OTHER_KEY),
    "a P-384 key": lambda t: setattr(
        t, "key", ec.generate_private_key(ec.SECP384R1()).public_key()
    ),
    "another serial": lambda t: setattr(t, "serial", new_serial()),
    "an earlier start": lambda t: setattr(t, "start", t.start - HOUR),
    "a later end": lambda t: setattr(t, "end", t.end + HOUR),
    "a weaker hash": lambda t: setattr(t, "hash", hashes.SHA384()),
    "no name": lambda t: t.extensions.pop(x509.SubjectAlternativeName),
    "a name that is not critical": lambda t: t.put(_names(GOOD), False),
    "two URIs": lambda t: t.put(_names(GOOD, GOOD), True),
    "a DNS name too": lambda t: t.put(_names(GOOD, x509.DNSName("x.example")), True),
    "a DNS name only": lambda t: t.put(_names(x509.DNSName("x.example")), True),
    "another workload": lambda t: t.put(_names(_uri(f"{SVID.spiffe_id}2")), True),
    "another trust domain": lambda t: t.put(
        _names(_uri("spiffe://dev.acme.example/bu/payments/svc/pricing-api")), True
    ),
    "no SPIFFE ID": lambda t: t.put(_names(_uri("https://prod.acme.example/")), True),
    "an authority's constraints": lambda t: t.put(x509.BasicConstraints(True, None), True),
    "no constraints": lambda t: t.extensions.pop(x509.BasicConstraints),
    "no key usage": lambda t: t.extensions.pop(x509.KeyUsage),
    "a key usage that is not critical": lambda t: t.put(_usage(digital_signature=True), False),
    "certificate signing": lambda t: t.put(
        _usage(digital_signature=True, key_cert_sign=True), True
    ),
    "key encipherment": lambda t: t.put(
        _usage(digital_signature=True, key_encipherment=True), True
    ),
    "server use only": lambda t: t.put(x509.ExtendedKeyUsage(BOTH[:1]), False),
    "one more use": lambda t: t.put(
        x509.ExtendedKeyUsage([*BOTH, ExtendedKeyUsageOID.CODE_SIGNING]), False
    ),
    "no extended use": lambda t: t.extensions.pop(x509.ExtendedKeyUsage),
    "another subject key identifier": lambda t: t.put(
        x509.SubjectKeyIdentifier.from_public_key(OTHER_KEY), False
    ),
    "another authority key identifier": lambda t: t.put(
        x509.AuthorityKeyIdentifier.from_issuer_public_key(OTHER_KEY), False
    ),
    "no authority key identifier": lambda t: t.extensions.pop(x509.AuthorityKeyIdentifier),
    "an extension of its own": lambda t: t.put(
        x509.TLSFeature([x509.TLSFeatureType.status_request]), False
    ),
}
AUTHORITY_MUTATIONS: dict[str, _Mutation] = {
    "an unlimited path": lambda t: t.put(x509.BasicConstraints(True, None), True),
    "a longer path": lambda t: t.put(x509.BasicConstraints(True, 1), True),
    "a leaf's constraints": lambda t: t.put(x509.BasicConstraints(False, None), True),
    "signing of data": lambda t: t.put(
        _usage(key_cert_sign=True, crl_sign=True, digital_signature=True), True
    ),
    "no subject": lambda t: setattr(t, "subject", x509.Name([])),
    "name constraints": lambda t: t.put(x509.NameConstraints([_uri("acme.example")], None), True),
    "an end after the root's": lambda t: setattr(t, "end", t.end + 4 * HOUR),
}


def test_what_the_builder_makes_passes() -> None:
    for order in (SVID, AUTHORITY):
        linter.lint(Template(order).sign(), order, ISSUER, SCOPE)


@pytest.mark.parametrize("mutation", SVID_MUTATIONS.values(), ids=SVID_MUTATIONS.keys())
def test_a_mutated_svid_is_refused(mutation: _Mutation) -> None:
    template = Template(SVID)
    mutation(template)
    with pytest.raises(LintError):
        linter.lint(template.sign(), SVID, ISSUER, SCOPE)


@pytest.mark.parametrize("mutation", AUTHORITY_MUTATIONS.values(), ids=AUTHORITY_MUTATIONS.keys())
def test_a_mutated_authority_is_refused(mutation: _Mutation) -> None:
    template = Template(AUTHORITY)
    mutation(template)
    with pytest.raises(LintError):
        linter.lint(template.sign(), AUTHORITY, ISSUER, None)


@pytest.mark.parametrize("scope", [None, "", "/bu/pay", "/bu/risk/", "/featward/"])
def test_a_scope_that_is_not_the_business_units_is_refused(scope: str | None) -> None:
    with pytest.raises(LintError, match="outside"):
        linter.lint(Template(SVID).sign(), SVID, ISSUER, scope)


@pytest.mark.parametrize("serial", [1, 2**64 - 1])
def test_a_serial_with_too_little_randomness_is_refused(serial: int) -> None:
    order = replace(SVID, serial=serial)
    with pytest.raises(LintError, match="serial"):
        linter.lint(Template(order).sign(), order, ISSUER, SCOPE)
