"""The commands of recovery on what has expired: real programs on a clock days and years ahead.

After each of them the CA is started, and a workload that shows lasting evidence and one with a join
token are served over its sockets.
"""

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509

from ca_kit import TRUST_DOMAIN
from clocked_ca import Ca, clocked_ca
from featward_ca.settings import embedded_file
from featward_ca.store import authority_rows
from featward_ca.store.authority_rows import State
from featward_ca.store.read_only import read_only

# Past every authority and the CA's own certificate; past the root too.
WEEK_AND_A_DAY, SIX_YEARS = 8 * 86_400, 6 * 365 * 86_400
PRICING = "prod.payments/pricing-api"


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA's folder after a day at work: it has served both kinds of workloads."""
    ca = clocked_ca(tmp_path_factory.mktemp("ca"))
    with ca.addresses() as where:
        ca.attest()
        enrol(ca, where["listen"], token(ca))
    return ca.folder


@pytest.fixture
def ca(stocked: Path, tmp_path: Path) -> Ca:
    """A copy of it, stopped."""
    shutil.copytree(stocked, tmp_path, dirs_exist_ok=True)
    return Ca(tmp_path)


def token(ca: Ca) -> Path:
    """A new join token, from the running CA."""
    made = ca.command("token", "create", "--workload", PRICING, "--data", f"{ca.folder}/data")
    assert made.returncode == 0, made.stderr
    file = ca.folder / "pricing.token"
    file.write_text(made.stdout)
    return file


def enrol(ca: Ca, listen: str, file: Path) -> x509.Certificate:
    """What a workload with this join token gets, over TLS from a CA that the token tells it to know."""
    out = ca.folder / "identity"
    shutil.rmtree(out, ignore_errors=True)
    done = ca.command("fetch-svid", "--ca", listen, "--token-file", str(file), "--out", str(out))
    assert done.returncode == 0, done.stderr
    return x509.load_pem_x509_certificates((out / "svid.pem").read_bytes())[0]


def recover(ca: Ca, *arguments: str) -> str:
    """What a command of recovery says; it succeeds."""
    done = ca.command("recover", *arguments, "--data", f"{ca.folder}/data")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def kek(ca: Ca) -> tuple[str, str]:
    return "--kek-file", f"{ca.folder}/kek"


def roots(ca: Ca) -> set[bytes]:
    """Those that sign."""
    with read_only(embedded_file(ca.folder / "data")) as connection:
        rows = authority_rows.of_state(connection, State.ACTIVE)
    return {row.der for row in rows if row.owner == "root"}


def is_served_again(ca: Ca, file: Path | None = None) -> None:
    """Whoever attests is served by certificates of this clock's day, and all that was signed is on
    record.
    """
    ahead = int((ca.folder / "clock").read_text())
    with ca.addresses() as where:
        svid = ca.attest()
        assert svid.spiffe_id == f"spiffe://{TRUST_DOMAIN}/bu/payments/svc/feast"
        leaf = enrol(ca, where["listen"], file or token(ca))
        issuer = x509.load_der_x509_certificate(svid.chain[1])
        assert leaf.issuer == issuer.subject
        now = svid.issued_at
        assert now > issuer.not_valid_before_utc.timestamp()
        assert issuer.not_valid_after_utc.timestamp() > now + 86_400
        shown = ca.command("status", "--data", f"{ca.folder}/data")
        assert "prod.payments" in shown.stdout
    assert abs(leaf.not_valid_after_utc.timestamp() - now - 3600) < 120
    assert now > (ca.folder / "kek").stat().st_mtime + ahead - 3600
    assert " 0 findings" in ca.findings()


def damage(ca: Ca, owner: str) -> None:
    """Its key can't be opened any more, so that the CA does not start."""
    with closing(sqlite3.connect(embedded_file(ca.folder / "data"))) as store, store:
        store.execute("UPDATE authority SET key = spki_sha256 WHERE owner = ?", [owner])
    refused = ca.command(*ca.serve)
    assert refused.returncode == 1
    assert "key-encryption key" in refused.stderr.splitlines()[-1]


def authority(ca: Ca) -> None:
    damage(ca, "prod.payments")
    assert "start the CA" in recover(ca, "authority", "prod.payments", *kek(ca))
    is_served_again(ca)


def serving(ca: Ca) -> None:
    damage(ca, "platform")
    assert "for platform" in recover(ca, "serving", *kek(ca))
    is_served_again(ca)


def root(ca: Ca) -> None:
    before = roots(ca)
    assert "a new root was made" in recover(ca, "root", *kek(ca), *tokens(ca))
    is_served_again(ca, handed_out(ca))
    assert len(roots(ca)) == 1
    assert not roots(ca) & before


def lost_key(ca: Ca) -> None:
    (ca.folder / "kek").unlink()
    said = recover(ca, "kek", "--lost", "--new-kek-file", f"{ca.folder}/kek", *tokens(ca))
    assert "a new root was made" in said
    is_served_again(ca, handed_out(ca))


def lost_store(ca: Ca) -> None:
    embedded_file(ca.folder / "data").unlink()
    where = ("--environment", "prod", "--manifests", f"{ca.folder}/manifests")
    assert "a new root and new authorities" in recover(ca, "store", *where, *kek(ca), *tokens(ca))
    is_served_again(ca, handed_out(ca))


def tokens(ca: Ca) -> tuple[str, str]:
    return "--tokens", f"{ca.folder}/tokens"


def handed_out(ca: Ca) -> Path:
    """The new token of the workload that came by one."""
    (file,) = (ca.folder / "tokens").iterdir()
    assert file.name == "prod.payments.pricing-api.token"
    return file


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("ahead", "do"),
    [
        (WEEK_AND_A_DAY, authority),
        (WEEK_AND_A_DAY, serving),
        (WEEK_AND_A_DAY, lost_key),
        (WEEK_AND_A_DAY, lost_store),
        (SIX_YEARS, root),
        (SIX_YEARS, lost_key),
        (SIX_YEARS, lost_store),
    ],
    ids=lambda one: getattr(one, "__name__", None) or f"{one // 86_400}d",
)
def test_a_command_gets_an_expired_ca_going_and_clients_are_served(
    ca: Ca, ahead: int, do: Callable[[Ca], None]
) -> None:
    ca.set_clock(ahead)
    do(ca)


@pytest.mark.timeout(60)
def test_a_week_away_needs_no_command(ca: Ca) -> None:
    ca.set_clock(WEEK_AND_A_DAY)
    is_served_again(ca)


@pytest.mark.timeout(60)
def test_after_the_end_of_the_root_everything_says_which_command_helps(ca: Ca) -> None:
    ca.set_clock(SIX_YEARS)
    for command in (
        ca.serve,
        ["recover", "authority", "prod.payments", "--data", f"{ca.folder}/data", *kek(ca)],
        ["recover", "serving", "--data", f"{ca.folder}/data", *kek(ca)],
    ):
        done = ca.command(*command)
        assert done.returncode == 1
        last = done.stderr.splitlines()[-1]
        assert last.startswith("error: ")
        assert last.endswith("featward ca recover root")
