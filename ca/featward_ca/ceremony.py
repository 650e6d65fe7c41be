"""The ceremony of an offline root: one YAML file says one step, and every output is linted.

`root` and `sign` need nothing but the files that they name, so they run on a machine without a
network; `request` and `import` speak to the running CA. Nothing that exists is written over.
"""

import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Literal

import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from featward.manifests.text import seconds
from featward_ca import reading
from featward_ca.builder import name
from featward_ca.errors import CaError, MalformedRequestError
from featward_ca.issuance import Issuance, Signer, new_serial
from featward_ca.keys import EncryptedKeyStore, key_encryption_key
from featward_ca.profile import Order, Purpose, SubjectName
from featward_ca.requests import CSR_BYTES, authority_id, check_key, public_key_of
from featward_ca.rotation.known import ROOT
from featward_ca.settings import BACKDATE


class CeremonyError(CaError):
    """A step of the ceremony was not done; the text says why."""


class _Step(BaseModel):
    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, alias_generator=to_camel, populate_by_name=True
    )


class RootStep(_Step):
    """Make a root's key and certificate, on the machine that keeps them."""

    kind: Literal["root"]
    trust_domain: str
    lifetime: str
    key_encryption_key: str
    key: str
    certificate: str


class RequestStep(_Step):
    """Ask the CA for the requests that wait, one file each."""

    kind: Literal["request"]
    admin_socket: str
    requests: str


class SignStep(_Step):
    """Sign requests with the offline root."""

    kind: Literal["sign"]
    key_encryption_key: str
    key: str
    certificate: str
    lifetime: str
    requests: str
    certificates: str


class ImportStep(_Step):
    """Give the CA what was signed, and a new root if there is one."""

    kind: Literal["import"]
    admin_socket: str
    certificates: str | None = None
    root: str | None = None


Step = RootStep | RequestStep | SignStep | ImportStep
_STEPS: TypeAdapter[Step] = TypeAdapter(Annotated[Step, Field(discriminator="kind")])


def read(file: Path) -> Step:
    """The step that a file describes; its paths are relative to the file. Raises CeremonyError."""
    try:
        return _STEPS.validate_python(yaml.safe_load(file.read_text()))
    except (OSError, yaml.YAMLError) as error:
        raise CeremonyError(f"{file} can't be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise CeremonyError(f"{file}: {where}: {first['msg']}") from error


def make_root(step: RootStep, folder: Path) -> list[Path]:
    """A key that only the key-encryption key opens, and a certificate. Raises CeremonyError."""
    key_file, certificate_file = folder / step.key, folder / step.certificate
    _refuse_existing([key_file, certificate_file])
    keys = _keys(folder / step.key_encryption_key, key_file.parent, make=True)
    public, kept = keys.create()
    now = int(time.time())
    order = Order(
        purpose=Purpose.ROOT,
        public_key=public,
        serial=new_serial(),
        not_before=now - int(BACKDATE),
        not_after=now + _seconds(step.lifetime),
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
    keys = _keys(folder / step.key_encryption_key, (folder / step.key).parent, make=False)
    try:
        public = keys.load((folder / step.key).read_bytes())
    except OSError as error:
        raise CeremonyError(f"the root's key can't be read: {error}") from error
    if public != root.public_key():
        raise CeremonyError(f"{step.key} is not the key of {step.certificate}")
    issuance, out = Issuance(keys), folder / step.certificates
    made: dict[Path, bytes] = {}
    for file in files(folder / step.requests, ".csr"):
        order = _order(file, root, _seconds(step.lifetime))
        certificate = issuance.sign(issuance.prepare(order, Signer(root, public)))
        made[out / f"{file.stem}.pem"] = certificate.public_bytes(Encoding.PEM)
    _refuse_existing(made)
    for target, content in made.items():
        write(target, content, 0o644)
    return list(made)


def _order(file: Path, root: x509.Certificate, lifetime: int) -> Order:
    """What a request asks for: its key, and the owner that its subject names."""
    raw = file.read_bytes()
    if len(raw) > 2 * CSR_BYTES:
        raise CeremonyError(f"{file} is too large for a certificate request")
    try:
        request = reading.request(raw)
    except MalformedRequestError as error:
        raise CeremonyError(f"{file} is no certificate request in PEM") from error
    public = public_key_of(request.public_bytes(Encoding.DER))
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
    try:
        certificate = reading.certificate(file.read_bytes())
        check_key(certificate.public_key())
    except (OSError, MalformedRequestError) as error:
        raise CeremonyError(f"{file} is no readable certificate: {error}") from error
    return certificate


def files(folder: Path, suffix: str) -> list[Path]:
    """The files of one kind in a folder. Raises CeremonyError when there are none."""
    found = sorted(folder.glob(f"*{suffix}")) if folder.is_dir() else []
    if not found:
        raise CeremonyError(f"there is no *{suffix} in {folder}")
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


def _keys(kek_file: Path, beside: Path, *, make: bool) -> EncryptedKeyStore:
    opened: Callable[..., tuple[bytes, bool]] = key_encryption_key
    # Files of a ceremony lie together on one medium; a data folder is what the rule is about.
    kek, _ = opened(kek_file, beside / ".no-data-folder", first_start=make)
    return EncryptedKeyStore(kek)


def _seconds(text: str) -> int:
    if not (found := seconds(text)):
        raise CeremonyError(f"{text!r} is no duration; write 90d or 3650d")
    return int(found)
