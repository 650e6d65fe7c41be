"""Calls without any featward library: plain HTTP, and TLS with Python's own `ssl`.

They show what a stranger's program sees. Every outcome is a value, a refused handshake as well as an answer.
"""

import json
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any

from featward_demo.ports import HOST

SECONDS = 15.0
READ = "/get-online-features"


@dataclass(frozen=True)
class Identity:
    """Files of one workload's certificate, as `featward ca fetch-svid` writes them."""

    spiffe_id: str
    key: Path
    svid: Path
    bundle: Path


@dataclass(frozen=True)
class Answer:
    """What came back: an HTTP answer, or the reason why there is none."""

    seconds: float
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    failure: str | None = None
    server: str | None = None

    @property
    def json(self) -> Any:
        """The body, read as JSON; None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def reason(self) -> str | None:
        """The reason in a problem document."""
        document = self.json
        return document.get("reason") if isinstance(document, dict) else None

    @property
    def columns(self) -> dict[str, list[Any]]:
        """The columns of a feature answer, by name."""
        document = self.json
        names = document["metadata"]["feature_names"]
        return {
            name: column["values"] for name, column in zip(names, document["results"], strict=True)
        }


def plain(port: int, body: Any, path: str = READ) -> Answer:
    """POST over plain HTTP to loopback."""
    return _post(HTTPConnection(HOST, port, timeout=SECONDS), body, path)


def mutual(
    port: int, bundle: Path, identity: Identity | None, body: Any, path: str = READ
) -> Answer:
    """POST over TLS 1.3, trusting this bundle, with this identity's certificate or none."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    # A SPIFFE certificate names a workload and no host: the chain is checked here, the name by the caller.
    context.check_hostname = False
    context.load_verify_locations(bundle)
    if identity is not None:
        context.load_cert_chain(identity.svid, identity.key)
    return _post(_TlsConnection(context, port), body, path)


class _TlsConnection(HTTPConnection):
    """HTTP/1.1 over TLS without a server name, since there is none to send."""

    def __init__(self, context: ssl.SSLContext, port: int) -> None:
        super().__init__(HOST, port, timeout=SECONDS)
        self._context = context

    def connect(self) -> None:
        connection = socket.create_connection((self.host, self.port), SECONDS)
        self.sock = self._context.wrap_socket(connection)

    def peer(self) -> str | None:
        """The SPIFFE ID in the server's certificate."""
        certificate = self.sock.getpeercert() if isinstance(self.sock, ssl.SSLSocket) else None
        names = (certificate or {}).get("subjectAltName", ())
        return next((str(name[1]) for name in names if name[0] == "URI"), None)


def _post(connection: HTTPConnection, body: Any, path: str) -> Answer:
    started = time.perf_counter()
    try:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        connection.connect()
        server = connection.peer() if isinstance(connection, _TlsConnection) else None
        connection.request("POST", path, content, {"Content-Type": "application/json"})
        return _answer(connection.getresponse(), started, server)
    except (OSError, HTTPException) as error:
        # A server that wants a certificate says so only after the client's side of the handshake is done.
        return Answer(time.perf_counter() - started, failure=_said(error))
    finally:
        connection.close()


def _answer(response: HTTPResponse, started: float, server: str | None) -> Answer:
    body = response.read()
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(time.perf_counter() - started, response.status, headers, body, server=server)


def _said(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return f"TLS: {error.reason.replace('_', ' ').lower()}"
    return f"{type(error).__name__}: {error}"
