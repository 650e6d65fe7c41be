"""The certificate that we show to a server that asks for one."""

from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives import serialization

from featward.doctor.certificates import from_pem_file, same_key
from featward.errors import DoctorError

__all__ = ["ClientIdentity", "client_identity"]


@dataclass(frozen=True)
class ClientIdentity:
    """A certificate to show, leaf first, with its key in PKCS #8. DER."""

    chain: tuple[bytes, ...]
    key: bytes = field(repr=False)


def client_identity(certificates: Path, key: Path) -> ClientIdentity:
    """From PEM files. Raises DoctorError, also where the two do not belong together."""
    chain = from_pem_file(certificates)
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), None)
        form, bare = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        der = private.private_bytes(serialization.Encoding.DER, form, bare)
        fits = same_key(chain[0], der)
    except OSError as error:
        raise DoctorError(f"{key} can't be read: {error.strerror or error}") from error
    except (ValueError, TypeError) as error:
        raise DoctorError(f"{key} holds no unencrypted private key in PEM: {error}") from error
    if not fits:
        raise DoctorError(
            f"the key in {key} is not that of the first certificate in {certificates}"
        )
    return ClientIdentity(chain, der)
