"""What every store promises, whichever database is behind it."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import text

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
        with pytest.raises(StoreError, match="log says why"):
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
