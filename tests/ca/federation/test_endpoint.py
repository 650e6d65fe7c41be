"""Our bundle endpoint, asked by go-spiffe and by those who want to keep it busy."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from typer.testing import CliRunner

from ca_kit import TRUST_DOMAIN, FakeClock
from featward_ca.cli import app
from featward_ca.core import Core
from featward_ca.errors import ConfigurationError
from featward_ca.federation import endpoint as module
from featward_ca.federation.bundle import parse
from featward_ca.federation.endpoint import BundleEndpoint
from featward_ca.federation.fetch import fetch
from featward_ca.rotation.actions import Begin
from featward_ca.rotation.known import ROOT
from featward_ca.rotation.states import Kind
from featward_ca.service.admin.federation import foreign_domains
from featward_ca.settings import HOUR
from federation_kit import Web, go


@contextlib.asynccontextmanager
async def published(core: Core, web: Web) -> AsyncIterator[str]:
    endpoint = BundleEndpoint(core, web.chain, web.key)
    address = await endpoint.start("127.0.0.1:0")
    tasks = [asyncio.create_task(work) for work in (endpoint.run(), endpoint.keep_certificate())]
    try:
        yield f"https://{address}/"
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await endpoint.stop()


async def test_go_spiffe_reads_our_bundle(core: Core, trusted_web: Web) -> None:
    async with published(core, trusted_web) as url:
        found = await asyncio.to_thread(go, "fetch", url, TRUST_DOMAIN, trusted_web.roots)
    trust = core.trust.current
    assert found["roots"] == [sha256(root).hexdigest() for root in trust.roots]
    assert (found["sequence"], found["hint"]) == (trust.sequence, 300)


async def test_it_serves_the_newest_roots_and_nothing_but_the_bundle(
    core: Core, trusted_web: Web
) -> None:
    async with published(core, trusted_web) as url:
        before = parse(await fetch(url, None))
        await begin(core)
        after = parse(await fetch(url, None))
        assert len(after.roots) == 2 == len(set(after.roots) | set(before.roots))
        assert (after.sequence or 0) > (before.sequence or 0)
        async with session(trusted_web) as client:
            for method, path, status in (
                ("HEAD", "", 200),
                ("POST", "", 405),
                ("GET", "other", 404),
                ("GET", "?x=1", 200),
            ):
                async with client.request(method, url + path) as answer:
                    assert (method, path, answer.status) == (method, path, status)
            async with client.get(url) as answer:
                assert answer.content_type == "application/json"


async def test_a_new_root_signs_only_after_federated_peers_had_the_time_to_fetch_it(
    core: Core, trusted_web: Web, clock: FakeClock
) -> None:
    first = core.authorities.root.row.id
    async with published(core, trusted_web):
        await begin(core)
        assert core.authorities.root.row.id == first
        assert len(core.trust.current.roots) == 2
        clock.advance(5 * 300 - 1)
        await core.tend()
        assert core.authorities.root.row.id == first
        clock.advance(1)
        await core.tend()
        assert core.authorities.root.row.id != first


async def begin(core: Core) -> None:
    """Begin to replace the root."""
    before = core.authorities.root.row.id
    wanted = Begin(ROOT, Kind.MANUAL, "admin", "a test", HOUR, predecessor=before)
    await core.carry_out.do(wanted, core.terms)
    await core.tend()


async def test_only_tls_1_3_is_spoken(core: Core, trusted_web: Web) -> None:
    async with published(core, trusted_web) as url:
        old = ssl.create_default_context(cafile=str(trusted_web.roots))
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await connect(url, old)
        _, writer = await connect(url, ssl.create_default_context(cafile=str(trusted_web.roots)))
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.3"
        writer.close()


async def test_a_renewed_certificate_is_used_without_a_restart_and_a_bad_one_is_not(
    core: Core, trusted_web: Web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LOOK_SECONDS", 0.01)
    async with published(core, trusted_web) as url:
        trusted_web.key.write_text("no key")
        await asyncio.sleep(0.1)
        await fetch(url, None)
        fresh = Web.make(tmp_path / "web", days=20)
        assert fresh == trusted_web
        leaf = x509.load_pem_x509_certificate(fresh.chain.read_bytes())
        async with asyncio.timeout(10):
            while core.endpoints.certificate != leaf:  # noqa: ASYNC110  # it sets no event
                await asyncio.sleep(0.01)
        await fetch(url, None)


async def test_its_end_is_warned_of(core: Core, tmp_path: Path, clock: FakeClock) -> None:
    web = Web.make(tmp_path / "ending", days=5, now=clock.now())
    async with published(core, web):
        _, (warning,) = await foreign_domains(core)
    assert warning.code == "bundle-certificate-ending"
    purpose = 'owner="federation",purpose="bundle-endpoint"'
    text = core.metrics.render().decode()
    ends = clock.now() + 5 * 86400
    assert f"featward_certificate_expiry_timestamp_seconds{{{purpose}}} {ends:.7e}" in text


@pytest.mark.parametrize("broken", ["chain", "key", "other"])
async def test_a_certificate_that_cannot_be_used_stops_the_start(
    core: Core, tmp_path: Path, broken: str
) -> None:
    web, other = Web.make(tmp_path / "a"), Web.make(tmp_path / "b")
    key = other.key if broken == "other" else web.key
    if broken != "other":
        getattr(web, broken).write_text("nothing")
    with pytest.raises(ConfigurationError, match="can't be used"):
        await BundleEndpoint(core, web.chain, key).start("127.0.0.1:0")
    with pytest.raises(ConfigurationError, match="can't listen"):
        await BundleEndpoint(core, other.chain, other.key).start("127.0.0.1:99999")


async def test_one_source_is_turned_away_before_its_handshake(
    core: Core, trusted_web: Web, clock: FakeClock
) -> None:
    context = ssl.create_default_context(cafile=str(trusted_web.roots))
    async with published(core, trusted_web) as url:
        for _ in range(10):
            await fetch(url, None)
        with pytest.raises((ConnectionError, ssl.SSLError)):
            await connect(url, context)
        clock.advance(1)
        await fetch(url, None)
    assert 'featward_ca_bundle_requests_total{result="refused"} 1.0' in _series(core)


async def test_connections_that_do_nothing_end(
    core: Core, trusted_web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_HANDSHAKE_SECONDS", 0.2)
    monkeypatch.setattr(module, "_CONNECTION_SECONDS", 0.2)
    async with published(core, trusted_web) as url:
        port = int(url.rstrip("/").rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        context = ssl.create_default_context(cafile=str(trusted_web.roots))
        reader, writer = await connect(url, context)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        with contextlib.suppress(ConnectionError):
            assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        await fetch(url, None)


async def connect(
    url: str, context: ssl.SSLContext
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    port = int(url.rstrip("/").rpartition(":")[2])
    return await asyncio.open_connection("127.0.0.1", port, ssl=context)


def session(web: Web) -> aiohttp.ClientSession:
    context = ssl.create_default_context(cafile=str(web.roots))
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))


def _series(core: Core) -> str:
    return core.metrics.render().decode()


@pytest.mark.parametrize("given", [("--bundle-listen", "127.0.0.1:0"), ("--bundle-key", "k")])
def test_its_options_go_together(tmp_path: Path, given: tuple[str, str]) -> None:
    needed = ["--environment", "prod", "--data", str(tmp_path), "--manifests", str(tmp_path)]
    done = CliRunner().invoke(app, ["serve", *needed, *given])
    assert done.exit_code == 2
    assert "go together: give all or none" in " ".join(done.output.replace("│", " ").split())
