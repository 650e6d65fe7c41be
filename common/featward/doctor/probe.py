"""A TLS handshake with anybody, without judging: what chain it shows, and whether it takes ours.

pyOpenSSL, because Python's `ssl` shows the chain of a server only once it has verified it (before 3.13), and
the engine's TLS goes no further than its verifier lets it. OpenSSL itself bounds the chain at 100 KB.
"""

import select
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL

from featward.doctor.asking import Answer, Http1, Http2, Question
from featward.doctor.certificates import der_of, tidy
from featward.doctor.findings import Finding, note, refusal
from featward.errors import DoctorError

__all__ = ["ClientIdentity", "Probe", "client_identity", "probe"]

ALPN = [b"h2", b"http/1.1"]
SETTLE_SECONDS = 0.3
"""For a server to refuse our certificate before we say a word: a request that is on its way when it closes may
cost us its reason."""

_ASKED_FOR_A_CERTIFICATE = b"read server certificate request"
_T = TypeVar("_T")


@dataclass(frozen=True)
class ClientIdentity:
    """A certificate to show, leaf first, with its key in PKCS #8. DER."""

    chain: tuple[bytes, ...]
    key: bytes = field(repr=False)


@dataclass(frozen=True)
class Probe:
    """What was seen. What a server did not get as far as is None."""

    chain: tuple[bytes, ...] = ()
    version: str | None = None
    cipher: str | None = None
    alpn: str | None = None
    wants_certificate: bool = False
    accepted: bool | None = None
    """Whether it spoke to us after the handshake. None: it said nothing, neither yes nor no."""
    answer: Answer = field(default_factory=Answer)
    asked_at: float = 0.0
    """Our clock, halfway between question and answer."""
    findings: tuple[Finding, ...] = ()


class _LateError(Exception):
    """The far end took too long."""


class _GoneError(Exception):
    """The far end closed, or refused; the text says what it said."""


def probe(host: str, port: int, identity: ClientIdentity | None, seconds: float) -> Probe:
    """Look once, for at most so many seconds in all. Never raises for what the far end does."""
    deadline = time.monotonic() + seconds
    found = _Attempt(host, port, identity, deadline, ALPN).run()
    if any("no application protocol" in each.text for each in found.findings):
        return _Attempt(host, port, identity, deadline, []).run()
    return found


class _Attempt:
    """One connection."""

    def __init__(
        self,
        host: str,
        port: int,
        identity: ClientIdentity | None,
        deadline: float,
        alpn: list[bytes],
    ) -> None:
        self._host, self._port = host, port
        self._identity = identity
        self._deadline = deadline
        self._alpn = alpn
        self._asked = False
        self._seen = Probe()

    def run(self) -> Probe:
        try:
            with socket.create_connection((self._host, self._port), self._left()) as end:
                end.settimeout(0)
                self._socket = end
                self._connection = self._tls(end)
                self._shake()
                if self._seen.version is not None:
                    self._ask()
        except TimeoutError:
            self._find(refusal("unreachable", "no connection in time", _REACH))
        except OSError as error:
            self._find(refusal("unreachable", f"no connection: {_reason(error)}", _REACH))
        return self._seen

    def _left(self) -> float:
        return max(0.01, self._deadline - time.monotonic())

    def _find(self, finding: Finding) -> None:
        self._seen = replace(self._seen, findings=(*self._seen.findings, finding))

    def _tls(self, end: socket.socket) -> SSL.Connection:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        # Nothing is believed here: what is shown is judged afterwards, by the engine.
        context.set_verify(SSL.VERIFY_NONE, lambda *_: True)
        context.set_info_callback(self._note_state)
        if self._alpn:
            context.set_alpn_protos(self._alpn)
        if self._identity is not None:
            _use(context, self._identity)
        connection = SSL.Connection(context, end)
        connection.set_connect_state()
        if not _is_ip(self._host):
            connection.set_tlsext_host_name(self._host.encode("idna"))
        return connection

    def _note_state(self, connection: SSL.Connection, _: int, __: int) -> None:
        self._asked |= _ASKED_FOR_A_CERTIFICATE in connection.get_state_string()

    def _shake(self) -> None:
        try:
            self._step(self._connection.do_handshake, self._deadline)
        except _LateError:
            self._find(
                refusal(
                    "no-answer",
                    "the handshake did not end in time; what was connected to says nothing, or too slowly",
                    "see whether it is overloaded or stopped, and whether this is the right port",
                )
            )
        except _GoneError as gone:
            self._find(_no_handshake(str(gone), self._identity is not None))
        else:
            self._seen = replace(
                self._seen,
                version=self._connection.get_protocol_version_name(),
                cipher=self._connection.get_cipher_name(),
                alpn=self._connection.get_alpn_proto_negotiated().decode("latin-1") or None,
            )
        self._seen = replace(self._seen, chain=self._chain(), wants_certificate=self._asked)

    def _chain(self) -> tuple[bytes, ...]:
        try:
            return der_of(self._connection.get_peer_cert_chain(as_cryptography=True) or ())
        except ValueError as error:
            text = f"it shows a certificate that can't be read: {tidy(error)}"
            self._find(refusal("unreadable", text, "have its issuer make another one"))
            return ()

    def _ask(self) -> None:
        question: Question
        authority = f"{self._host}:{self._port}"
        question = Http2(authority) if self._seen.alpn == "h2" else Http1(authority)
        early = b""
        try:
            if self._asked:
                early = self._receive(time.monotonic() + min(SETTLE_SECONDS, self._left()))
            began = time.time()
            self._write(question.opening())
            if early:
                self._heard(question, early)
            while question.answer is None:
                data = self._receive(self._deadline)
                if not data:
                    raise _LateError
                self._heard(question, data)
        except _LateError:
            self._quiet("it said nothing to GET / in time")
        except _GoneError as gone:
            self._closed(str(gone))
        except ValueError as error:
            self._quiet(str(error))
        else:
            middle = (began + time.time()) / 2
            self._seen = replace(
                self._seen, accepted=True, answer=question.answer or Answer(), asked_at=middle
            )

    def _heard(self, question: Question, data: bytes) -> None:
        """Whatever it says, it says it to somebody whom it let in."""
        self._seen = replace(self._seen, accepted=True)
        if reply := question.take(data):
            self._write(reply)

    def _write(self, data: bytes) -> None:
        while data:
            data = data[self._step(lambda: self._connection.send(data), self._deadline) :]  # noqa: B023  called at once

    def _receive(self, until: float) -> bytes:
        """Some bytes, or none if nothing comes until then."""
        try:
            return self._step(lambda: self._connection.recv(16_384), until)
        except _LateError:
            return b""

    def _step(self, act: Callable[[], _T], until: float) -> _T:
        """Do it, waiting for the socket as long as there is time."""
        while True:
            try:
                return act()
            except SSL.WantReadError:
                self._wait(select.POLLIN, until)
            except SSL.WantWriteError:
                self._wait(select.POLLOUT, until)
            except SSL.ZeroReturnError:
                raise _GoneError("it closed the connection") from None
            except SSL.SysCallError as error:
                raise _GoneError(f"it cut the connection ({tidy(error.args[-1])})") from None
            except SSL.Error as error:
                raise _GoneError(_words(error)) from None

    def _wait(self, event: int, until: float) -> None:
        left = until - time.monotonic()
        poll = select.poll()
        poll.register(self._socket, event)
        if left <= 0 or not poll.poll(left * 1000):
            raise _LateError

    def _quiet(self, text: str) -> None:
        where = "it took the handshake, so TLS is judged; what is behind it may speak no HTTP"
        self._find(note("no-http", f"{text}, so its clock is not known", where))

    def _closed(self, why: str) -> None:
        if self._seen.accepted:
            self._quiet(why)
            return
        if self._asked:
            self._seen = replace(self._seen, accepted=False)
        if self._identity is None and self._asked:
            self._find(
                note(
                    "wants-certificate",
                    f"it wants a client certificate, and none was shown: {why}",
                    "to see whether it would take yours: --workload-api SOCKET, or --cert FILE --key FILE",
                )
            )
        elif self._asked:
            self._find(refusal("client-refused", f"it refused our certificate: {why}", _REFUSED_US))
        else:
            self._find(note("no-http", f"{why} when it was asked GET /", "see its log"))


