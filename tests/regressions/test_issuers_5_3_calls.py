"""Defects of other issuers in who may call what, how often, and what comes back; one test each, named
after the defect.
"""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, insert

from ca_kit import TRUST_DOMAIN, OpenCore, a_request
from certificates import Environment, der
from echo import unary
from featward.authority.v1 import authority_pb2
from featward.errors import SpiffeIdError
from featward.identity.spiffe import SpiffeId
from featward.identity.v1 import identity_pb2
from featward_ca.clock import Clock
from featward_ca.errors import ConfigurationError
from featward_ca.manifests import read_directory
from featward_ca.requests import public_key_of, spki
from featward_ca.rotation.states import State
from featward_ca.service.admin.clients import client
from featward_ca.service.admin.messages import authority
from featward_ca.service.paging import LARGEST_PAGE
from featward_ca.service.peers import PeerKind
from featward_ca.service.rpcs import RPCS
from featward_ca.settings import HOUR
from featward_ca.store import living, tables
from featward_ca.store.authority_rows import AuthorityRow
from featward_ca.store.clients import ClientRow
from featward_engine import IssuingError, judge, prepare_leaves
from fronted_ca import Fronted, fronted_ca
from service_kit import NAME, Served, refused, serving

SPIFFE_ID = f"spiffe://{TRUST_DOMAIN}/bu/payments/svc/pricing-api"
# What a caller is as well.
ALSO = {PeerKind.OPERATOR: {PeerKind.SVID}}


async def outcome(fronted: Fronted, kind: PeerKind, path: str) -> grpc.StatusCode:
    """What an empty call ends in, or OK for a stream that was opened."""
    opened = fronted.channels[kind]
    try:
        if path.endswith("/WatchIdentity"):
            stream: Any = opened.stream_stream(f"/{path}")(timeout=20)
            await stream.read()
            stream.cancel()
        else:
            await unary(opened, f"/{path}")(b"", timeout=20)
    except grpc.aio.AioRpcError as error:
        return error.code()
    return grpc.StatusCode.OK


async def test_every_call_is_refused_to_callers_outside_its_row(tmp_path: Path) -> None:
    """The whole table by all kinds of caller, each by the way in that it has."""
    wrong = {}
    async with fronted_ca(tmp_path) as fronted:
        assert fronted.channels.keys() == set(PeerKind)
        for path, row in RPCS.items():
            for kind in PeerKind:
                code = await outcome(fronted, kind, path)
                # The admin socket does not serve it at all.
                absent = kind is PeerKind.ADMIN and "IdentityService" in path
                expected = "UNIMPLEMENTED" if absent else "PERMISSION_DENIED"
                if (code.name == expected) == bool(row.callers & {kind, *ALSO.get(kind, ())}):
                    wrong[path, kind] = code
    assert not wrong


async def test_one_of_fifty_concurrent_uses_of_a_token_wins(
    open_core: OpenCore, clock: Clock, tmp_path: Path
) -> None:
    """A deletion that did not say whether it deleted let two through. On both databases, and there
    at two replicas where there are any.
    """
    core = await open_core()
    other = await open_core() if core.store.shared else core
    token, _ = await core.tokens.create(core.situation.directory, NAME, HOUR, b"r" * 32)
    evidence = identity_pb2.Evidence(join_token=token.evidence)
    folders = [tmp_path / name for name in ("one", "other")]
    for folder in folders:
        folder.mkdir()

    async def use(served: Served) -> grpc.StatusCode:
        request = identity_pb2.AttestRequest(evidence=evidence, csr=a_request())
        call: Any = served.stub.Attest(request)
        return await call.code()  # type: ignore[no-any-return]

    async with serving(core, clock, folders[0]) as a, serving(other, clock, folders[1]) as b:
        codes = await asyncio.gather(*(use(served) for served in (a, b) * 25))
    assert Counter(codes) == {grpc.StatusCode.OK: 1, grpc.StatusCode.UNAUTHENTICATED: 49}
    assert (await core.store.read(lambda c: living.live(c, clock.now()))).svids == 1


