"""OpenSSL's and Go's own verifiers take what a running CA issues: of each kind of authority, before and after
its rotation, and nothing of what they should refuse.

They know no scope table and no SPIFFE: this is what a plain client sees.
"""

import json
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from OpenSSL import SSL

from featward_demo.authority import Authority
from featward_demo.command_line import run
from featward_demo.ports import ports
from workload_kit import go_program

DOMAIN = "spiffe://prod.acme.example"
PEM = serialization.Encoding.PEM
# Two units with authorities of their own; what belongs to no unit is prod.default's.
MANIFESTS = """
apiVersion: featward.dev/v1alpha1
kind: Environment
metadata: {name: prod}
spec: {trustDomain: prod.acme.example, svidTTL: 4s}
"""
UNIT = """---
apiVersion: featward.dev/v1alpha1
kind: BusinessUnit
metadata: {name: prod.%(unit)s}
spec: {}
---
apiVersion: featward.dev/v1alpha1
kind: Workload
metadata: {name: %(unit)s-app}
spec: {businessUnit: prod.%(unit)s, name: app}
"""


class Chain(NamedTuple):
    """A chain in a file, leaf first, and the roots to judge it by."""

    owner: str
    file: Path
    roots: Path

    @property
    def certificates(self) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates(self.file.read_bytes())

    @property
    def in_its_life(self) -> str:
        """A second at which its leaf is valid, whenever the verifier gets to run."""
        leaf = self.certificates[0]
        ends = (leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp())
        return str(int(sum(ends) / 2))


@pytest.fixture
def ca() -> Iterator[Authority]:
    """A running CA of short lives, so that a rotation waits for nobody long."""
    with tempfile.TemporaryDirectory(prefix="fw") as name:
        folder = Path(name)
        (folder / "manifests").mkdir()
        units = "".join(UNIT % {"unit": unit} for unit in ("payments", "risk"))
        (folder / "manifests" / "platform.yaml").write_text(MANIFESTS + units)
        free = ports(None)
        log = folder / "ca.log"
        where = (folder / "ca", folder / "manifests", log, next(free), next(free))
        ca = Authority("prod", *where, short_lives=True)
        ca.start()
        ca.ready()
        yield ca
        ca.stop()


def issued(ca: Authority, folder: Path) -> list[Chain]:
    """An SVID of each business unit's authority, and the platform's: the CA's own."""
    chains = []
    for unit in ("payments", "risk"):
        got = ca.identity(f"prod.{unit}/app", folder / unit)
        chains.append(Chain(f"bu/{unit}/svc/app", got.svid, got.bundle))
    own = folder / "own.pem"
    own.write_bytes(b"".join(each.public_bytes(PEM) for each in shown(ca)[:2]))
    return [*chains, Chain("featward/ca", own, chains[0].roots)]


def shown(ca: Authority) -> list[x509.Certificate]:
    """What the CA shows to anybody."""
    context = SSL.Context(SSL.TLS_CLIENT_METHOD)
    context.set_alpn_protos([b"h2"])
    with socket.create_connection(("127.0.0.1", ca.port), 10) as end:
        end.setblocking(True)
        with closing(SSL.Connection(context, end)) as connection:
            connection.set_connect_state()
            connection.do_handshake()
            return list(connection.get_peer_cert_chain(as_cryptography=True) or ())


def openssl(chain: Chain) -> str | None:
    """Why it is refused, or None."""
    leaf = chain.file.with_suffix(".leaf")
    leaf.write_bytes(chain.certificates[0].public_bytes(PEM))
    for purpose in ("sslserver", "sslclient"):
        command = ["openssl", "verify", "-x509_strict", "-check_ss_sig", "-purpose", purpose]
        command += ["-attime", chain.in_its_life]
        command += ["-CAfile", str(chain.roots), "-untrusted", str(chain.file), str(leaf)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        if done.returncode != 0:
            return done.stderr
    return None


def go(*chains: Chain) -> list[str | None]:
    """The same of each, by Go."""
    files = [str(file) for each in chains for file in (each.roots, each.file, each.in_its_life)]
    done = subprocess.run(
        [go_program("verify"), *files], capture_output=True, text=True, timeout=20, check=True
    )
    verdicts = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["uris"] for each in verdicts] == [[f"{DOMAIN}/{each.owner}"] for each in chains]
    return [each.get("error") for each in verdicts]


def accepted(chains: list[Chain]) -> None:
    assert [openssl(each) for each in chains] == [None] * len(chains)
    assert go(*chains) == [None] * len(chains)


def issuers(chains: list[Chain]) -> list[str]:
    return [each.certificates[0].issuer.rfc4514_string() for each in chains]


def rotate(ca: Authority, owner: str) -> None:
    """All of it, to the end of the old one. A root's waits for five refreshes of federated peers."""
    options = ("--wait", "--step-timeout", "2m", "--data", ca.data)
    run("ca", "authority", "rotate", owner, *options)


@pytest.mark.timeout(240)
def test_chains_of_every_authority_are_accepted_before_and_after_its_rotation(
    ca: Authority, tmp_path: Path
) -> None:
    go_program("verify")  # built before anything has a life of seconds
    first = issued(ca, tmp_path / "first")
    accepted(first)
    for owner in ("prod.payments", "prod.risk", "platform"):
        rotate(ca, owner)
    second = issued(ca, tmp_path / "second")
    accepted(second)
    assert not set(issuers(first)) & set(issuers(second))
    rotate(ca, "root")
    third = issued(ca, tmp_path / "third")
    accepted(third)
    # Whoever has the new roots only refuses what the old one had signed.
    before = [old._replace(roots=new.roots) for old, new in zip(second, third, strict=True)]
    for told in (*map(openssl, before), *go(*before)):
        assert told is not None
        assert "unable to get" in told or "unknown authority" in told


def test_what_they_should_refuse_they_refuse(ca: Authority, tmp_path: Path) -> None:
    go_program("verify")
    payments, risk, own = issued(ca, tmp_path)
    alone = tmp_path / "alone.pem"
    alone.write_bytes(payments.certificates[0].public_bytes(PEM))
    # The leaf of one unit under the authority of another, and without any.
    swapped = tmp_path / "swapped.pem"
    mixed = [payments.certificates[0], risk.certificates[1]]
    swapped.write_bytes(b"".join(each.public_bytes(PEM) for each in mixed))
    wrong = [
        payments._replace(file=alone),
        payments._replace(file=swapped),
        own._replace(roots=risk.file),
    ]
    assert [verdict is None for verdict in go(*wrong)] == [False, False, False]
    assert [openssl(each) is None for each in wrong] == [False, False, False]
