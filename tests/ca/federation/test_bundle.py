"""Bundle documents: what we write can be read, and what strangers write decides nothing by accident."""

import base64
import datetime
import json
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from certificates import Authority, der
from featward_ca.errors import FederationError
from featward_ca.federation.bundle import LARGEST_DOCUMENT, ForeignBundle, document, ends, parse
from featward_ca.requests import spki_sha256 as digest
from featward_ca.trust import Trust

ROOTS = tuple(der(Authority.root(f"{n}.example").certificate) for n in range(3))
LEAF = der(
    Authority.root().leaf(
        "spiffe://a.example/x", ec.generate_private_key(ec.SECP256R1()).public_key()
    )
)


def ours(*roots: bytes, sequence: int = 7) -> bytes:
    return document(Trust(sequence, "a.example", roots, ()), 300)


def changed(**changes: Any) -> bytes:
    """A document of ours with other members."""
    return json.dumps(json.loads(ours(ROOTS[0])) | changes).encode()


def with_key(**changes: Any) -> bytes:
    (key,) = json.loads(ours(ROOTS[0]))["keys"]
    return changed(keys=[{name: value for name, value in (key | changes).items() if value != ...}])


def self_signed(key: Any, algorithm: Any, serial: int = 1) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")])
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now)
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    return der(builder.sign(key, algorithm))


def test_our_document_has_one_key_for_each_root_and_reads_back() -> None:
    raw = ours(*ROOTS)
    content = json.loads(raw)
    assert [sorted(key) for key in content["keys"]] == [["crv", "kty", "use", "x", "x5c", "y"]] * 3
    assert {(key["use"], len(key["x5c"])) for key in content["keys"]} == {("x509-svid", 1)}
    assert parse(raw) == ForeignBundle(7, 300, ROOTS)


@pytest.mark.parametrize(
    "root",
    [
        self_signed(ec.generate_private_key(ec.SECP521R1()), hashes.SHA512()),
        self_signed(rsa.generate_private_key(65537, 2048), hashes.SHA256()),
        self_signed(ed25519.Ed25519PrivateKey.generate(), None),
    ],
    ids=["P-521", "RSA", "Ed25519"],
)
def test_keys_of_other_kinds_are_read_and_checked_against_their_certificate(root: bytes) -> None:
    raw = ours(root)
    assert parse(raw).roots == (root,)
    (key,) = json.loads(raw)["keys"]
    name = "n" if "n" in key else "x"
    key[name] = base64.urlsafe_b64encode(b"\1" * 32).decode().rstrip("=")
    with pytest.raises(FederationError, match="not the key of its certificate"):
        parse(changed(keys=[key]))


def test_no_keys_at_all_is_a_bundle_in_which_everything_is_revoked() -> None:
    assert parse(b'{"keys": []}') == ForeignBundle(None, None, ())


def test_a_root_that_is_there_twice_counts_once() -> None:
    assert parse(ours(ROOTS[0], ROOTS[0])).roots == (ROOTS[0],)


@pytest.mark.parametrize(
    "skipped",
    [{"use": "jwt-svid"}, {"use": "wit-svid"}, {"use": ...}, {"kty": "AKP"}, {"kty": ...}],
    ids=str,
)
def test_an_entry_of_a_kind_that_we_do_not_know_is_skipped(skipped: dict[str, Any]) -> None:
    assert parse(with_key(**skipped)).roots == ()


def test_members_that_we_do_not_know_do_no_harm() -> None:
    assert parse(changed(more={"a": [1]})).roots == (ROOTS[0],)
    assert parse(with_key(alg="ES256", kid="x")).roots == (ROOTS[0],)


