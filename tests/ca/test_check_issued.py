"""The checker out of process: an intact store has no findings, and each way of forging has one."""

import datetime
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ca_kit import TRUST_DOMAIN, FakeClock, a_request, issue, key_of
from featward.identity.spiffe import SpiffeId
from featward_ca.check_issued import Checked, check
from featward_ca.core import Core
from featward_ca.errors import StoreError
from featward_ca.issuance import der, new_serial
from featward_ca.issuer import IssuedSvid
from featward_ca.profile import Order, Purpose
from featward_ca.requests import public_key_of
from featward_ca.store.read_only import read_only
from reference_leaf import a_leaf

PRICING = "prod.payments/pricing-api"


@pytest.fixture
def store_url(tmp_path: Path) -> str:
    """The embedded store alone can be read beside its CA without a server."""
    return f"sqlite:///{tmp_path}/ca.sqlite3"


@pytest.fixture
def file(core: Core, tmp_path: Path) -> Path:
    """The store of the running core."""
    (found,) = tmp_path.glob("*.sqlite3")
    return found


def look(file: Path, clock: FakeClock, *others: Path) -> Checked:
    with read_only(file) as connection:
        return check(connection, others, clock.now())


def codes(checked: Checked) -> set[str]:
    return {finding.code for finding in checked.findings}


def tamper(file: Path, statement: str, *values: object) -> None:
    """Write past the CA, as somebody would who holds the disk."""
    with sqlite3.connect(file) as connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(statement, values)


def forged(
    core: Core, svid: IssuedSvid, key: ec.EllipticCurvePrivateKey, **changes: object
) -> bytes:
    """What the thief of an authority's key would make: all fields as they should be."""
    authority = core.authorities.active("prod.payments")
    order = Order(
        purpose=Purpose.SVID,
        public_key=public_key_of(a_request()),
        serial=int(svid.row.serial, 16),
        not_before=svid.row.not_before,
        not_after=svid.row.not_after,
        spiffe_id=SpiffeId.parse(svid.row.spiffe_id),
    )
    changed = replace(order, **changes)  # type: ignore[arg-type]  # of whatever types the fields are
    return der(a_leaf(changed, authority.certificate, key))


async def test_an_intact_store_has_no_findings(core: Core, file: Path, clock: FakeClock) -> None:
    for _ in range(3):
        await issue(core, PRICING)
    key = key_of(ec.generate_private_key(ec.SECP256R1()))
    await core.issuer.canary(TRUST_DOMAIN, key, core.situation.lifetimes)
    checked = look(file, clock)
    assert checked.findings == []
    assert checked.certificates == 3 + len(core.authorities.rows)


async def test_every_signature_has_its_rows_and_a_forged_one_is_found_by_check_issued(
    core: Core, file: Path, clock: FakeClock, tmp_path: Path
) -> None:
    svid = await issue(core, PRICING)
    kept = core.authorities._keys._keys[core.authorities.active("prod.payments").row.spki_sha256]  # type: ignore[attr-defined]
    # With the authority's own key, in a file that somebody found.
    theirs = tmp_path / "found.der"
    theirs.write_bytes(forged(core, svid, kept, serial=new_serial()))
    assert codes(look(file, clock, theirs)) == {"not-on-record"}
    # Under the serial of one that is on record.
    theirs.write_bytes(forged(core, svid, kept))
    assert codes(look(file, clock, theirs)) == {"other-bytes"}
    ours = tmp_path / "ours.pem"
    certificate = x509.load_der_x509_certificate(svid.chain[0])
    ours.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    assert look(file, clock, ours).findings == []


_Forge = Callable[[Core, IssuedSvid], bytes]
FORGED: dict[str, tuple[_Forge, set[str]]] = {
    "another key's signature": (
        lambda core, svid: forged(core, svid, ec.generate_private_key(ec.SECP256R1())),
        {"signature", "other-key", "other-bytes"},
    ),
    "no certificate": (lambda _, __: b"\x30\x00", {"unreadable"}),
    "an authority in the place of an SVID": (
        lambda core, _: core.authorities.active("prod.payments").row.der,
        {"lint", "signature", "other-key"},
    ),
}