def _crowd(served: Served) -> Callable[[Connection], None]:
    """More clients and bans than one page holds."""
    now = int(served.core.clock.now())
    authority_id = served.core.authorities.active("prod.payments").row.id
    lineage: dict[str, object] = {
        "spiffe_id": SPIFFE_ID,
        "workload": NAME,
        "method": "unix",
        "started_at": now,
    }
    svid: dict[str, object] = {
        "spiffe_id": SPIFFE_ID,
        "authority": authority_id,
        "spki_sha256": b"k",
        "cap": "svid-ttl",
    }
    svid |= {"issued_at": now, "not_before": now, "not_after": now + 3600, "renew_at": now + 1800}
    ban = {"kind": "serial", "reason": "test", "created_by": "test", "created_at": now}
    ids = [f"{number:032x}" for number in range(LARGEST_PAGE + 1)]

    def work(connection: Connection) -> None:
        rows = [lineage | {"id": one, "acknowledged_sequence": 0} for one in ids]
        connection.execute(insert(tables.lineage), rows)
        signed = {"replica": "", "certificate": b"c"}
        rows = [svid | signed | {"serial": one, "lineage": one} for one in ids]
        connection.execute(insert(tables.svid), rows)
        connection.execute(insert(tables.ban), [ban | {"id": one, "value": one} for one in ids])

    return work


async def test_page_sizes_are_clamped(served: Served) -> None:
    """Whoever could name the size of an answer could name the size of the server."""
    await served.core.store.run(_crowd(served))
    for wished, given_ in ((2**32 - 1, LARGEST_PAGE), (0, 100), (1, 1)):
        clients = await served.admin.ListClients(authority_pb2.ListClientsRequest(limit=wished))
        assert (len(clients.clients), clients.total) == (given_, LARGEST_PAGE + 1)
        bans = await served.admin.ListBans(authority_pb2.ListBansRequest(limit=wished))
        assert len(bans.bans) == given_


_WORDS = st.text("abcdef", min_size=1, max_size=4)
_NUMBERS = st.integers(1, 2**31)
CLIENTS = st.builds(
    ClientRow, _WORDS, _WORDS, _WORDS, _WORDS, st.booleans(), _NUMBERS, _WORDS, _WORDS, _NUMBERS,
    st.floats(1, 2e9), _WORDS, _NUMBERS,
)  # fmt: skip
AUTHORITIES = st.builds(
    AuthorityRow, _WORDS, _WORDS, _NUMBERS, _WORDS, st.sampled_from(State), st.binary(min_size=1),
    st.binary(min_size=1), _WORDS, _NUMBERS, _NUMBERS, st.binary(min_size=1), st.floats(1, 2e9),
    _NUMBERS, st.floats(1, 2e9), _NUMBERS, st.floats(1, 2e9), _NUMBERS, st.floats(1, 2e9),
    st.binary(min_size=1),
)  # fmt: skip
# Columns that nobody is told of, and among them those that must never be.
UNTOLD = {
    "workload",
    "key",
    "csr",
    "certificate",
    "announced_at",
    "activated_at",
    "activated_sequence",
    "tainted_at",
    "revoked_at",
}


def copied(row: Any, other: Any, message: Callable[[Any], Message]) -> dict[str, set[str]]:
    """For each column that is changed alone: the fields of the answer that change with it."""
    before, found = message(row), {}
    for column in fields(row):
        value = getattr(other, column.name)
        if value == getattr(row, column.name):
            continue
        after = message(replace(row, **{column.name: value}))
        names = [field.name for field in before.DESCRIPTOR.fields]
        found[column.name] = {n for n in names if getattr(before, n) != getattr(after, n)}
    return found


@given(CLIENTS, CLIENTS, AUTHORITIES, AUTHORITIES)
def test_no_answer_copies_fields_it_was_not_asked_for(
    client_: ClientRow, other_client: ClientRow, authority_: AuthorityRow, other: AuthorityRow
) -> None:
    """What the operator reads: a column reaches the field of its own name or none, never another."""
    renamed = {"serial": "serial_in_use"}
    for found in (copied(client_, other_client, client), copied(authority_, other, authority)):
        for column, reached in found.items():
            assert reached == (set() if column in UNTOLD else {renamed.get(column, column)})


