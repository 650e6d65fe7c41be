"""Certificate requests: the engine's reader, which strangers reach, and Python's, for the few keys of
a ceremony.

The first byte says how the rest is used: as a whole request, or as the part of one that is signed,
which is then signed with its key, so that what comes after the signature is reached as well. The two
readers may differ in what they refuse (Python's looks at names, which the engine leaves alone).
"""

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from featward_ca.errors import MalformedRequestError
from featward_ca.requests import Key, keys_of, public_key_of, spki

_KEY = ec.derive_private_key(0xFEA7, ec.SECP256R1())
_SPKI = _KEY.public_key().public_bytes(
    serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
)
# ecdsa-with-SHA256
_ALGORITHM = bytes.fromhex("300a06082a8648ce3d040302")
_HASHES = {b"\x02": hashes.SHA256(), b"\x03": hashes.SHA384(), b"\x04": hashes.SHA512()}


def one(data: bytes) -> None:
    """Both refuse with MalformedRequestError, or take a key that has signed the request."""
    request = _signed(data[1:]) if data[:1] == b"\x01" else data[1:]
    taken = _by_engine(request)
    if taken is not None:
        _check_proof(request, taken)
    try:
        read = public_key_of(request)
    except MalformedRequestError:
        return
    assert taken is None or taken.spki == spki(read), "the two have read different keys"


def _by_engine(request: bytes) -> Key | None:
    try:
        (key,) = keys_of([request])
    except MalformedRequestError:
        return None
    return key


def _check_proof(request: bytes, key: Key) -> None:
    """Raise unless the request holds the key and is signed by it, as far as can be seen without
    either of the readers.
    """
    content, rest = _split(request)
    assert not rest
    _, after = _split(content)
    info = content[: len(content) - len(after)]
    algorithm, signature = _split(after)
    public = serialization.load_der_public_key(key.spki)
    assert isinstance(public, ec.EllipticCurvePublicKey)
    assert key.spki in info
    public.verify(_split(signature)[0][1:], info, ec.ECDSA(_HASHES[algorithm[-1:]]))


def _signed(to_sign: bytes) -> bytes:
    info = _der(0x30, to_sign.replace(b"KEY", _SPKI))
    signature = _KEY.sign(info, ec.ECDSA(hashes.SHA256()))
    return _der(0x30, info + _ALGORITHM + _der(0x03, b"\0" + signature))


def _der(tag: int, content: bytes) -> bytes:
    if len(content) < 0x80:
        return bytes([tag, len(content)]) + content
    length = len(content).to_bytes((len(content).bit_length() + 7) // 8, "big")
    return bytes([tag, 0x80 | len(length)]) + length + content


def _split(der: bytes) -> tuple[bytes, bytes]:
    """The content of the first value, and what follows it."""
    start, length = 2, der[1]
    if length & 0x80:
        start += length & 0x7F
        length = int.from_bytes(der[2:start], "big")
    return der[start : start + length], der[start + length :]
