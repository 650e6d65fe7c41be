"""The certificate that the webhook shows: each replica makes its own, in memory, and changes it in service.

A connection that is open keeps what it was begun with; the next handshake shows the new one.
"""

import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from featward_operator.certificates.authority import BACKDATED, Authority

__all__ = ["Leaf", "ServingCertificate", "make_leaf"]


@dataclass(frozen=True, slots=True)
class Leaf:
    """What is shown: certificate and key in PEM, and who signed it."""

    certificate: bytes
    key: bytes
    issuer: bytes
    made: float
    ends: float


def make_leaf(authority: Authority, names: Sequence[str], now: float, life: float) -> Leaf:
    """A certificate for these names or addresses, for ``life`` seconds and never past its authority's end."""
    key = ec.generate_private_key(ec.SECP256R1())
    ends = min(now + life, authority.not_after)
    issuer = authority.parsed
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(datetime.fromtimestamp(now, UTC) - timedelta(seconds=BACKDATED))
        .not_valid_after(datetime.fromtimestamp(ends, UTC))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([_name(one) for one in names]), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.signing_key.public_key()),
            critical=False,
        )
    )
    signed = builder.sign(authority.signing_key, hashes.SHA256())
    return Leaf(
        signed.public_bytes(serialization.Encoding.PEM),
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        authority.certificate,
        now,
        ends,
    )


class ServingCertificate:
    """What listeners take as their TLS context; `use` gives it another leaf."""

    def __init__(self, names: Sequence[str], life: float) -> None:
        self._names = tuple(names)
        self.life = life
        self._serving: ssl.SSLContext | None = None
        self.leaf: Leaf | None = None
        self.context = _context()
        self.context.sni_callback = self._choose

    def use(self, authority: Authority, now: float) -> bool:
        """Have a leaf of this authority, a new one where two thirds of the old one's life are over.

        True where a new one was made. Clocks may have been set, so one from the future is replaced as well.
        """
        leaf = self.leaf
        if leaf is not None and leaf.issuer == authority.certificate:
            renew = leaf.made + (leaf.ends - leaf.made) * 2 / 3
            if leaf.made - BACKDATED <= now < renew:
                return False
        fresh = make_leaf(authority, self._names, now, self.life)
        context = _context()
        _load(context, fresh)
        self.leaf, self._serving = fresh, context
        return True

    def _choose(
        self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _: ssl.SSLContext
    ) -> int | None:
        if self._serving is None:
            return ssl.ALERT_DESCRIPTION_INTERNAL_ERROR
        connection.context = self._serving
        return None


def _context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.num_tickets = 0
    # Else the API server would speak HTTP/2, which the server behind does not.
    context.set_alpn_protocols(["http/1.1"])
    return context


def _load(context: ssl.SSLContext, leaf: Leaf) -> None:
    """Python loads keys from files only: one in memory, that nobody else can open."""
    descriptor = os.memfd_create("featward-webhook", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(descriptor), "wb") as file:
            file.write(leaf.certificate + leaf.key)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(text))
    except ValueError:
        return x509.DNSName(text)
