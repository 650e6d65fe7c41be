"""A visit to a TLS endpoint, without judging: what chain it shows, and whether it takes ours."""

import socket
import time
from dataclasses import dataclass, field, replace

from featward.doctor.asking import Answer, Http1, Http2, Question
from featward.doctor.certificates import der_of, tidy
from featward.doctor.client import ClientIdentity
from featward.doctor.findings import Finding, note, refusal
from featward.doctor.wire import GoneError, LateError, Wire

__all__ = ["Probe", "probe"]

ALPN = [b"h2", b"http/1.1"]
SETTLE_SECONDS = 0.3
"""For a server to refuse our certificate before we say a word: a request that is on its way when it closes may
cost us its reason."""


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
        self._seen = Probe()

    def run(self) -> Probe:
        try:
            with socket.create_connection((self._host, self._port), self._left()) as end:
                end.settimeout(0)
                self._wire = Wire(end, self._host, self._alpn, self._identity)
                self._shake()
                if self._seen.version is not None:
                    self._ask()
        except TimeoutError:
            self._find(refusal("unreachable", "no connection in time", _REACH))
        except OSError as error:
            why = tidy(error.strerror or error)
            self._find(refusal("unreachable", f"no connection: {why}", _REACH))
        except UnicodeError as error:  # of a name that can't be one
            self._find(refusal("unreachable", f"no connection: {tidy(error)}", _REACH))
        return self._seen

    def _left(self) -> float:
        return max(0.01, self._deadline - time.monotonic())

    def _find(self, finding: Finding) -> None:
        self._seen = replace(self._seen, findings=(*self._seen.findings, finding))

    def _shake(self) -> None:
        try:
            self._wire.shake(self._deadline)
        except LateError:
            self._find(
                refusal(
                    "no-answer",
                    "the handshake did not end in time; what was connected to says nothing, or too slowly",
                    "see whether it is overloaded or stopped, and whether this is the right port",
                )
            )
        except GoneError as gone:
            self._find(_no_handshake(str(gone), self._identity is not None))
        else:
            tls = self._wire.tls
            self._seen = replace(
                self._seen,
                version=tls.get_protocol_version_name(),
                cipher=tls.get_cipher_name(),
                alpn=tls.get_alpn_proto_negotiated().decode("latin-1") or None,
            )
        wants = self._wire.asked_for_a_certificate
        self._seen = replace(self._seen, chain=self._chain(), wants_certificate=wants)

    def _chain(self) -> tuple[bytes, ...]:
        try:
            return der_of(self._wire.tls.get_peer_cert_chain(as_cryptography=True) or ())
        except ValueError as error:
            text = f"it shows a certificate that can't be read: {tidy(error)}"
            self._find(refusal("unreadable", text, "have its issuer make another one"))
            return ()

    def _ask(self) -> None:
        question: Question
        host = f"[{self._host}]" if ":" in self._host else self._host
        authority = f"{host}:{self._port}"
        question = Http2(authority) if self._seen.alpn == "h2" else Http1(authority)
        early = b""
        try:
            if self._seen.wants_certificate:
                early = self._wire.receive(time.monotonic() + min(SETTLE_SECONDS, self._left()))
            began = time.time()
            self._wire.write(question.opening(), self._deadline)
            if early:
                self._heard(question, early)
            while question.answer is None:
                data = self._wire.receive(self._deadline)
                if not data:
                    raise LateError
                self._heard(question, data)
        except LateError:
            self._quiet("it said nothing to GET / in time")
        except GoneError as gone:
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
            self._wire.write(reply, self._deadline)

    def _quiet(self, text: str) -> None:
        where = "it took the handshake, so TLS is judged; what is behind it may speak no HTTP"
        self._find(note("no-http", f"{text}, so its clock is not known", where))

    def _closed(self, why: str) -> None:
        if self._seen.accepted:
            self._quiet(why)
            return
        if self._seen.wants_certificate:
            self._seen = replace(self._seen, accepted=False)
        if self._identity is None and self._seen.wants_certificate:
            self._find(
                note(
                    "wants-certificate",
                    f"it wants a client certificate, and none was shown: {why}",
                    "to see whether it would take yours: --workload-api SOCKET, or --cert FILE --key FILE",
                )
            )
        elif self._seen.wants_certificate:
            self._find(_refused_us(why))
        else:
            self._find(note("no-http", f"{why} when it was asked GET /", "see its log"))


_REACH = (
    "see whether it runs and listens there, and whether a firewall or network policy is between"
)
_REFUSED_US = (
    "see what is said of our own certificate above (with --ca DATA also whether it is banned), and what the "
    "server's log says: our authority may be revoked, it may trust other roots, or its trust may be too old to "
    "know our authority"
)
_BANNED = (
    "our certificate, its identity or its authority is banned: `featward ca ban list` says why and until when, "
    "--ca DATA shows it here"
)


def _refused_us(why: str) -> Finding:
    remedy = _BANNED if "revoked" in why.lower() else _REFUSED_US
    return refusal("client-refused", f"it refused our certificate: {why}", remedy)


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
        return _refused_us(why)
    return refusal(
        "handshake-failed", f"no TLS handshake: {why}", "see the log of what listens there"
    )
