"""Foreign bundles are kept fresh, and what changes in them reaches everybody, once."""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aiohttp import web
from rich.console import Console

from ca_kit import TRUST_DOMAIN, FakeClock, OpenCore, a_directory
from certificates import Authority, der
from featward.authority.v1 import authority_pb2
from featward.manifests.federation import Federation
from featward_ca.core import Core
from featward_ca.errors import ConfigurationError, FederationError
from featward_ca.federation.bundle import document, parse
from featward_ca.federation.fetch import fetch
from featward_ca.federation.keeper import Keeper
from featward_ca.federation.relations import Relation, relations
from featward_ca.federation.standing import interval
from featward_ca.report import show_federation, show_warnings
from featward_ca.service.admin.federation import foreign_domains
from featward_ca.trust import Trust
from federation_kit import (
    PARTNER,
    Web,
    certificate_pem,
    go_endpoint,
    serving,
    spiffe_relation,
    web_relation,
)
from service_kit import Served, headers_of

OLD, NEW = (der(Authority.root(PARTNER).certificate) for _ in range(2))


def partner_document(*roots: bytes, sequence: int | None = 5, hint: int = 600) -> bytes:
    raw = document(Trust(sequence or 0, PARTNER, roots, ()), hint)
    if sequence is None:
        raw = json.dumps({"keys": json.loads(raw)["keys"]}).encode()
    return raw


@dataclass
class Partner:
    """A partner's endpoint: what it serves, and how often it was asked."""

    content: bytes = partner_document(OLD)
    url: str = ""
    asked: int = 0
    status: int = 200

    async def answer(self, _: web.Request) -> web.Response:
        self.asked += 1
        return web.Response(body=self.content, status=self.status)


@pytest.fixture
async def partner(trusted_web: Web) -> AsyncIterator[Partner]:
    made = Partner()
    async with serving(trusted_web, made.answer) as url:
        made.url = url
        yield made


def related(core: Core, *found: Relation) -> None:
    """An edit of the manifests."""
    directory = core.situation.directory
    core.take_over(replace(directory, relations={one.trust_domain: one for one in found}))


@contextlib.asynccontextmanager
async def keeping(core: Core) -> AsyncIterator[None]:
    task = asyncio.create_task(Keeper(core, dice=lambda low, high: high).run())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  # it sets no event
            await asyncio.sleep(0.01)


async def settled(partner: Partner, core: Core, asked: int) -> None:
    """The partner was asked so often, and what it said is taken in: the keeper sleeps again."""
    await eventually(lambda: partner.asked == asked)
    sleeping = core.clock._sleepers  # type: ignore[attr-defined]
    await eventually(lambda: bool(sleeping))


async def test_a_new_root_reaches_live_streams_and_a_revoked_one_leaves_them(
    served: Served, partner: Partner, clock: FakeClock
) -> None:
    core = served.core
    stream = served.stub.WatchIdentity(metadata=headers_of((await served.attest()).svid))
    assert not (await stream.read()).trust.foreign
    related(core, Relation(PARTNER, partner.url))
    async with keeping(core):
        (told,) = (await asyncio.wait_for(stream.read(), 5)).trust.foreign
        assert (told.trust_domain, told.sequence, list(told.roots)) == (PARTNER, 5, [OLD])
        await settled(partner, core, 1)
        partner.content = partner_document(NEW, sequence=6)
        clock.advance(600)
        (told,) = (await asyncio.wait_for(stream.read(), 5)).trust.foreign
        assert (told.sequence, list(told.roots)) == (6, [NEW])
        related(core)
        assert not (await asyncio.wait_for(stream.read(), 1)).trust.foreign
    stream.cancel()


async def test_an_unchanged_bundle_with_a_new_number_is_announced_to_nobody(
    core: Core, partner: Partner, clock: FakeClock
) -> None:
    """Two domains that federate would raise each other's sequence for ever."""
    related(core, Relation(PARTNER, partner.url))
    async with keeping(core):
        await settled(partner, core, 1)
        before = core.trust.current.sequence
        partner.content = partner_document(OLD, sequence=6)
        clock.advance(600)
        await settled(partner, core, 2)
    assert (await core.foreign.rows())[PARTNER].sequence == 6
    await core.authorities.load()
    await core.announce()
    assert core.trust.current.sequence == before


