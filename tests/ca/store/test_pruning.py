"""What is over goes after a day, and nothing else does."""

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import func, select

from ca_kit import FakeClock, issue, key_of
from featward_ca.attest import Attested
from featward_ca.core import Core
from featward_ca.settings import DAY, HOUR
from featward_ca.store import audit, tables
from featward_ca.store.store import Connection

NAME = "prod.payments/pricing-api"


async def count(core: Core, name: str) -> int:
    query = select(func.count()).select_from(tables.ALL[name])
    return int(await core.store.read(lambda c: c.execute(query).scalar_one()))


async def test_an_svid_goes_a_day_after_nobody_can_renew_it(core: Core, clock: FakeClock) -> None:
    directory = core.situation.directory
    token, _ = await core.tokens.create(directory, NAME, HOUR, b"r" * 32)
    first = (await issue(core, await core.tokens.attest(directory, token.evidence))).row
    entries = len(await core.store.read(audit.entries))
    clock.advance(HOUR + DAY - 1)
    await core.prune()
    key = key_of(ec.generate_private_key(ec.SECP256R1()))
    assert isinstance(await core.renewals.attest(directory, first.held, key), Attested)
    clock.advance(DAY)
    await core.prune()
    assert (await count(core, "svid"), await count(core, "lineage")) == (1, 1)
    clock.advance(2)
    await core.prune()
    assert (await count(core, "svid"), await count(core, "lineage")) == (0, 0)
    assert len(await core.store.read(audit.entries)) == entries


async def test_a_lineage_stays_as_long_as_one_svid_of_it(core: Core, clock: FakeClock) -> None:
    directory = core.situation.directory
    token, _ = await core.tokens.create(directory, NAME, HOUR, b"r" * 32)
    row = (await issue(core, await core.tokens.attest(directory, token.evidence))).row
    clock.advance(DAY)
    key = key_of(ec.generate_private_key(ec.SECP256R1()))
    proof = await core.renewals.attest(directory, row.held, key)
    assert isinstance(proof, Attested)
    await issue(core, proof)
    clock.advance(DAY + 2 * HOUR)
    await core.prune()
    assert (await count(core, "svid"), await count(core, "lineage")) == (1, 1)


@pytest.mark.parametrize("more", [0, 700])
async def test_tokens_and_uses_of_tokens_go_at_their_end_and_bans_never(
    core: Core, clock: FakeClock, more: int
) -> None:
    now = clock.now()

    def fill(connection: Connection) -> None:
        rows = [
            {"token_sha256": number.to_bytes(4, "big"), "spki_sha256": b"k", "expires_at": now}
            for number in range(more + 1)
        ]
        ban = {"id": "b", "kind": "serial", "value": "5e", "reason": "", "created_by": "me"}
        connection.execute(tables.jwt_use.insert(), rows)
        connection.execute(tables.ban.insert(), {**ban, "created_at": 0.0, "expires_at": 1.0})

    await core.store.run(fill)
    await core.tokens.create(core.situation.directory, NAME, 60, b"r" * 32)
    await core.prune()
    assert (await count(core, "jwt_use"), await count(core, "join_token")) == (more + 1, 1)
    clock.advance(61)
    await core.prune()
    assert (await count(core, "jwt_use"), await count(core, "join_token")) == (0, 0)
    assert await count(core, "ban") == 1
