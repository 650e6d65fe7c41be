"""A ban at the CA ends what a banned client is doing at a sidecar, and lets it do nothing more.

The client is OpenSSL's, with an identity that was fetched into files: nothing in it keeps to bans by
itself.
"""

import json
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

PRICING = "spiffe://prod.acme.example/bu/payments/svc/pricing-api"
FEATWARD = Path(sys.executable).with_name("featward")
BODY = json.dumps(
    {"features": ["driver_hourly_stats:conv_rate"], "entities": {"driver_id": [1001]}}
)
REQUEST = (
    "POST /get-online-features HTTP/1.1\r\nhost: feast\r\ncontent-type: application/json\r\n"
    f"content-length: {len(BODY)}\r\n\r\n{BODY}"
).encode()


class Client:
    """Connections with an identity in files."""

    def __init__(self, scene: Any) -> None:
        self._scene = scene
        self._folder: Path = scene.folder / "identity"
        token = scene.token("pricing-api")
        self.featward(
            "fetch-svid", "--ca", scene.ca.address, "--token-file", token, "--out", self._folder
        )

    def featward(self, *words: object) -> str:
        command = [str(FEATWARD), "ca", *map(str, words)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def ban(self, *words: str) -> str:
        """Ban; returns the id of the ban."""
        data = ("--data", str(self._scene.folder / "ca" / "data"))
        added = self.featward("ban", "add", *words, "--reason", "test", *data, "--output", "json")
        ban: str = json.loads(added)["ban"]["id"]
        return ban

    def lift(self, ban: str) -> None:
        self.featward("ban", "remove", ban, "--data", self._scene.folder / "ca" / "data")

    @property
    def serial(self) -> str:
        leaf = x509.load_pem_x509_certificates((self._folder / "svid.pem").read_bytes())[0]
        return f"{leaf.serial_number:x}"

    def connect(self) -> ssl.SSLSocket:
        """A connection on which one request was answered."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False  # the name in the certificate is a SPIFFE ID
        context.load_verify_locations(self._folder / "bundle.pem")
        context.load_cert_chain(self._folder / "svid.pem", self._folder / "key.pem")
        host, _, port = self._scene.bound["listen"].rpartition(":")
        plain = socket.create_connection((host, int(port)), timeout=10)
        connection = context.wrap_socket(plain)
        try:
            assert self.ask(connection) == 200
        except BaseException:
            connection.close()
            raise
        return connection

    def ask(self, connection: ssl.SSLSocket) -> int:
        connection.sendall(REQUEST)
        head = b""
        while b"\r\n\r\n" not in head:
            more = connection.recv(65_536)
            if not more:
                raise ConnectionResetError("closed")
            head += more
        return int(head.split(b" ", 2)[1])


@pytest.fixture
def client(scene: Any) -> Client:
    scene.serve()
    return Client(scene)


@pytest.mark.parametrize("whom", ["identity", "serial"])
def test_a_ban_cuts_a_live_connection_within_a_second_and_refuses_the_next(
    client: Client, scene: Any, whom: str
) -> None:
    with client.connect() as connection:
        connection.settimeout(10)
        value = PRICING if whom == "identity" else client.serial
        ban = client.ban(f"--{whom}", value)
        stored = time.monotonic()
        try:
            rest = connection.recv(1)
        except OSError:
            rest = b""
        assert rest == b""
        # From the end of the command on, which itself waits for the CA alone.
        assert time.monotonic() - stored < 1
    with pytest.raises(OSError):  # noqa: PT011  # a reset or an alert: whichever arrives first
        client.connect()
    client.lift(ban)
    scene.serving.logged("trust updated", count=3)
    client.connect().close()
