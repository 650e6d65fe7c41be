"""A ban or a revocation at the CA ends what a client is doing at a sidecar, and lets it do nothing more.

The client is OpenSSL's, with an identity that was fetched into files: nothing in it keeps to bans or to
trust by itself.
"""

import json
import socket
import ssl
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509

from featward.authority.v1 import authority_pb2, authority_pb2_grpc

UNIT = "prod.payments"
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

    @property
    def data(self) -> tuple[str, Path]:
        return "--data", self._scene.ca.data

    def authority(self, *words: str) -> subprocess.CompletedProcess[str]:
        """`featward ca authority …`, which may be refused."""
        command = [str(FEATWARD), "ca", "authority", *map(str, (*words, *self.data))]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def replaced(self) -> str:
        """The id of our business unit's authority, after another one took its place and the sidecar has gone
        on to that. We acknowledge nothing and stay with what we have, so each step is forced.
        """
        (old,) = self._of_unit("active")
        assert self.authority("prepare", UNIT).returncode == 0
        (new,) = self._of_unit("prepared")
        refused = self.authority("activate", new)
        assert (refused.returncode, PRICING in _flat(refused)) == (1, True), refused
        assert self.authority("activate", new, "--force").returncode == 0
        assert self.authority("taint", old).returncode == 0
        self._scene.serving.wait(lambda status: status["agent"]["identity"]["renewals"] == 1)
        return old

    def revoke(self, authority: str) -> None:
        """What `revoke --force` asks the CA for, without the second that a command takes to start."""
        with grpc.insecure_channel(f"unix:{self._scene.ca.data}/admin.sock") as channel:
            stub: Any = authority_pb2_grpc.AuthorityServiceStub(channel)
            done = stub.Revoke(authority_pb2.StepRequest(authority=authority, force=True))
        assert done.changed

    def _of_unit(self, state: str) -> list[str]:
        told = self.authority("list", "--output", "json").stdout
        return [
            one["id"]
            for one in json.loads(told)["authorities"]
            if (one["owner"], one["state"]) == (UNIT, state)
        ]

    def ban(self, *words: str) -> str:
        """Ban; returns the id of the ban."""
        words = (*words, "--reason", "test", "--output", "json")
        added = self.featward("ban", "add", *words, *self.data)
        ban: str = json.loads(added)["ban"]["id"]
        return ban

    def lift(self, ban: str) -> None:
        self.featward("ban", "remove", ban, *self.data)

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
        value = PRICING if whom == "identity" else client.serial
        ban = client.ban(f"--{whom}", value)
        _cut_within_a_second(connection)
    _refused(client)
    client.lift(ban)
    scene.serving.logged("trust updated", count=3)
    client.connect().close()


def test_a_revocation_cuts_a_live_connection_within_a_second_and_refuses_the_next(
    client: Client,
) -> None:
    old = client.replaced()
    # Only now: the sidecar ends connections that were made with its own certificate of before.
    with client.connect() as connection:
        asked = client.authority("revoke", old)
        assert asked.returncode == 1
        # Who would break is named, and nothing has changed for them.
        assert PRICING in _flat(asked)
        assert client.ask(connection) == client.ask(connection) == 200
        asked_at = time.monotonic()
        client.revoke(old)
        _cut_within_a_second(connection, asked_at)
    _refused(client)


def test_a_ban_of_an_authority_cuts_a_live_connection_within_a_second_and_refuses_the_next(
    client: Client,
) -> None:
    old = client.replaced()
    with client.connect() as connection:
        client.ban("--authority", old)
        _cut_within_a_second(connection)
    _refused(client)


def _cut_within_a_second(connection: ssl.SSLSocket, since: float | None = None) -> None:
    """From then on, or from the end of the command, which itself waits for the CA alone."""
    since = time.monotonic() if since is None else since
    connection.settimeout(10)
    try:
        rest = connection.recv(1)
    except OSError:
        rest = b""
    assert rest == b""
    seconds = time.monotonic() - since
    print(f"cut after {seconds:.3f} s")
    assert seconds < 1


def _refused(client: Client) -> None:
    with pytest.raises(OSError):  # noqa: PT011  # a reset or an alert: whichever arrives first
        client.connect().close()


def _flat(done: subprocess.CompletedProcess[str]) -> str:
    """What it said, without the line breaks of a table."""
    return "".join((done.stdout + done.stderr).split())