@pytest.mark.parametrize(("forge", "expected"), FORGED.values(), ids=FORGED.keys())
async def test_a_certificate_that_was_exchanged_in_the_store_is_found(
    core: Core, file: Path, clock: FakeClock, forge: _Forge, expected: set[str]
) -> None:
    svid = await issue(core, PRICING)
    tamper(
        file,
        "UPDATE svid SET certificate = ? WHERE serial = ?",
        forge(core, svid),
        svid.row.serial,
    )
    assert codes(look(file, clock)) >= expected


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("DELETE FROM audit WHERE serial = ? AND outcome = 'intent'", "not-on-record"),
        ("DELETE FROM audit WHERE serial = ? AND outcome = 'signed'", "not-on-record"),
        ("DELETE FROM audit WHERE serial = ?", "not-on-record"),
        ("UPDATE audit SET tbs_sha256 = 'ab' WHERE serial = ?", "other-bytes"),
        ("UPDATE svid SET not_after = not_after + 1 WHERE serial = ?", "lint"),
        ("UPDATE svid SET spiffe_id = spiffe_id || 'x' WHERE serial = ?", "lint"),
        ("UPDATE svid SET spiffe_id = 'x' WHERE serial = ?", "spiffe-id"),
        ("UPDATE authority SET path_prefix = '/bu/risk/' WHERE '' != ?", "lint"),
        ("UPDATE authority SET spki_sha256 = CAST(id AS BLOB) WHERE '' != ?", "other-key"),
    ],
)
async def test_a_row_that_was_changed_past_the_ca_is_found(
    core: Core, file: Path, clock: FakeClock, statement: str, code: str
) -> None:
    svid = await issue(core, PRICING)
    tamper(file, statement, svid.row.serial)
    assert code in codes(look(file, clock))


async def test_an_intent_without_outcome_is_found_when_it_is_no_longer_under_way(
    core: Core, file: Path, clock: FakeClock
) -> None:
    svid = await issue(core, PRICING)
    tamper(file, "UPDATE svid SET certificate = NULL WHERE serial = ?", svid.row.serial)
    tamper(file, "DELETE FROM audit WHERE serial = ? AND outcome = 'signed'", svid.row.serial)
    assert look(file, clock).findings == []
    clock.advance(datetime.timedelta(minutes=2).total_seconds())
    assert codes(look(file, clock)) == {"no-outcome"}


async def test_an_outcome_written_twice_is_found(core: Core, file: Path, clock: FakeClock) -> None:
    svid = await issue(core, PRICING)
    columns = "time, replica, request, kind, caller, profile, serial, tbs_sha256, outcome"
    copy = f"INSERT INTO audit ({columns}) SELECT {columns} FROM audit WHERE serial = ?"  # noqa: S608  # our own columns
    tamper(file, copy, svid.row.serial)
    assert codes(look(file, clock)) == {"intents", "outcomes"}


async def test_it_changes_nothing_and_runs_beside_the_ca(
    core: Core, file: Path, clock: FakeClock
) -> None:
    with read_only(file) as connection:
        await issue(core, PRICING)
        # One moment: what was issued since is not seen, nor waited for.
        first = check(connection, now=clock.now())
    assert look(file, clock).certificates == first.certificates + 1


def without_an_index(file: Path) -> None:
    """As after a write that was lost: the rows of the table are there, those of its index are not."""
    with sqlite3.connect(file) as connection:
        index = "SELECT rootpage FROM sqlite_master WHERE name = 'sqlite_autoindex_svid_1'"
        (page,) = connection.execute(index).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    content = bytearray(file.read_bytes())
    # The number of cells of its page.
    content[(page - 1) * size + 3 : (page - 1) * size + 5] = b"\0\0"
    file.write_bytes(content)


async def test_damage_of_the_file_is_found_where_every_row_can_still_be_read(
    core: Core, file: Path, clock: FakeClock
) -> None:
    await issue(core, PRICING)
    await core.close()
    assert look(file, clock).findings == []
    without_an_index(file)
    checked = look(file, clock)
    assert codes(checked) == {"damaged"}
    assert "row 1 missing from index sqlite_autoindex_svid_1" in str(checked.findings)
    assert "\n" not in checked.findings[0].text


def test_a_store_that_is_not_there_or_no_store_says_so(tmp_path: Path) -> None:
    file = tmp_path / "ca.sqlite3"
    with pytest.raises(StoreError, match="there is no store"), read_only(file):
        pass
    file.write_bytes(b"no database" * 100)
    with pytest.raises(StoreError, match="can't be read"), read_only(file) as connection:
        check(connection)


async def test_a_file_that_is_no_certificate_is_a_finding(
    core: Core, file: Path, clock: FakeClock, tmp_path: Path
) -> None:
    other = tmp_path / "other.pem"
    other.write_text("hello")
    assert codes(look(file, clock, other)) == {"unreadable"}
    with pytest.raises(StoreError, match="can't be read"):
        look(file, clock, tmp_path / "absent.pem")
    assert core.authorities.rows