async def test_an_older_bundle_is_ignored_and_said_so(
    core: Core, partner: Partner, clock: FakeClock
) -> None:
    related(core, Relation(PARTNER, partner.url))
    async with keeping(core):
        await settled(partner, core, 1)
        partner.content = partner_document(NEW, sequence=4)
        clock.advance(600)
        await settled(partner, core, 2)
        assert [one.roots for one in core.trust.current.foreign] == [(OLD,)]
        ((foreign,), _) = await foreign_domains(core)
        assert "the old sequence 4, while 5 is known" in foreign.error
        # Without a number it can't be compared, and the newest fetched counts.
        partner.content = partner_document(NEW, sequence=None)
        clock.advance(600)
        await eventually(lambda: [one.roots for one in core.trust.current.foreign] == [(NEW,)])


async def test_a_domain_that_revokes_everything_is_believed_no_more(
    core: Core, partner: Partner, clock: FakeClock
) -> None:
    related(core, Relation(PARTNER, partner.url))
    async with keeping(core):
        await settled(partner, core, 1)
        partner.content = partner_document(sequence=6)
        clock.advance(600)
        await eventually(lambda: not core.trust.current.foreign)
        await settled(partner, core, 2)
    _, (warning,) = await foreign_domains(core)
    assert warning.code == "foreign-bundle-empty"


async def test_failures_are_tried_again_ever_later_and_shown(
    core: Core, partner: Partner, clock: FakeClock
) -> None:
    partner.status = 500
    related(core, Relation(PARTNER, partner.url))
    async with keeping(core):
        for asked, seconds in enumerate([5, 10, 20, 40, 80, 160, 300, 300], 1):
            await settled(partner, core, asked)
            clock.advance(seconds - 0.1)
            await asyncio.sleep(0.02)
            assert partner.asked == asked
            clock.advance(0.2)
        await eventually(lambda: partner.asked == 9)
        ((foreign,), (warning,)) = await foreign_domains(core)
        assert (foreign.fetched_at, warning.code) == (0, "foreign-bundle-missing")
        assert "answered 500" in foreign.error
        partner.status = 200
        await settled(partner, core, 9)
        clock.advance(300)
        await settled(partner, core, 10)
        assert await foreign_domains(core) == ([await _only(core)], [])
        partner.status = 500
        clock.advance(600 * 6)
        await settled(partner, core, 11)
        ((foreign,), warnings) = await foreign_domains(core)
        assert [one.code for one in warnings] == ["foreign-bundle-stale"]
        assert foreign.fetched_at == clock.now() - 600 * 6
    series = core.metrics.render().decode()
    labels = f'trust_domain="{PARTNER}"'
    assert f'featward_ca_foreign_bundle_fetches_total{{result="failed",{labels}}} 10.0' in series
    assert f"featward_ca_foreign_bundle_sequence{{{labels}}} 5.0" in series


async def _only(core: Core) -> authority_pb2.Foreign:
    ((foreign,), _) = await foreign_domains(core)
    assert foreign.error == ""
    assert foreign.sequence == 5
    return foreign


async def test_roots_that_are_about_to_end_are_warned_of(
    core: Core, partner: Partner, clock: FakeClock
) -> None:
    related(core, Relation(PARTNER, partner.url))
    async with keeping(core):
        await settled(partner, core, 1)
    (end,) = {one.first_end for one in (await foreign_domains(core))[0]}
    clock.advance(end - clock.now() - 100)
    _, warnings = await foreign_domains(core)
    assert [one.code for one in warnings if one.due] == ["foreign-bundle-ending"]


async def test_what_was_fetched_outlives_the_ca_and_what_was_removed_meanwhile_is_gone(
    open_core: OpenCore, partner: Partner
) -> None:
    federating = a_directory(relations={PARTNER: Relation(PARTNER, partner.url)})
    core = await open_core(federating)
    async with keeping(core):
        await eventually(lambda: bool(core.trust.current.foreign))
    await core.close()
    partner.status = 500
    again = await open_core(federating)
    assert [one.roots for one in again.trust.current.foreign] == [(OLD,)]
    sequence = again.trust.current.sequence
    await again.close()
    without = await open_core(a_directory())
    assert without.trust.current.foreign == ()
    assert without.trust.current.sequence > sequence