_REACH = (
    "see whether it runs and listens there, and whether a firewall or network policy is between"
)
_REFUSED_US = (
    "see what is said of our own certificate below, and what the server's log says; it may trust other roots, "
    "or its trust may be too old to know our authority"
)


def _no_handshake(why: str, shown: bool) -> Finding:
    lower = why.lower()
    if any(words in lower for words in ("wrong version number", "packet length", "record layer")):
        return refusal(
            "no-tls",
            "it answers, but not with TLS",
            "name its TLS port; a port without TLS has no identity to look at",
        )
    if "excessive message size" in lower:
        return refusal(
            "chain-too-long",
            "it shows a chain of more than 100 KB",
            "a chain needs the leaf and what leads to a root, no more",
        )
    if "alert" in lower and ("certificate" in lower or "unknown ca" in lower) and shown:
        return refusal("client-refused", f"it refused our certificate: {why}", _REFUSED_US)
    return refusal(
        "handshake-failed", f"no TLS handshake: {why}", "see the log of what listens there"
    )


def _words(error: SSL.Error) -> str:
    """OpenSSL's own words, without its function names."""
    told = error.args[0] if error.args else ()
    if isinstance(told, list | tuple) and told and isinstance(told[0], tuple):
        return tidy(told[0][-1])
    return tidy(error) or "it gave no reason"


def _use(context: SSL.Context, identity: ClientIdentity) -> None:
    """Raises DoctorError where they do not belong together."""
    try:
        leaf, *above = (x509.load_der_x509_certificate(each) for each in identity.chain)
        key = serialization.load_der_private_key(identity.key, None)
        context.use_certificate(leaf)
        for each in above:
            context.add_extra_chain_cert(each)
        context.use_privatekey(key)  # type: ignore[arg-type]  # any key that OpenSSL signs with
        context.check_privatekey()
    except (SSL.Error, ValueError, TypeError) as error:
        why = _words(error) if isinstance(error, SSL.Error) else tidy(error)
        raise DoctorError(
            f"the client certificate can't be shown: {why}; it needs its own key, not encrypted"
        ) from error


def client_identity(certificates: Path, key: Path, chain: tuple[bytes, ...]) -> ClientIdentity:
    """From PEM files. Raises DoctorError."""
    try:
        private = serialization.load_pem_private_key(key.read_bytes(), None)
    except OSError as error:
        raise DoctorError(f"{key} can't be read: {error.strerror or error}") from error
    except (ValueError, TypeError) as error:
        raise DoctorError(f"{key} holds no unencrypted private key in PEM: {error}") from error
    pkcs8 = serialization.PrivateFormat.PKCS8
    bare = serialization.NoEncryption()
    der = private.private_bytes(serialization.Encoding.DER, pkcs8, bare)
    if not chain:
        raise DoctorError(f"{certificates} holds no certificate")
    return ClientIdentity(chain, der)


def _is_ip(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return True
    return False


def _reason(error: OSError) -> str:
    return tidy(error.strerror or error)
