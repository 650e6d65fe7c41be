"""The ceremony of an offline root: one YAML file says one step, and every output is linted.

`root` and `sign` need nothing but the files that they name, so they run on a machine without a
network; `request` and `import` speak to the running CA. Nothing that exists is written over.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from featward.manifests.text import seconds
from featward_ca import reading
from featward_ca.builder import name
from featward_ca.ceremony_steps import CeremonyError, RootStep, SignStep
from featward_ca.errors import MalformedRequestError
from featward_ca.issuance import Issuance, Signer, new_serial
from featward_ca.keys import EncryptedKeyStore, key_in
from featward_ca.profile import Order, Purpose, SubjectName
from featward_ca.requests import CSR_BYTES, authority_id, check_key, public_key_of
from featward_ca.rotation.known import ROOT
from featward_ca.settings import BACKDATE


def make_root(step: RootStep, folder: Path) -> list[Path]:
    """A key that only the key-encryption key opens, and a certificate. Raises CeremonyError."""
    key_file, certificate_file = folder / step.key, folder / step.certificate
    _refuse_existing([key_file, certificate_file])
    keys = EncryptedKeyStore(key_in(folder / step.key_encryption_key, make=True)[0])
    public, kept = keys.create()
    now = int(time.time())
    order = Order(
        purpose=Purpose.ROOT,
        public_key=public,
        serial=new_serial(),
        not_before=now - int(BACKDATE),
        not_after=now + seconds(step.lifetime),
        subject=SubjectName(ROOT, step.trust_domain),
    )
    issuance = Issuance(keys)
    certificate = issuance.sign(issuance.prepare(order, Signer(None, public)))
    write(key_file, kept, 0o600)
    write(certificate_file, certificate.public_bytes(Encoding.PEM), 0o644)
    return [key_file, certificate_file]


def sign(step: SignStep, folder: Path) -> list[Path]:
    """A certificate for each request. Raises CeremonyError with nothing written."""
    root = certificate_of(folder / step.certificate)
    keys = EncryptedKeyStore(key_in(folder / step.key_encryption_key, make=False)[0])
    public = keys.load(_content(folder / step.key))
    if public != root.public_key():
        raise CeremonyError(f"{step.key} is not the key of {step.certificate}")
    issuance, out = Issuance(keys), folder / step.certificates
    made: dict[Path, bytes] = {}
    for file in files(folder / step.requests, ".csr"):
        order = _order(file, root, seconds(step.lifetime))
        certificate = issuance.sign(issuance.prepare(order, Signer(root, public)))
        made[out / f"{file.stem}.pem"] = certificate.public_bytes(Encoding.PEM)
    _refuse_existing(made)
    for target, content in made.items():
        write(target, content, 0o644)
    return list(made)


def _order(file: Path, root: x509.Certificate, lifetime: int) -> Order:
    """What a request asks for: its key, and the owner that its subject names."""
    raw = _content(file)
    if len(raw) > 2 * CSR_BYTES:
        raise CeremonyError(f"{file} is too large for a certificate request")
    try:
        request = reading.request(raw)
    except MalformedRequestError as error:
        raise CeremonyError(f"{file} is no certificate request in PEM") from error
    try:
        public = public_key_of(request.public_bytes(Encoding.DER))
    except MalformedRequestError as error:
        raise CeremonyError(f"{file}: {error}") from error
    units = request.subject.get_attributes_for_oid(x509.NameOID.ORGANIZATIONAL_UNIT_NAME)
    subject = SubjectName(str(units[0].value) if units else "", authority_id(public))
    if request.subject != name(subject) or subject.owner == ROOT:
        raise CeremonyError(
            f"{file} asks for {request.subject.rfc4514_string() or 'an empty subject'}; a request"
            " of the CA names its owner and the beginning of its key's digest"
        )
    now = int(time.time())
    start = int(root.not_valid_before_utc.timestamp())
    return Order(
        purpose=Purpose.AUTHORITY,
        public_key=public,
        serial=new_serial(),
        not_before=max(now - int(BACKDATE), start),
        not_after=now + lifetime,
        subject=subject,
    )


def certificate_of(file: Path) -> x509.Certificate:
    """One certificate in PEM. Raises CeremonyError."""
    raw = _content(file)
    try:
        certificate = reading.certificate(raw)
        check_key(certificate.public_key())
    except MalformedRequestError as error:
        raise CeremonyError(f"{file} is no readable certificate: {error}") from error
    return certificate


def files(folder: Path, suffix: str) -> list[Path]:
    """The files of one kind in a folder. Raises CeremonyError when there are none."""
    found = sorted(folder.glob(f"*{suffix}")) if folder.is_dir() else []
    if not found:
        raise CeremonyError(
            f"there is no *{suffix} in {folder}; the paths in a step are relative to the step's own"
            " file: correct the one that names this folder, or fill it with what the step before wrote"
        )
    return found


def write(file: Path, content: bytes, mode: int) -> None:
    """Write a file that does not exist yet. Raises CeremonyError."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as target:
            target.write(content)
            target.flush()
            os.fsync(target.fileno())
    except OSError as error:
        raise CeremonyError(f"{file} can't be written: {error.strerror}") from error


def _refuse_existing(targets: Iterable[Path]) -> None:
    for target in targets:
        if target.exists():
            raise CeremonyError(f"{target} exists already; nothing is written over")


def _content(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise CeremonyError(
            f"{file} can't be read: {error.strerror}; the paths in a step are relative to the step's"
            " own file: correct the one that names this"
        ) from error
