"""A TLS connection that believes everybody and waits for nobody: each step has an end, and what the far end
says last is kept in its own words.

pyOpenSSL, because Python's `ssl` shows the chain of a server only once it has verified it (before 3.13), and
the engine's TLS goes no further than its verifier lets it. OpenSSL itself bounds the chain at 100 KB.
"""

import select
import socket
from collections.abc import Callable, Sequence
from functools import partial
from time import monotonic
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL

from featward.doctor.certificates import tidy
from featward.doctor.client import ClientIdentity
from featward.errors import DoctorError

__all__ = ["GoneError", "LateError", "Wire"]

_ASKED_FOR_A_CERTIFICATE = b"read server certificate request"
_T = TypeVar("_T")


class LateError(Exception):
    """The far end took too long."""


class GoneError(Exception):
    """The far end closed, or refused; the text says what it said."""


class Wire:
    """One connection over a socket that does not block. Every step takes the moment (monotonic) that it ends
    by, and raises LateError or GoneError.
    """

    def __init__(
        self, end: socket.socket, host: str, alpn: Sequence[bytes], identity: ClientIdentity | None
    ) -> None:
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        # Nothing is believed here: what is shown is judged afterwards, by the engine.
        context.set_verify(SSL.VERIFY_NONE, lambda *_: True)
        context.set_info_callback(self._note_state)
        if alpn:
            context.set_alpn_protos(list(alpn))
        if identity is not None:
            _use(context, identity)
        self.asked_for_a_certificate = False
        self._socket = end
        self.tls = SSL.Connection(context, end)
        self.tls.set_connect_state()
        if not _is_ip(host):
            self.tls.set_tlsext_host_name(host.encode("idna"))

    def _note_state(self, connection: SSL.Connection, _: int, __: int) -> None:
        self.asked_for_a_certificate |= _ASKED_FOR_A_CERTIFICATE in connection.get_state_string()

    def shake(self, until: float) -> None:
        """The handshake."""
        self._step(self.tls.do_handshake, until)

    def write(self, data: bytes, until: float) -> None:
        """All of it."""
        while data:
            data = data[self._step(partial(self.tls.send, data), until) :]

    def receive(self, until: float) -> bytes:
        """Some bytes, or none if nothing comes until then."""
        try:
            return self._step(partial(self.tls.recv, 16_384), until)
        except LateError:
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
                raise GoneError("it closed the connection") from None
            except SSL.SysCallError as error:
                raise GoneError(f"it cut the connection ({tidy(error.args[-1])})") from None
            except SSL.Error as error:
                raise GoneError(_words(error)) from None

    def _wait(self, event: int, until: float) -> None:
        left = until - monotonic()
        poll = select.poll()
        poll.register(self._socket, event)
        if left <= 0 or not poll.poll(left * 1000):
            raise LateError


def _use(context: SSL.Context, identity: ClientIdentity) -> None:
    """Raises DoctorError where OpenSSL does not take them."""
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
        raise DoctorError(f"the client certificate can't be shown: {why}") from error


def _words(error: SSL.Error) -> str:
    """OpenSSL's own words, without its function names."""
    told = error.args[0] if error.args else ()
    if isinstance(told, list | tuple) and told and isinstance(told[0], tuple):
        return tidy(told[0][-1])
    return tidy(error) or "it gave no reason"


def _is_ip(host: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return True
    return False
