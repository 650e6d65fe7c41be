"""What a CA is threatened by, and that it holds: one test each, named after what must not happen.

Two more stand where their tools are: tests/ca/test_check_issued.py has forged signatures,
tests/ca/test_halt.py clocks that are behind. Tokens, foreign bundles and the CA as a process have
modules beside this one.
"""

import json
import time
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import AttributeOID

from ca_kit import TRUST_DOMAIN, a_request, issue
from certificates import CA, DOMAIN, PRICING, SCORING, Environment, der
from echo import dialling, echo_server, listening, who
from featward_ca.core import Core
from featward_engine import Credentials, judge

STAGING = "staging.acme.example"


def judged(environment: Environment, *chain: x509.Certificate, domain: str = DOMAIN) -> str:
    """Why a process of this environment refuses the chain, or "" if it accepts it."""
    question = {
        "trust_domain": domain,
        "roots": [root.hex() for root in environment.roots],
        "scopes": [[digest.hex(), prefix] for digest, prefix in environment.scopes],
        "chain": [der(one).hex() for one in chain],
        "at": time.time(),
    }
    answer = json.loads(judge(json.dumps(question).encode()))
    return "" if answer["accepted"] else str(answer["cause"])


def test_a_stolen_intermediate_reaches_no_other_business_unit_or_environment() -> None:
    """Whoever holds the key of one business unit's authority, whatever it writes."""
    prod, staging = Environment(), Environment()
    stolen, key = prod.payments, ec.generate_private_key(ec.SECP256R1()).public_key()
    mine = stolen.certificate
    assert judged(prod, stolen.leaf(PRICING, key), mine) == ""
    below = stolen.intermediate("prod.risk")
    for other, claimed in ((SCORING, prod.risk), (CA, prod.platform), (CA, prod.root)):
        assert judged(prod, stolen.leaf(other, key), mine) == "out-of-scope"
        forged = stolen.leaf(other, key, claimed_issuer=claimed)
        assert judged(prod, forged, mine) == "out-of-scope"
        # With the certificate of the authority that it pretends to be.
        assert judged(prod, forged, claimed.certificate)
        assert judged(prod, below.leaf(other, key), below.certificate, mine)
        assert judged(staging, forged, mine, domain=STAGING)
    theirs = f"spiffe://{STAGING}/bu/payments/svc/pricing"
    assert judged(prod, stolen.leaf(theirs, key), mine) == "wrong-trust-domain"
    assert judged(staging, stolen.leaf(theirs, key), mine, domain=STAGING) == "unknown-authority"


async def test_a_stolen_intermediate_is_no_other_business_unit_at_a_listener(
    tmp_path: Path,
) -> None:
    environment = Environment()
    thief = environment.process(environment.payments, SCORING, claimed_issuer=environment.risk)
    counted, said = await _call(environment, thief, tmp_path)
    assert (set(counted), "refused" in said) == ({"out-of-scope"}, True)


async def test_a_stolen_intermediate_is_no_ca_to_a_dialer(tmp_path: Path) -> None:
    environment = Environment()
    thief = environment.process(environment.payments, CA, claimed_issuer=environment.platform)
    caller = environment.process(environment.payments, PRICING)
    _, said = await _call(environment, caller, tmp_path, server=thief)
    assert "out-of-scope" in said


async def _call(
    environment: Environment, client: Credentials, folder: Path, server: Credentials | None = None
) -> tuple[dict[str, int], str]:
    """A call to the CA that must fail: what its Listener counted, and what the Dialer says."""
    own = server or environment.process(environment.platform, CA)
    async with (
        echo_server(folder) as (forward, _),
        listening(own, forward=forward) as (listener, address),
        dialling(client, address=address, socket=folder / "out.sock", expect=CA) as (
            dialer,
            opened,
        ),
    ):
        with pytest.raises(grpc.aio.AioRpcError):
            await who(opened)
        return json.loads(listener.handshakes()), dialer.last_error() or ""


async def test_nothing_of_one_environment_is_accepted_in_another(tmp_path: Path) -> None:
    """The same names under another root, and another name under the same root; both ends."""
    prod, other = Environment(), Environment()
    (tmp_path / "a").mkdir()
    counted, _ = await _call(prod, _mixed(prod, other, PRICING), tmp_path / "a")
    assert set(counted) == {"unknown-authority"}
    (tmp_path / "b").mkdir()
    caller = prod.process(prod.payments, PRICING)
    server = other.process(other.platform, CA)
    _, said = await _call(prod, caller, tmp_path / "b", server=server)
    assert "unknown-authority" in said
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    foreign = PRICING.replace(DOMAIN, STAGING)
    leaf = prod.payments.leaf(foreign, key)
    assert judged(prod, leaf, prod.payments.certificate) == "wrong-trust-domain"


def _mixed(trusted: Environment, signer: Environment, identity: str) -> Credentials:
    """It trusts the one environment, so that it calls, and shows an identity of the other."""
    credentials = trusted.credentials()
    credentials.set_trust([*trusted.roots, *signer.roots], [*trusted.scopes, *signer.scopes], 2)
    signer.payments.identify(credentials, identity)
    return credentials


async def test_a_csr_gives_its_key_and_nothing_else(core: Core) -> None:
    """Names, extensions and attributes that a request asks for are read by nobody."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "admin")])
    uris = ["spiffe://x/other", f"spiffe://{TRUST_DOMAIN}/featward/operator"]
    names = x509.SubjectAlternativeName(
        [*map(x509.UniformResourceIdentifier, uris), x509.DNSName("admin.example")]
    )
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(name)
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_attribute(AttributeOID.CHALLENGE_PASSWORD, b"secret")
        .sign(key, hashes.SHA256())
    )
    csr = request.public_bytes(serialization.Encoding.DER)
    asked, plain = [
        x509.load_der_x509_certificate((await issue(core, "prod.risk/scoring", one)).chain[0])
        for one in (csr, a_request())
    ]
    assert asked.public_key() == key.public_key()
    assert asked.subject == plain.subject
    own = (x509.SubjectKeyIdentifier,)
    written = [
        {e.oid: e for e in leaf.extensions if not isinstance(e.value, own)}
        for leaf in (asked, plain)
    ]
    assert written[0] == written[1]
