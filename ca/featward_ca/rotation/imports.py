"""The CA's side of an offline root: what waits for its signature, and the certificates that come back.

Nothing is taken at its word: a certificate is linted as if it were made here, its key has to be one
that waits (or, for a root, its own signature has to hold), and the root has to be one that is
announced.
"""

from hashlib import sha256

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from featward_ca import linter, reading
from featward_ca.builder import name
from featward_ca.clock import readable
from featward_ca.core import Core
from featward_ca.errors import IllegalTransitionError, LintError, MalformedRequestError
from featward_ca.profile import Order, Purpose, SubjectName
from featward_ca.requests import authority_id, check_key, spki_sha256
from featward_ca.rotation.actions import By
from featward_ca.rotation.known import ROOT
from featward_ca.rotation.making import announce
from featward_ca.rotation.states import State
from featward_ca.serials import serial_text
from featward_ca.store import audit, authority_rows
from featward_ca.store.audit import Entry, Outcome
from featward_ca.store.authority_rows import AuthorityRow
from featward_ca.store.store import Connection

# A certificate of an authority has some 600 bytes.
_LARGEST = 8192


async def pending(core: Core) -> list[tuple[AuthorityRow, bytes]]:
    """The authorities that wait for a signature, each with its certificate request."""
    rows = await core.store.read(lambda c: authority_rows.of_state(c, State.REQUESTED))
    return [
        (row, core.keys.request(row.key, SubjectName(row.owner, row.id)))
        for row in rows
        if row.key is not None and row.owner != ROOT
    ]


async def take_in(core: Core, certificates: list[bytes], root: bytes, by: By) -> list[AuthorityRow]:
    """Announce a root whose key is elsewhere, and the authorities that one has signed. Raises
    MalformedRequestError, with nothing changed by the one that is refused.
    """
    taken: list[str] = []
    if root:
        certificate = _read(root)
        found = _checked(
            certificate, None, Purpose.ROOT, SubjectName(ROOT, core.terms.trust_domain)
        )
        _check_end(certificate, core.clock.now())
        entry = _entry(core, certificate, authority_id(found), None, by)
        await core.store.exclusive(lambda c: _add_root(c, certificate, root, found, entry))
        await core.authorities.load()
        taken.append(authority_id(found))
    for one in certificates:
        taken.append(await _take_in(core, one, by))
    await core.settle()
    rows = await core.store.read(lambda c: [authority_rows.find(c, one) for one in taken])
    return [row for row in rows if row is not None]


async def _take_in(core: Core, raw: bytes, by: By) -> str:
    certificate = _read(raw)
    named = authority_id(check_key(certificate.public_key()))
    row = await core.store.read(lambda c: authority_rows.find(c, named))
    if row is None or row.state is not State.REQUESTED:
        raise MalformedRequestError(
            f"nobody waits for the certificate of the key {named}; featward ca authority list"
        )
    issuer = _issuer(core, certificate)
    signer = x509.load_der_x509_certificate(issuer.der)
    _checked(certificate, signer, Purpose.AUTHORITY, SubjectName(row.owner, row.id))
    _check_end(certificate, core.clock.now())
    entry = _entry(core, certificate, named, issuer.id, by)

    def work(connection: Connection) -> None:
        announce(connection, named, raw, issuer.id, entry.time, _validity(certificate))
        audit.append(connection, entry)

    await core.store.exclusive(work)
    return named


def _check_end(certificate: x509.Certificate, now: float) -> None:
    end = certificate.not_valid_after_utc.timestamp()
    if end <= now:
        raise MalformedRequestError(
            f"the certificate of {certificate.subject.rfc4514_string()} ended {readable(end)}, and it"
            f" is {readable(now)}; make another, or set the clock that is wrong"
        )