async def test_a_bootstrap_bundle_counts_until_there_is_a_newer_one(core: Core) -> None:
    server = f"spiffe://{PARTNER}/bundles"

    async def known_by(*roots: bytes, sequence: int) -> list[bytes]:
        bootstrap = partner_document(*roots, sequence=sequence)
        given = Federation.model_validate(spiffe_relation("https://x/", server, bootstrap))
        (relation,) = relations([], [given]).values()
        await core.foreign.use({PARTNER: relation})
        anchors = await core.foreign.anchors(relation)
        assert anchors is not None
        return anchors.roots

    assert await known_by(OLD, sequence=5) == [OLD]
    await core.foreign.take(PARTNER, partner_document(NEW, sequence=6))
    assert await known_by(OLD, sequence=5) == [NEW]
    assert await known_by(OLD, sequence=7) == [OLD]
    assert parse(partner_document(NEW)).roots == (NEW,)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ([web_relation("https://x/", TRUST_DOMAIN)], "an environment of your own"),
        ([web_relation("https://x/"), web_relation("https://y/")], "twice"),
        ([spiffe_relation("https://x/", "spiffe://a/b", b"{}")], "no list named keys"),
        ([spiffe_relation("https://x/", "spiffe://A/b", b'{"keys":[]}')], "is not valid"),
        (
            [spiffe_relation("https://x/", f"spiffe://{TRUST_DOMAIN}/b", b'{"keys":[]}')],
            "one of your own environments",
        ),
    ],
    ids=["own", "twice", "bootstrap", "endpoint", "own-endpoint"],
)
def test_relations_that_could_mean_ourselves_are_refused(
    given: list[dict[str, str]], why: str
) -> None:
    with pytest.raises(ConfigurationError, match=why):
        relations([TRUST_DOMAIN], [Federation.model_validate(one) for one in given])


def test_hints_are_obeyed_within_bounds() -> None:
    assert [interval(hint) for hint in (0, 1, 300, 10**9)] == [300, 30, 300, 3600]
    assert interval(1, unsafe_short=True) == 1


async def test_a_server_is_known_by_the_newest_bundle_and_no_more_by_the_first(
    core: Core, tmp_path: Path
) -> None:
    """go-spiffe serves the bundle of its own domain, which replaces its root meanwhile."""
    server = f"spiffe://{PARTNER}/bundles"
    old, new = Authority.root(PARTNER), Authority.root(PARTNER)
    bootstrap = partner_document(der(old.certificate), sequence=1)
    given = Federation.model_validate(spiffe_relation("https://x/", server, bootstrap))
    (relation,) = relations([], [given]).values()
    await core.foreign.use({PARTNER: relation})
    roots = tmp_path / "new.pem"
    roots.write_bytes(certificate_pem(new.certificate))

    async def fetched(issuer: Authority, sequence: int) -> bool:
        folder = tmp_path / str(sequence)
        folder.mkdir()
        chain, key = issuer.intermediate("any").write_identity(folder, server)
        with go_endpoint("spiffe", roots, chain, key, sequence=sequence) as url:
            document = await fetch(url, await core.foreign.anchors(relation))
        return await core.foreign.take(PARTNER, document)

    assert await fetched(old, 2)
    assert not await fetched(new, 3)
    with pytest.raises(FederationError, match="unknown-authority"):
        await fetched(old, 4)
    assert (await core.foreign.rows())[PARTNER].sequence == 3


async def test_what_there_is_to_do_is_printed_whole(core: Core) -> None:
    core.endpoints.failed(PARTNER, "[red]no[/red] answer")
    related(core, Relation(PARTNER, "https://127.0.0.1:1/"))
    foreign, troubles = await foreign_domains(core)
    warnings = [authority_pb2.Warning(**vars(one) | {"due": int(one.due)}) for one in troubles]
    answer = authority_pb2.ShowResponse(
        foreign=foreign, warnings=warnings, server_time=core.clock.now()
    )
    with io.StringIO() as text:
        show_federation(answer, Console(file=text, width=80))
        show_warnings(answer, Console(file=text, width=80))
        said = " ".join(text.getvalue().split())
    assert f"{PARTNER} 0 never no roots [red]no[/red] answer" in said
    assert f"foreign-bundle-missing: the bundle of {PARTNER} was never fetched: [red]no" in said
    assert "until then nobody of it is believed" in said
