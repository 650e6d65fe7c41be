"""What every store promises, whichever database is behind it."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator

import psycopg
import pytest
from sqlalchemy import text

import postgres_kit
from featward_ca.errors import ConfigurationError, NotAttestedError, StoreError
from featward_ca.store.engines import open_store
from featward_ca.store.store import Connection, Store


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    store = open_store(store_url)
    yield store
    store.close()


def raise_sequence(connection: Connection) -> int:
    connection.execute(text("UPDATE trust SET sequence = sequence + 1"))
    return sequence(connection)


def sequence(connection: Connection) -> int:
    return int(connection.execute(text("SELECT sequence FROM trust")).scalar_one())


def refuse(connection: Connection) -> None:
    raise_sequence(connection)
    raise NotAttestedError("no")


async def test_exclusive_work_sees_what_was_run_before_and_is_seen_after(store: Store) -> None:
    assert await store.run(raise_sequence) == 1
    assert await store.exclusive(raise_sequence) == 2
    assert await store.read(sequence) == 2


async def test_what_work_raises_undoes_it_and_reaches_its_caller(store: Store) -> None:
    for perform in (store.run, store.exclusive):
        with pytest.raises(NotAttestedError):
            await perform(refuse)
        with pytest.raises(StoreError, match=r"could not write: .*(nowhere|nothing)"):
            await perform(lambda c: c.execute(text("SELECT nothing FROM nowhere")))
    assert await store.read(sequence) == 0


async def test_exclusive_work_of_two_replicas_follows_one_after_the_other(
    store: Store, store_url: str
) -> None:
    other = open_store(store_url)
    assert other.replica != store.replica
    turns = [perform.exclusive(raise_sequence) for perform in (store, other) * 20]
    assert sorted(await asyncio.gather(*turns)) == list(range(1, 41))
    other.close()


@pytest.mark.parametrize("address", ["mysql://host/x", "nothing", "sqlite://"])
def test_an_address_of_no_known_store_is_refused(address: str) -> None:
    with pytest.raises(ConfigurationError, match="store"):
        open_store(address)


@pytest.mark.parametrize("address", ["postgresql://u@h:port/d", "postgresql://h/d?password=s3cret"])
def test_an_address_that_can_not_be_used_is_refused_without_its_secret(address: str) -> None:
    with pytest.raises(ConfigurationError, match="store's address") as refusal:
        open_store(address)
    assert "s3cret" not in str(refusal.value)


async def test_neighbours_of_work_that_fails_are_committed_once(store: Store) -> None:
    pieces = [raise_sequence, refuse, raise_sequence]
    outcomes = await asyncio.gather(*map(store.run, pieces), return_exceptions=True)
    assert outcomes[::2] == [1, 2]
    assert isinstance(outcomes[1], NotAttestedError)
    assert await store.read(sequence) == 2


async def test_what_another_replica_wrote_in_between_is_judged_and_no_failure(
    store: Store, store_url: str
) -> None:
    """As a renewal is: looked for first, written then, unique in the table."""
    others = [store, *(open_store(store_url) for _ in range(3))]

    def claim(connection: Connection) -> None:
        if connection.execute(text("SELECT 1 FROM namespace_pin")).first():
            raise NotAttestedError("another was faster")
        connection.execute(text("INSERT INTO namespace_pin VALUES ('c', 'n', 'b', 0)"))

    claims = [each.run(claim) for each in others * 10]
    outcomes = await asyncio.gather(*claims, return_exceptions=True)
    assert [outcome for outcome in outcomes if not isinstance(outcome, NotAttestedError)] == [None]
    for other in others[1:]:
        other.close()


async def test_replicas_that_wait_for_each_other_both_get_through(postgresql_url: str) -> None:
    stores = [open_store(postgresql_url) for _ in range(2)]
    both_hold_one = threading.Barrier(2)

    def work(first: str, second: str) -> Callable[[Connection], None]:
        def perform(connection: Connection) -> None:
            connection.execute(text(first))
            if not both_hold_one.broken:
                with contextlib.suppress(threading.BrokenBarrierError):
                    both_hold_one.wait(5)
                    both_hold_one.abort()
            connection.execute(text(second))

        return perform

    statements = (
        "UPDATE trust SET sequence = sequence + 1",
        "UPDATE issuance SET clock_high = clock_high + 1",
    )
    await asyncio.gather(stores[0].run(work(*statements)), stores[1].run(work(*statements[::-1])))
    assert await stores[0].read(sequence) == 2
    for store in stores:
        store.close()


async def test_replicas_that_start_at_once_bring_the_schema_up_to_date_once(
    postgresql_url: str,
) -> None:
    opening = (asyncio.to_thread(open_store, postgresql_url) for _ in range(4))
    stores = await asyncio.gather(*opening)
    for store in stores:
        assert await store.read(sequence) == 0
        store.close()


def test_a_database_that_forgets_what_it_has_answered_is_refused(
    postgresql: postgres_kit.Server,
) -> None:
    with postgresql.database() as url:
        postgresql.execute("ALTER ROLE postgres SET synchronous_commit = off")
        with pytest.raises(ConfigurationError, match="synchronous_commit = off"):
            open_store(url)
        postgresql.execute("ALTER ROLE postgres RESET synchronous_commit")


def test_a_store_that_is_not_there_says_what_to_do(postgresql: postgres_kit.Server) -> None:
    with pytest.raises(StoreError, match="createdb"):
        open_store(f"postgresql+psycopg://postgres:secret@/nowhere?host={postgresql.folder}")
    with pytest.raises(StoreError, match="can't be opened") as said:
        open_store("postgresql+psycopg://postgres:secret@/nowhere?host=/nowhere")
    assert "secret" not in str(said.value)


@pytest.mark.parametrize("table", ["audit", "rotation_event"])
def test_what_is_append_only_stays_so_in_postgresql(
    postgresql: postgres_kit.Server, table: str
) -> None:
    with postgresql.database() as url:
        open_store(url).close()
        name = url.split("@/")[1].split("?")[0]
        for change in (f"UPDATE {table} SET time = 0", f"DELETE FROM {table}", f"TRUNCATE {table}"):  # noqa: S608
            with pytest.raises(psycopg.errors.RaiseException, match="append-only"):
                postgresql.execute(change, name)