async def test_no_answer_to_the_operator_holds_a_secret(tmp_path: Path) -> None:
    async with fronted_ca(tmp_path) as fronted:
        core, opened = fronted.served.core, fronted.channels[PeerKind.OPERATOR]
        await fronted.served.attest()
        token, _ = await core.tokens.create(core.situation.directory, NAME, HOUR, b"r" * 32)
        rows = [row for row in core.authorities.rows if row.key]
        secrets = [token.secret, token.evidence.encode(), *(row.key for row in rows if row.key)]
        answers = [await unary(opened, f"/{path}")(b"", timeout=20) for path in READ_BY_OPERATOR]
    assert len(answers) == 2
    assert all(len(answer) > 50 for answer in answers)
    assert not [secret for secret in secrets for answer in answers if secret in answer]


READ_BY_OPERATOR = [
    path for path, row in RPCS.items() if PeerKind.OPERATOR in row.callers and not row.changes
]
HOSTILE = ["/bu/payments/../risk/svc/a", "/bu//svc/a", "/bu/payments/svc/a/", "/bu/payments/./a"]
HOSTILE += [
    "/bu/payments/svc/%61",
    "/bu/payments/svc/a b",
    "/bu/payments/svc/a?b",
    "/bu/p/svc/\u00e9",
]


async def test_spiffe_paths_are_checked_on_every_way_in(served: Served) -> None:
    """One way in that did not check was enough. The ways: parsing, bans, the signer, handshakes."""
    for path in HOSTILE:
        await _refused_everywhere(served, path)


async def _refused_everywhere(served: Served, path: str) -> None:
    text = f"spiffe://{TRUST_DOMAIN}{path}"
    with pytest.raises(SpiffeIdError):
        SpiffeId.parse(text)
    code, _ = await refused(
        served.admin.AddBan(authority_pb2.AddBanRequest(spiffe_id=text, reason="x"))
    )
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    issuer = served.core.authorities.active("prod.payments")
    now, key = int(served.core.clock.now()), spki(public_key_of(a_request()))
    with pytest.raises(IssuingError):
        prepare_leaves(issuer.row.der, "/bu/payments/", [(key, text, b"\1" * 16, now, now + 60)])
    environment = Environment()
    try:
        leaf = environment.payments.leaf(text, public_key_of(a_request()))
    except ValueError:  # the certificate can't even be made
        return
    question = {
        "trust_domain": TRUST_DOMAIN,
        "roots": [root.hex() for root in environment.roots],
        "scopes": [[digest.hex(), prefix] for digest, prefix in environment.scopes],
        "chain": [der(leaf).hex(), der(environment.payments.certificate).hex()],
        "at": time.time(),
    }
    answer = json.loads(judge(json.dumps(question).encode()))
    assert (answer["accepted"], answer["cause"]) == (False, "bad-svid")


@pytest.mark.parametrize("name", ["a/b", "..", "a%2fb", "A", "a b", ""])
def test_names_that_become_paths_are_checked_in_manifests(name: str, tmp_path: Path) -> None:
    unit = (
        "{apiVersion: featward.dev/v1alpha1, kind: BusinessUnit, metadata: {name: prod.payments}}"
    )
    spec = json.dumps({"businessUnit": "prod.payments", "name": name})
    head = "apiVersion: featward.dev/v1alpha1\nkind"
    (tmp_path / "all.yaml").write_text(
        f"{head}: Environment\nmetadata: {{name: prod}}\nspec: {{trustDomain: {TRUST_DOMAIN}}}\n"
        f"---\n{unit}\n---\n{head}: Workload\nmetadata: {{name: w}}\nspec: {spec}\n"
    )
    with pytest.raises(ConfigurationError):
        read_directory(tmp_path, "prod")
