"""Bundle documents, written and read: a JWK Set with one key for each root (SPIFFE Trust Domain and
Bundle, section 4).

What is read comes from somebody else's server and decides whose identities are believed, so it is
read strictly: every key has to be exactly one certificate of an authority, and the certificate's key
has to be the one that the entry spells out. Entries of kinds that we do not know are skipped, as the
standard wants, because leaving a key out never makes anybody trusted.
"""

import base64
import binascii
import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NoReturn

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from featward_ca.errors import FederationError
from featward_ca.trust import Trust

__all__ = ["LARGEST_DOCUMENT", "ForeignBundle", "document", "ends", "parse"]

# Documents may hold keys that we don't use, such as those of JWT-SVIDs.
LARGEST_DOCUMENT = 512 * 1024
_MOST_KEYS = 1024
_MOST_ROOTS = 64
# A root takes one or two kilobytes. All of them go to every client at every change, beside those of
# all other domains, in one message: no partner may make it too large for us.
_LARGEST_ROOTS = 32 * 1024
# What both databases hold in a number; the standard asks for 64 bits.
_LARGEST_NUMBER = 2**63 - 1
_X509 = "x509-svid"
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}
_KNOWN_KEYS = ("EC", "RSA", "OKP")


@dataclass(frozen=True)
class ForeignBundle:
    """What a document says. `sequence` and `refresh_hint` (seconds) are None where it leaves them
    out; no roots at all means that nobody of the domain is to be believed.
    """

    sequence: int | None
    refresh_hint: int | None
    # DER, each once.
    roots: tuple[bytes, ...]


def document(trust: Trust, refresh_hint: float) -> bytes:
    """The bundle of our own trust domain; `refresh_hint` in seconds."""
    roots = [x509.load_der_x509_certificate(root) for root in trust.roots]
    keys = [
        {"use": _X509, **_members(root), "x5c": [base64.b64encode(der).decode()]}
        for root, der in zip(roots, trust.roots, strict=True)
    ]
    content = {
        "keys": keys,
        "spiffe_sequence": trust.sequence,
        "spiffe_refresh_hint": max(1, int(refresh_hint)),
    }
    return json.dumps(content, separators=(",", ":")).encode()


def parse(raw: bytes) -> ForeignBundle:
    """Read a document. Raises FederationError with what is wrong in it."""
    if len(raw) > LARGEST_DOCUMENT:
        raise _no_bundle(f"it has more than {LARGEST_DOCUMENT} bytes")
    content = _object(raw)
    keys = content.get("keys")
    if not isinstance(keys, list):
        raise _no_bundle("it has no list named keys")
    if len(keys) > _MOST_KEYS:
        raise _no_bundle(f"it has {len(keys)} keys, more than {_MOST_KEYS}")
    roots = dict.fromkeys(root for n, key in enumerate(keys) if (root := _root(n, key)))
    if len(roots) > _MOST_ROOTS:
        raise _no_bundle(f"it has {len(roots)} roots, more than {_MOST_ROOTS}")
    size = sum(map(len, roots))
    if size > _LARGEST_ROOTS:
        raise _no_bundle(f"its roots have {size} bytes together, more than {_LARGEST_ROOTS}")
    return ForeignBundle(
        _number(content, "spiffe_sequence"), _number(content, "spiffe_refresh_hint"), tuple(roots)
    )


def ends(roots: Iterable[bytes]) -> list[float]:
    """When each of the roots ends, in Unix seconds."""
    certificates = (x509.load_der_x509_certificate(root) for root in roots)
    return [one.not_valid_after_utc.timestamp() for one in certificates]


def _object(raw: bytes) -> dict[str, Any]:
    try:
        # Not the bytes themselves, for which it would try other encodings.
        content = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant
        )
    # A number of thousands of digits is a ValueError too.
    except (ValueError, RecursionError) as error:
        raise _no_bundle(f"it is not JSON: {str(error)[:200] or 'nested too deeply'}") from error
    if not isinstance(content, dict):
        raise _no_bundle("it is not a JSON object")
    return content


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object with a key twice would be read differently by two readers."""
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice[:80]!r} is there twice")
    return content


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _number(content: dict[str, Any], name: str) -> int | None:
    value = content.get(name)
    if value is None and name not in content:
        return None
    if type(value) is not int or not 0 <= value <= _LARGEST_NUMBER:
        raise _no_bundle(f"{name} is no whole number from 0 to {_LARGEST_NUMBER}")
    return value


def _root(number: int, key: object) -> bytes | None:
    """The root of one entry; None for an entry that is to be skipped."""
    if not isinstance(key, dict):
        raise _no_bundle(f"key {number} is not a JSON object")
    if key.get("use") != _X509 or key.get("kty") not in _KNOWN_KEYS:
        return None
    chain = key.get("x5c")
    if not isinstance(chain, list) or len(chain) != 1 or not isinstance(chain[0], str):
        raise _no_bundle(f"key {number} for {_X509} has to have exactly one certificate in x5c")
    der = _der(number, chain[0])
    certificate = _authority(number, der)
    written = _members(certificate)
    if any(key.get(name) != value for name, value in written.items()):
        raise _no_bundle(f"key {number} is not the key of its certificate")
    return der


def _der(number: int, text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise _no_bundle(f"x5c of key {number} is not base64") from error


def _authority(number: int, der: bytes) -> x509.Certificate:
    try:
        certificate = x509.load_der_x509_certificate(der)
        constraints = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except (ValueError, x509.ExtensionNotFound, x509.DuplicateExtension) as error:
        raise _no_bundle(f"x5c of key {number} is not the certificate of an authority") from error
    if not constraints.value.ca:
        raise _no_bundle(f"x5c of key {number} is a certificate that may not sign others")
    return certificate


def _members(certificate: x509.Certificate) -> dict[str, str]:
    """A key as a JWK spells it out (RFC 7518, section 6; RFC 8037)."""
    try:
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _no_bundle(f"a certificate has no readable key: {error}") from error
    if isinstance(key, ec.EllipticCurvePublicKey) and key.curve.name in _CURVES:
        size, numbers = (key.curve.key_size + 7) // 8, key.public_numbers()
        x, y = (_base64url(one.to_bytes(size, "big")) for one in (numbers.x, numbers.y))
        return {"kty": "EC", "crv": _CURVES[key.curve.name], "x": x, "y": y}
    if isinstance(key, rsa.RSAPublicKey):
        public = key.public_numbers()
        return {"kty": "RSA", "n": _integer(public.n), "e": _integer(public.e)}
    if isinstance(key, ed25519.Ed25519PublicKey):
        raw = key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
        return {"kty": "OKP", "crv": "Ed25519", "x": _base64url(raw)}
    raise _no_bundle("a certificate has a key of a kind that featward does not know")


def _integer(value: int) -> str:
    return _base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _base64url(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _no_bundle(why: str) -> FederationError:
    return FederationError(f"the document is no bundle: {why}")
