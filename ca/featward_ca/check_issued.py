"""Checks what a CA has stored, in a process of its own and without writing: every certificate again
by the rules, and every signature by its rows in the audit table.

It uses the Python linter, which shares nothing with the engine that made the leaves. What an intact
store never holds is a finding: a certificate that breaks a rule or that nobody intended, an intent
that nothing came of, an outcome without intent.
"""

import dataclasses
import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from featward.errors import SpiffeIdError
from featward.identity.spiffe import SpiffeId
from featward_ca import linter, reading
from featward_ca.errors import LintError, MalformedRequestError, StoreError
from featward_ca.profile import Order, Purpose, SubjectName
from featward_ca.requests import spki_sha256
from featward_ca.rotation.known import ROOT
from featward_ca.serials import serial_text
from featward_ca.store import audit, authority_rows, svids
from featward_ca.store.audit import Entry, Outcome
from featward_ca.store.authority_rows import AuthorityRow
from featward_ca.store.read_only import damage
from featward_ca.store.store import Connection
from featward_ca.store.svids import SvidRow

# How long a signature may be between its intent and its outcome while the CA runs.
_UNDER_WAY_SECONDS = 60.0


@dataclass(frozen=True)
class Finding:
    """One thing that an intact store does not hold."""

    code: str
    subject: str
    text: str


@dataclass(frozen=True)
class Checked:
    """How much was looked at, and what was found."""

    certificates: int
    rows: int
    findings: list[Finding] = field(default_factory=list)

    def as_json(self) -> str:
        """All of it."""
        return json.dumps(dataclasses.asdict(self), indent=2)


def check(connection: Connection, others: Iterable[Path] = (), now: float | None = None) -> Checked:
    """Check all that is stored, and that the certificates in these files are on record. Raises
    StoreError for a file that can't be read.
    """
    moment = time.time() if now is None else now
    found = [
        Finding("damaged", "the store", f"{one}; stop the CA and restore a backup")
        for one in damage(connection)
    ]
    entries = audit.entries(connection)
    record = _Record.of(entries)
    authorities = {row.id: row for row in authority_rows.every(connection)}
    stored = svids.every(connection)
    found += _audit(entries, moment)
    for authority in authorities.values():
        found += _authority(authority, authorities, record)
    for row in stored:
        found += _svid(row, authorities, record)
    found += [finding for file in others for finding in _elsewhere(file, record)]
    certificates = [row.certificate for row in authorities.values()]
    certificates += [row.certificate for row in stored]
    made = sum(certificate is not None for certificate in certificates)
    return Checked(made, len(entries), found)


@dataclass(frozen=True)
class _Record:
    """The rows of the audit table, by serial number."""

    by_serial: Mapping[str, Sequence[Entry]]

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> "_Record":
        by_serial: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            if entry.serial and entry.tbs_sha256:
                by_serial[entry.serial].append(entry)
        return cls(by_serial)

    def look(self, certificate: x509.Certificate, subject: str) -> Iterator[Finding]:
        """A certificate has an intent and an outcome, both over its very bytes; or it was imported,
        and the row of that is over them.
        """
        rows = self.by_serial.get(serial_text(certificate.serial_number), ())
        tbs = hashlib.sha256(certificate.tbs_certificate_bytes).hexdigest()
        if any(row.tbs_sha256 != tbs for row in rows):
            yield Finding("other-bytes", subject, "the audit table holds the digest of other bytes")
        said = {row.outcome for row in rows}
        if Outcome.IMPORTED not in said and not {Outcome.INTENT, Outcome.SIGNED} <= said:
            yield Finding("not-on-record", subject, "its intent or its outcome was never written")


