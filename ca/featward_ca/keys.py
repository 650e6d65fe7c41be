"""Where the authorities' private keys live, and the key that encrypts them at rest.

`KeyStore` is the seam for an HSM or a KMS: it makes a key, hands out its public half, and signs
nothing but what the linter has agreed to. The one implementation here keeps PKCS #8 in the store,
encrypted under a key-encryption key that comes from outside of the data directory, so that a copy
of that directory (a backup, a lost disk) signs nothing.
"""

import base64
import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from featward_ca.builder import name
from featward_ca.errors import KeyEncryptionError, LintError
from featward_ca.linter import Linted
from featward_ca.profile import SubjectName
from featward_ca.requests import spki_sha256
from featward_engine import IssuingError, PreparedLeaves, SigningKey

KEK_VARIABLE = "FEATWARD_CA_KEK"
# 32 bytes of base64: a key-encryption key is random, not a password that somebody can remember.
_SHORTEST_KEK = 32


class KeyStore(Protocol):
    """Makes and holds authority keys; a key never leaves it."""

    def create(self) -> tuple[ec.EllipticCurvePublicKey, bytes]:
        """Make a P-256 key: its public half, and what the store keeps so that `load` finds it
        again.
        """
        ...

    def load(self, kept: bytes) -> ec.EllipticCurvePublicKey:
        """Make a kept key usable for signing. Raises KeyEncryptionError."""
        ...

    def request(self, kept: bytes, subject: SubjectName) -> bytes:
        """A certificate request (PKCS #10, DER) for a kept key, to be signed on another machine.
        Raises KeyEncryptionError.
        """
        ...

    def sign(self, signer: ec.EllipticCurvePublicKey, linted: Linted) -> bytes:
        """The ECDSA signature over what was linted, by the key whose public half is `signer`."""
        ...

    def sign_leaves(
        self, signer: ec.EllipticCurvePublicKey, prepared: PreparedLeaves
    ) -> list[bytes]:
        """The certificates (DER) of a batch that the engine has checked for this signer, each
        verified. Raises LintError.
        """
        ...


class EncryptedKeyStore:
    """Keys in this process's memory, and encrypted PKCS #8 at rest."""

    def __init__(self, kek: bytes) -> None:
        self._kek = kek
        # By SPKI SHA-256: for what Python signs, and for what the engine does.
        self._keys: dict[bytes, ec.EllipticCurvePrivateKey] = {}
        self._leaf_keys: dict[bytes, SigningKey] = {}

    def create(self) -> tuple[ec.EllipticCurvePublicKey, bytes]:
        key = ec.generate_private_key(ec.SECP256R1())
        return self._keep(key), _encrypted(key, self._kek)

    def load(self, kept: bytes) -> ec.EllipticCurvePublicKey:
        return self._keep(_opened(kept, self._kek))

    def request(self, kept: bytes, subject: SubjectName) -> bytes:
        key = self._keys[spki_sha256(self.load(kept))]
        request = x509.CertificateSigningRequestBuilder().subject_name(name(subject))
        return request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)

    def sign(self, signer: ec.EllipticCurvePublicKey, linted: Linted) -> bytes:
        return self._keys[spki_sha256(signer)].sign(
            linted.redeem(signer), ec.ECDSA(hashes.SHA256())
        )

    def sign_leaves(
        self, signer: ec.EllipticCurvePublicKey, prepared: PreparedLeaves
    ) -> list[bytes]:
        digest = spki_sha256(signer)
        if digest not in self._leaf_keys:
            self._leaf_keys[digest] = SigningKey(_pkcs8(self._keys[digest]))
        try:
            return self._leaf_keys[digest].sign_leaves(prepared)
        except IssuingError as error:
            raise LintError(str(error)) from error

    def _keep(self, key: ec.EllipticCurvePrivateKey) -> ec.EllipticCurvePublicKey:
        public = key.public_key()
        self._keys[spki_sha256(public)] = key
        return public


