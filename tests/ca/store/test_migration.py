"""A store of schema 1, with rows, under the newest schema."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import inspect

from ca_kit import FakeClock, OpenCore, a_directory, issue, key_of
from featward_ca.attest import Attested
from featward_ca.errors import ConfigurationError, EvidenceNeededError, StoreError
from featward_ca.settings import DAY
from featward_ca.store import audit, tables
from featward_ca.store.engines import open_store
from featward_ca.store.svids import Held

UNITS = {"prod.payments": 7 * DAY}
NAME = "prod.payments/pricing-api"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "ca.sqlite3"


@pytest.fixture
def before(file: Path) -> sqlite3.Connection:
    """The store as the first version left it."""
    connection = sqlite3.connect(file)
    connection.executescript(Path(__file__).with_name("0001_rows.sql").read_text())
    connection.execute("PRAGMA user_version = 1")
    return connection


def rows(connection: sqlite3.Connection, query: str) -> list[tuple[Any, ...]]:
    return connection.execute(query).fetchall()


def migrate(file: Path) -> None:
    open_store(f"sqlite:///{file}").close()


def test_every_row_is_there_afterwards(before: sqlite3.Connection, file: Path) -> None:
    queries = [
        "SELECT id, owner, certificate, spki_sha256, path_prefix, not_before, not_after,"
        " announced_at, activated_at, key FROM authority ORDER BY id",
        "SELECT id, spiffe_id, workload, method, started_at, tainted_at, taint_reason FROM lineage"
        " ORDER BY id",
        "SELECT serial, lineage, spiffe_id, authority, spki_sha256, issued_at, not_before,"
        " not_after, renew_at, certificate, renewed_from FROM svid ORDER BY serial",
        "SELECT id, time, request, kind, caller, profile, subject, serial, tbs_sha256, outcome,"
        " detail FROM audit ORDER BY id",
        "SELECT sequence FROM trust",
        "SELECT * FROM environment",
    ]
    kept = [rows(before, query) for query in queries]
    assert all(kept)
    migrate(file)
    assert [rows(before, query) for query in queries] == kept
    assert rows(before, "PRAGMA foreign_key_check") == []
    assert rows(before, "PRAGMA user_version") == [(3,)]
    assert rows(before, "SELECT count(*) FROM join_token") == [(0,)]


def test_authorities_get_their_generation_their_issuer_and_the_new_states(
    before: sqlite3.Connection, file: Path
) -> None:
    migrate(file)
    (root,) = rows(before, "SELECT id FROM authority WHERE owner = 'root'")[0]
    told = "SELECT generation, state, issuer FROM authority WHERE owner = ? ORDER BY generation"
    assert before.execute(told, ("root",)).fetchall() == [(1, "active", None)]
    for owner in ("platform", "prod.payments"):
        assert before.execute(told, (owner,)).fetchall() == [
            (1, "retired", root),
            (2, "old", root),
            (3, "active", root),
        ]


@pytest.mark.usefixtures("before")
@pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
async def test_a_ca_goes_on_from_it(open_core: OpenCore, file: Path, clock: FakeClock) -> None:
    core = await open_core(a_directory(business_units=UNITS, workloads=_payments()))
    assert core.trust.current.sequence >= clock.now()
    assert {row.replica for row in await core.store.read(audit.entries)} == {""}
    stored = sqlite3.connect(file)
    serial, spiffe_id, key_digest = rows(
        stored,
        "SELECT serial, svid.spiffe_id, spki_sha256 FROM svid JOIN lineage ON lineage.id = lineage"
        " WHERE renewed_from IS NOT NULL AND tainted_at IS NULL",
    )[0]
    key = key_of(ec.generate_private_key(ec.SECP256R1()))
    directory = core.situation.directory
    proof = await core.renewals.attest(directory, Held(serial, spiffe_id, key_digest), key)
    assert isinstance(proof, Attested)
    assert (await issue(core, proof)).row.renewed_from == serial
    cloned, spiffe_id, key_digest = rows(
        stored,
        "SELECT serial, svid.spiffe_id, spki_sha256 FROM svid JOIN lineage ON lineage.id = lineage"
        " WHERE renewed_from IS NOT NULL AND tainted_at IS NOT NULL",
    )[0]
    with pytest.raises(EvidenceNeededError):
        await core.renewals.attest(directory, Held(cloned, spiffe_id, key_digest), key)


def _payments() -> dict[str, object]:
    workloads = a_directory().workloads
    return {name: workload for name, workload in workloads.items() if "payments" in name}


@pytest.mark.parametrize("table", ["audit", "rotation_event"])
def test_what_is_append_only_stays_so(table: str, before: sqlite3.Connection, file: Path) -> None:
    migrate(file)
    before.execute("PRAGMA foreign_keys = OFF")
    before.execute(
        "INSERT INTO rotation_event (rotation, time, step, what) VALUES ('r', 0, 'request', '')"
    )
    for change in (f"UPDATE {table} SET time = 0", f"DELETE FROM {table}"):  # noqa: S608
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            before.execute(change)


def test_a_migrated_store_and_a_new_one_have_the_same_tables(
    before: sqlite3.Connection, file: Path, tmp_path: Path
) -> None:
    migrate(file)
    fresh = tmp_path / "fresh.sqlite3"
    migrate(fresh)
    shape = "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"
    assert rows(before, shape) == rows(sqlite3.connect(fresh), shape)


def test_a_store_of_a_newer_version_is_left_alone(before: sqlite3.Connection, file: Path) -> None:
    before.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigurationError, match="newer featward"):
        migrate(file)


def test_a_migration_that_fails_changes_nothing(before: sqlite3.Connection, file: Path) -> None:
    before.execute("CREATE TABLE ban (id TEXT)")
    with pytest.raises(StoreError, match="can't be brought up to date"):
        migrate(file)
    assert rows(before, "PRAGMA user_version") == [(1,)]
    assert rows(before, "SELECT count(*) FROM join_token") == [(1,)]


async def test_the_statements_know_every_column(store_url: str) -> None:
    store = open_store(store_url)
    found = await store.read(
        lambda c: {
            name: {column["name"] for column in inspect(c).get_columns(name)}
            for name in inspect(c).get_table_names()
        }
    )
    store.close()
    kept_elsewhere = {"schema_version", "sqlite_sequence"}
    assert {name: columns for name, columns in found.items() if name not in kept_elsewhere} == {
        name: set(table.columns.keys()) for name, table in tables.ALL.items()
    }