def encoded(certificate: bytes) -> str:
    return base64.b64encode(certificate).decode()


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe{}", "not JSON"),
        ('{"keys": []}'.encode("utf-16"), "not JSON"),
        (b"[]", "not a JSON object"),
        (b"{}", "no list named keys"),
        (b'{"keys": null}', "no list named keys"),
        (b'{"keys": [], "keys": []}', "there twice"),
        (b'{"keys": [{"kty": "EC", "kty": "EC"}]}', "there twice"),
        (b'{"keys": [1]}', "key 0 is not a JSON object"),
        (b'{"keys": [], "spiffe_sequence": NaN}', "NaN is no JSON"),
        (b'{"keys": [], "spiffe_sequence": ' + b"9" * 5000 + b"}", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b" " * LARGEST_DOCUMENT + b"{}", "more than 524288 bytes"),
        (b'{"keys": [' + b"{}," * 2000 + b"{}]}", "2001 keys"),
        (changed(spiffe_sequence=-1), "spiffe_sequence is no whole number"),
        (changed(spiffe_sequence=2**63), "spiffe_sequence is no whole number"),
        (changed(spiffe_sequence=1.0), "spiffe_sequence is no whole number"),
        (changed(spiffe_sequence=True), "spiffe_sequence is no whole number"),
        (changed(spiffe_sequence=None), "spiffe_sequence is no whole number"),
        (changed(spiffe_refresh_hint="300"), "spiffe_refresh_hint is no whole number"),
        (with_key(x5c=...), "exactly one certificate"),
        (with_key(x5c=[]), "exactly one certificate"),
        (with_key(x5c=[encoded(one) for one in ROOTS[:2]]), "exactly one certificate"),
        (with_key(x5c=encoded(ROOTS[0])), "exactly one certificate"),
        (with_key(x5c=["?"]), "not base64"),
        (with_key(x5c=[encoded(ROOTS[0][:-1])]), "not the certificate of an authority"),
        (with_key(x5c=[encoded(ROOTS[0] + b"\0")]), "not the certificate of an authority"),
        (with_key(x5c=[encoded(LEAF)]), "may not sign others"),
        (with_key(x5c=[encoded(ROOTS[1])]), "not the key of its certificate"),
        (with_key(y=...), "not the key of its certificate"),
        (with_key(crv="P-384"), "not the key of its certificate"),
    ],
    ids=range(31),
)
def test_a_document_that_could_be_read_in_two_ways_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(FederationError, match="the document is no bundle: .*" + why):
        parse(raw)


def test_there_is_an_end_to_the_number_of_roots() -> None:
    roots = [der(Authority.root().certificate) for _ in range(65)]
    assert len(parse(ours(*roots[:64])).roots) == 64
    with pytest.raises(FederationError, match="65 roots, more than 64"):
        parse(ours(*roots))


def test_there_is_an_end_to_the_size_of_all_roots() -> None:
    """They go to every client, in one message with all else that it has to know."""
    key = rsa.generate_private_key(65537, 4096)
    roots = [self_signed(key, hashes.SHA256(), serial) for serial in range(1, 31)]
    assert len(set(parse(ours(*roots[:20])).roots)) == 20
    with pytest.raises(FederationError, match=r"bytes together, more than 32768"):
        parse(ours(*roots))


def test_roots_end_when_their_certificates_do() -> None:
    (end,) = ends(ROOTS[:1])
    assert 23 * 3600 < end - datetime.datetime.now(datetime.UTC).timestamp() <= 24 * 3600


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
entries = st.dictionaries(
    st.sampled_from(["use", "kty", "x5c", "crv", "x", "y", "n", "e", "kid"]),
    st.sampled_from(["x509-svid", "jwt-svid", "EC", "RSA", "P-256", "AQAB"])
    | st.lists(st.sampled_from([encoded(one) for one in (*ROOTS, LEAF)]) | st.text())
    | json_values,
)
documents = st.fixed_dictionaries(
    {"keys": st.lists(entries | json_values) | json_values},
    optional={"spiffe_sequence": json_values, "spiffe_refresh_hint": json_values},
)


@given(st.binary(max_size=2000) | documents.map(lambda content: json.dumps(content).encode()))
def test_whatever_comes_is_a_bundle_or_one_sentence(raw: bytes) -> None:
    try:
        said, roots = "the document is no bundle: ", parse(raw).roots
    except FederationError as error:
        said, roots = str(error), ()
    assert said.startswith("the document is no bundle: ")
    assert len(said) < 500
    assert set(roots) <= set(ROOTS)


@given(st.data())
def test_a_changed_byte_never_makes_another_root(data: st.DataObject) -> None:
    raw = bytearray(ours(*ROOTS[:2]))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] = data.draw(st.integers(0, 255))
    try:
        found = parse(bytes(raw)).roots
    except FederationError:
        return
    # Signatures are not looked at: a root vouches for itself. Its key and name are.
    assert {spki_sha256(one) for one in found} <= {spki_sha256(one) for one in ROOTS[:2]}


def spki_sha256(root: bytes) -> bytes:
    key = x509.load_der_x509_certificate(root).public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    return digest(key)
