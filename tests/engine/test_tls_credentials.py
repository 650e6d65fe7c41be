"""What Python sees of identities and trust."""

import json

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from certificates import CA, DOMAIN, PRICING, Authority, Environment, der
from featward_engine import Credentials, IdentityError


def test_an_identity_is_reported_as_its_certificate_says() -> None:
    environment = Environment()
    credentials = environment.credentials()
    assert credentials.identity() is None
    environment.payments.identify(credentials, PRICING)
    identity = json.loads(credentials.identity() or b"")
    assert identity["spiffe_id"] == PRICING
    assert identity["authority"] == environment.payments.spki_sha256.hex()
    assert identity["not_after"] - identity["not_before"] == 3660
    assert set(identity) == {"spiffe_id", "serial", "authority", "not_before", "not_after"}


def test_a_request_holds_a_p256_key_and_nothing_else() -> None:
    request = x509.load_der_x509_csr(Credentials(DOMAIN).new_identity().csr)
    key = request.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert request.is_signature_valid
    assert len(request.subject) == 0
    assert len(request.extensions) == 0


def test_a_certificate_for_another_key_is_refused() -> None:
    environment = Environment()
    credentials = environment.credentials()
    other = ec.generate_private_key(ec.SECP256R1()).public_key()
    leaf = environment.payments.leaf(PRICING, other)
    chain = [der(leaf), der(environment.payments.certificate)]
    with pytest.raises(IdentityError, match="key-mismatch"):
        credentials.set_identity(credentials.new_identity(), chain)
    assert credentials.identity() is None


def test_an_older_trust_is_refused() -> None:
    environment = Environment()
    credentials = environment.credentials()
    credentials.set_trust(environment.roots, environment.scopes, 5)
    with pytest.raises(IdentityError, match="stale-sequence"):
        credentials.set_trust(environment.roots, [], 4)
    assert credentials.sequence() == 5


def test_a_trust_domain_is_checked_when_it_is_named() -> None:
    with pytest.raises(IdentityError, match="wrong-trust-domain"):
        Credentials("Prod.acme.example")


def test_the_platform_s_authority_can_be_used_like_any_other() -> None:
    environment = Environment()
    credentials = environment.process(environment.platform, CA)
    assert json.loads(credentials.identity() or b"")["spiffe_id"] == CA
    assert Authority.root().spki_sha256 != environment.platform.spki_sha256