def _entry(
    core: Core, certificate: x509.Certificate, named: str, issuer: str | None, by: By
) -> Entry:
    """The row that is for this certificate what intent and outcome are for our own. `issuer` is
    None for a root, which signs itself.
    """
    return Entry(
        time=core.clock.now(),
        replica=core.store.replica,
        request=by.request,
        kind="import-authority",
        caller=by.who,
        outcome=Outcome.IMPORTED,
        profile=Purpose.AUTHORITY if issuer else Purpose.ROOT,
        subject=f"authority {named}",
        serial=serial_text(certificate.serial_number),
        authority=issuer or named,
        tbs_sha256=sha256(certificate.tbs_certificate_bytes).hexdigest(),
    )


def _add_root(
    connection: Connection,
    certificate: x509.Certificate,
    raw: bytes,
    key: ec.EllipticCurvePublicKey,
    entry: Entry,
) -> None:
    """A root without its key: announced, and used by nobody until it is activated."""
    if any(
        row.owner == ROOT
        for row in authority_rows.of_state(connection, State.REQUESTED, State.PREPARED)
    ):
        raise IllegalTransitionError(
            "another root is prepared already; cancel it first: featward ca authority cancel root"
        )
    if authority_rows.find(connection, authority_id(key)):
        raise IllegalTransitionError("this root was imported before")
    validity = _validity(certificate)
    row = AuthorityRow(
        id=authority_id(key),
        owner=ROOT,
        generation=authority_rows.next_generation(connection, ROOT),
        issuer=None,
        state=State.REQUESTED,
        certificate=None,
        spki_sha256=spki_sha256(key),
        path_prefix=None,
        not_before=validity["not_before"],
        not_after=validity["not_after"],
    )
    authority_rows.add(connection, row)
    announce(connection, row.id, raw, None, entry.time, validity)
    audit.append(connection, entry)


def _validity(certificate: x509.Certificate) -> dict[str, int]:
    """The columns of its row."""
    return {
        "not_before": int(certificate.not_valid_before_utc.timestamp()),
        "not_after": int(certificate.not_valid_after_utc.timestamp()),
    }


def _issuer(core: Core, certificate: x509.Certificate) -> AuthorityRow:
    for row in core.authorities.rows:
        if row.owner == ROOT and row.state in (State.PREPARED, State.ACTIVE):
            known = x509.load_der_x509_certificate(row.der)
            if known.subject == certificate.issuer and _names(certificate, known):
                return row
    raise MalformedRequestError(
        "none of our roots has signed this certificate; import its root first"
    )


def _names(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether it says that this key signed it; roots of one environment share their name. That it
    did is checked afterwards.
    """
    try:
        said = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value
    except x509.ExtensionNotFound:
        return False
    own = x509.SubjectKeyIdentifier.from_public_key(issuer.public_key())
    return said.key_identifier == own.digest


def _checked(
    certificate: x509.Certificate,
    issuer: x509.Certificate | None,
    purpose: Purpose,
    subject: SubjectName,
) -> ec.EllipticCurvePublicKey:
    """The key of a certificate that is as ours would be. Raises MalformedRequestError."""
    key = check_key(certificate.public_key())
    if certificate.subject != name(subject):
        raise MalformedRequestError(
            f"the certificate is for {certificate.subject.rfc4514_string()}, not for"
            f" {name(subject).rfc4514_string()}"
        )
    signer = check_key((issuer or certificate).public_key())
    try:
        linted = linter.lint(certificate, order_of(certificate, purpose, subject), issuer, None)
        linter.check_signed(certificate, linted, signer)
    except LintError as error:
        raise MalformedRequestError(f"the certificate is not taken: {error}") from error
    return key


def order_of(certificate: x509.Certificate, purpose: Purpose, subject: SubjectName) -> Order:
    """What somebody must have ordered to get this certificate."""
    return Order(
        purpose=purpose,
        public_key=check_key(certificate.public_key()),
        serial=certificate.serial_number,
        not_before=int(certificate.not_valid_before_utc.timestamp()),
        not_after=int(certificate.not_valid_after_utc.timestamp()),
        subject=subject,
    )


def _read(raw: bytes) -> x509.Certificate:
    if not 0 < len(raw) <= _LARGEST:
        raise MalformedRequestError(f"a certificate has 1 to {_LARGEST} bytes")
    return reading.certificate(raw)