def _pkcs8(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The key as the engine takes it; it stays in this process."""
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def reencrypted(kept: bytes, old: bytes, new: bytes) -> bytes:
    """A kept key under another key-encryption key. Raises KeyEncryptionError."""
    return _encrypted(_opened(kept, old), new)


def _opened(kept: bytes, kek: bytes) -> ec.EllipticCurvePrivateKey:
    try:
        key = serialization.load_der_private_key(kept, kek)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise KeyEncryptionError(
            "the key-encryption key does not open the keys in the store; give the one with which the"
            " CA was first started or, if it is lost: featward ca recover kek --lost"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise KeyEncryptionError(
            "a key in the store is no ECDSA key; restore a backup: featward ca restore"
        )
    return key


def _encrypted(key: ec.EllipticCurvePrivateKey, kek: bytes) -> bytes:
    return key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(kek),
    )


def key_encryption_key(
    file: Path | None, data: Path, *, first_start: bool, environ: Mapping[str, str] = os.environ
) -> tuple[bytes, bool]:
    """The key-encryption key, and whether it was made just now (only at a first start, for a
    missing file).
    """
    if file is None:
        return _from_environment(environ), False
    if file.absolute().resolve().is_relative_to(data.absolute().resolve()):
        raise KeyEncryptionError(
            f"the key-encryption key {file} is inside of the data directory {data}, where a copy of"
            " the directory would hold it too; keep it elsewhere"
        )
    return key_in(file, make=first_start)


def key_in(file: Path, *, make: bool) -> tuple[bytes, bool]:
    """The key-encryption key in a file, and whether it was made just now, which `make` allows where
    there is none. Raises KeyEncryptionError.
    """
    if make and not file.exists():
        return _create(file), True
    return _read(file), False


def _from_environment(environ: Mapping[str, str]) -> bytes:
    kek = environ.get(KEK_VARIABLE, "").strip()
    if not kek:
        raise KeyEncryptionError(
            "there is no key-encryption key: name a file with --kek-file (it is made at the first"
            f" start) or set {KEK_VARIABLE}"
        )
    return long_enough(kek.encode(), KEK_VARIABLE)


def new_kek() -> bytes:
    """A key-encryption key that nobody has."""
    return base64.b64encode(secrets.token_bytes(32))


def _create(file: Path) -> bytes:
    if not file.parent.is_dir():
        # Made here, a mistyped path would hold the one copy of the key, where nobody looks for it.
        raise KeyEncryptionError(
            f"there is no folder {file.parent} for the key-encryption key {file.name}; correct the"
            f" path, or make the folder first: mkdir -m 700 {file.parent}"
        )
    kek = new_kek()
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as target:
            target.write(kek + b"\n")
            target.flush()
            os.fsync(target.fileno())
    except OSError as error:
        raise KeyEncryptionError(
            f"the key-encryption key {file} can't be written: {error.strerror}"
        ) from error
    return kek


def _read(file: Path) -> bytes:
    try:
        mode = file.stat().st_mode
        text = file.read_bytes()
    except OSError as error:
        raise KeyEncryptionError(
            f"the key-encryption key {file} can't be read ({error.strerror}); without it the stored"
            " keys stay shut, so bring it back from where you keep its copy"
        ) from error
    if not stat.S_ISREG(mode) or mode & 0o077:
        raise KeyEncryptionError(
            f"the key-encryption key {file} must be a file that its owner alone can read: chmod 600"
        )
    return long_enough(text.strip(), str(file))


def long_enough(kek: bytes, source: str) -> bytes:
    """The same key, unless it is no key. Raises KeyEncryptionError."""
    if len(kek) < _SHORTEST_KEK:
        raise KeyEncryptionError(
            f"the key-encryption key in {source} has {len(kek)} characters, fewer than"
            f" {_SHORTEST_KEK}; use random bytes in base64: openssl rand -base64 32"
        )
    return kek