def _audit(entries: Iterable[Entry], now: float) -> Iterator[Finding]:
    """Each signature of this CA has one intent and one outcome."""
    by_signature: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in entries:
        if entry.serial and entry.tbs_sha256 and entry.outcome is not Outcome.IMPORTED:
            by_signature[entry.request, entry.serial].append(entry)
    for (_, serial), rows in by_signature.items():
        outcomes = [row.outcome for row in rows if row.outcome is not Outcome.INTENT]
        intents = len(rows) - len(outcomes)
        age = now - rows[0].time
        if not outcomes and age > _UNDER_WAY_SECONDS:
            yield Finding("no-outcome", serial, f"nothing came of its intent, {age:.0f} s ago")
        if intents != 1:
            yield Finding("intents", serial, f"it has {intents} intents, expected one")
        if len(outcomes) > 1:
            yield Finding("outcomes", serial, f"it has {len(outcomes)} outcomes, expected one")


def _authority(
    row: AuthorityRow, known: Mapping[str, AuthorityRow], record: _Record
) -> Iterator[Finding]:
    subject = f"authority {row.id}"
    if row.certificate is None:
        return
    certificate = _read(row.certificate)
    above = known.get(row.issuer or "")
    issuer = _read(above.certificate) if above else None
    if certificate is None or (row.owner != ROOT and issuer is None):
        yield Finding("unreadable", subject, "its certificate, or its issuer's, can't be read")
        return
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    order = Order(
        purpose=Purpose.ROOT if row.owner == ROOT else Purpose.AUTHORITY,
        public_key=_key(certificate),
        serial=certificate.serial_number,
        not_before=row.not_before,
        not_after=row.not_after,
        subject=SubjectName(row.owner, str(names[0].value) if names else ""),
    )
    yield from _rules(certificate, order, issuer, None, subject)
    if spki_sha256(order.public_key) != row.spki_sha256:
        yield Finding("other-key", subject, "its key is not the one that was stored")
    yield from record.look(certificate, subject)


def _svid(
    row: SvidRow, authorities: Mapping[str, AuthorityRow], record: _Record
) -> Iterator[Finding]:
    subject = f"{row.spiffe_id} {row.serial}"
    if row.certificate is None:
        # What was not signed is found by its rows.
        return
    certificate = _read(row.certificate)
    authority = authorities[row.authority]
    issuer = _read(authority.certificate)
    if certificate is None or issuer is None:
        yield Finding("unreadable", subject, "its certificate, or its issuer's, can't be read")
        return
    try:
        spiffe_id = SpiffeId.parse(row.spiffe_id)
    except SpiffeIdError as error:
        yield Finding("spiffe-id", subject, str(error))
        return
    order = Order(
        purpose=Purpose.SVID,
        public_key=_key(certificate),
        serial=int(row.serial, 16),
        not_before=row.not_before,
        not_after=row.not_after,
        spiffe_id=spiffe_id,
    )
    yield from _rules(certificate, order, issuer, authority.path_prefix, subject)
    if spki_sha256(order.public_key) != row.spki_sha256:
        yield Finding("other-key", subject, "its key is not the one that was asked for")
    yield from record.look(certificate, subject)


def _rules(
    certificate: x509.Certificate,
    order: Order,
    issuer: x509.Certificate | None,
    scope: str | None,
    subject: str,
) -> Iterator[Finding]:
    try:
        linter.lint(certificate, order, issuer, scope)
    except LintError as error:
        yield Finding("lint", subject, str(error))
    try:
        certificate.verify_directly_issued_by(issuer or certificate)
    except (InvalidSignature, ValueError, TypeError):
        yield Finding("signature", subject, "its signature is not its authority's")


def _elsewhere(file: Path, record: _Record) -> Iterator[Finding]:
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise StoreError(f"the certificate {file} can't be read: {error.strerror}") from error
    certificate = _read(raw)
    if certificate is None:
        yield Finding("unreadable", str(file), "it is no certificate in PEM or DER")
    else:
        yield from record.look(certificate, str(file))


def _read(raw: bytes | None) -> x509.Certificate | None:
    try:
        return reading.certificate(raw or b"")
    except MalformedRequestError:
        return None


def _key(certificate: x509.Certificate) -> ec.EllipticCurvePublicKey:
    """The linter says what is wrong with a key of another kind; until then any stands for it."""
    key = certificate.public_key()
    if isinstance(key, ec.EllipticCurvePublicKey):
        return key
    return ec.generate_private_key(ec.SECP256R1()).public_key()
