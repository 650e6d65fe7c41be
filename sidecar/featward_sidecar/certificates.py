"""Reads as much of a certificate as it takes to say whether somebody's client would refuse it.

The engine judges certificates; this looks at their form only, because the process carries no X.509 library.
Both well-known SPIFFE clients split concatenated DER and look at two extensions, and one of them never recovers
from a certificate that it can't read.
"""

import re
from base64 import b64decode, b64encode
from collections.abc import Iterator

__all__ = ["CertificateError", "check_authority", "check_leaf", "from_pem", "split", "to_pem"]

_SEQUENCE, _BOOLEAN, _INTEGER, _BIT_STRING, _OID = 0x30, 0x01, 0x02, 0x03, 0x06
_PEM_BLOCK = rb"-----BEGIN ([A-Z0-9 ]+)-----\s(.*?)-----END \1-----"
_EXTENSIONS = 0xA3
_BASIC_CONSTRAINTS, _KEY_USAGE = bytes.fromhex("551d13"), bytes.fromhex("551d0f")
_DIGITAL_SIGNATURE, _CERT_SIGN, _CRL_SIGN = 0, 5, 6
"""Bits of KeyUsage, counted from the first."""


class CertificateError(ValueError):
    """These bytes are not what they should be; the text says what was found."""


def split(der: bytes) -> list[bytes]:
    """Certificates that follow one another without anything between, as the Workload API carries them."""
    found = []
    while der:
        tag, _, end = _element(der, 0)
        if tag != _SEQUENCE:
            raise CertificateError(f"a certificate begins with 0x30, this with 0x{tag:02x}")
        found.append(der[:end])
        der = der[end:]
    return found


def check_leaf(der: bytes) -> None:
    """Raise CertificateError unless any client would take it for the first of an SVID's chain."""
    extensions = _extensions(der)
    authority, usage = _basic_constraints(extensions), _key_usage(extensions)
    if authority:
        raise CertificateError("the leaf says that it is an authority")
    if not _bit(usage, _DIGITAL_SIGNATURE) or _bit(usage, _CERT_SIGN) or _bit(usage, _CRL_SIGN):
        raise CertificateError("the leaf's KeyUsage is not that of an SVID")


def check_authority(der: bytes) -> None:
    """The same for the certificates after the leaf."""
    extensions = _extensions(der)
    if not _basic_constraints(extensions):
        raise CertificateError("a certificate after the leaf is no authority")
    if not _bit(_key_usage(extensions), _CERT_SIGN):
        raise CertificateError("a certificate after the leaf may not sign certificates")


def to_pem(der: bytes, label: str = "CERTIFICATE") -> bytes:
    """One PEM block (RFC 7468)."""
    text = b64encode(der).decode()
    lines = [text[at : at + 64] for at in range(0, len(text), 64)]
    return "\n".join([f"-----BEGIN {label}-----", *lines, f"-----END {label}-----", ""]).encode()


def from_pem(text: bytes) -> list[tuple[str, bytes]]:
    """Label and content of each block; what stands between blocks is commentary."""
    blocks = []
    for label, body in re.findall(_PEM_BLOCK, text, re.DOTALL):
        try:
            blocks.append((label.decode(), b64decode(b"".join(body.split()), validate=True)))
        except ValueError as error:
            raise CertificateError(f"a {label.decode()} block is not base64: {error}") from None
    return blocks


def _extensions(der: bytes) -> dict[bytes, bytes]:
    """Value of each extension by its object identifier."""
    (tbs, *_) = _children(der, *_inside(der, 0, _SEQUENCE))
    found: dict[bytes, bytes] = {}
    for tag, start, end in _children(der, tbs[1], tbs[2]):
        if tag != _EXTENSIONS:
            continue
        for _, first, last in _children(der, *_inside(der, start, _SEQUENCE)):
            parts = list(_children(der, first, last))
            if len(parts) < 2 or parts[0][0] != _OID:
                raise CertificateError("an extension has no identifier or no value")
            found[der[parts[0][1] : parts[0][2]]] = der[parts[-1][1] : parts[-1][2]]
        if end != tbs[2]:
            raise CertificateError("something follows the extensions")
    return found


def _basic_constraints(extensions: dict[bytes, bytes]) -> bool:
    value = extensions.get(_BASIC_CONSTRAINTS)
    if value is None:
        raise CertificateError("it has no BasicConstraints, which py-spiffe wants")
    parts = list(_children(value, *_inside(value, 0, _SEQUENCE)))
    return bool(parts) and parts[0][0] == _BOOLEAN and value[parts[0][1]] != 0


def _key_usage(extensions: dict[bytes, bytes]) -> bytes:
    value = extensions.get(_KEY_USAGE)
    if value is None:
        raise CertificateError("it has no KeyUsage")
    start, end = _inside(value, 0, _BIT_STRING)
    return value[start + 1 : end]


def _bit(bits: bytes, number: int) -> bool:
    return number // 8 < len(bits) and bool(bits[number // 8] & (0x80 >> number % 8))


def _inside(data: bytes, at: int, tag: int) -> tuple[int, int]:
    found, start, end = _element(data, at)
    if found != tag:
        raise CertificateError(f"expected DER element 0x{tag:02x}, found 0x{found:02x}")
    return start, end


def _children(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    while start < end:
        tag, first, last = _element(data, start)
        if last > end:
            raise CertificateError("an element is longer than what holds it")
        yield tag, first, last
        start = last


def _element(data: bytes, at: int) -> tuple[int, int, int]:
    """Tag, start and end of the content of the element at this place."""
    try:
        tag, length, at = data[at], data[at + 1], at + 2
        if length & 0x80:
            size = length & 0x7F
            if not 1 <= size <= 3:
                raise CertificateError("a length is written as DER does not")
            length, at = int.from_bytes(data[at : at + size], "big"), at + size
    except IndexError:
        raise CertificateError("it is cut off") from None
    if at + length > len(data):
        raise CertificateError("it is cut off")
    return tag, at, at + length
