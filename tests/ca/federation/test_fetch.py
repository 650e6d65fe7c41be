"""Bundles are fetched from real servers: go-spiffe's in both profiles, and ones that mean no good."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import web

from certificates import Authority, der
from featward.identity.spiffe import SpiffeId
from featward_ca.errors import FederationError
from featward_ca.federation import fetch as module
from featward_ca.federation.bundle import LARGEST_DOCUMENT, parse
from featward_ca.federation.fetch import Anchors, fetch
from federation_kit import PARTNER, Web, certificate_pem, go_endpoint, serving

SERVER = f"spiffe://{PARTNER}/bundle-server"
DOCUMENT = b'{"keys": []}'


@pytest.fixture
def partner(tmp_path: Path) -> Authority:
    root = Authority.root(PARTNER)
    (tmp_path / "partner.pem").write_bytes(certificate_pem(root.certificate))
    return root


def anchors(root: Authority, spiffe_id: str = SERVER) -> Anchors:
    return Anchors(SpiffeId.parse(spiffe_id), [der(root.certificate)])


async def test_a_bundle_of_go_spiffe_comes_by_a_certificate_of_the_web(
    trusted_web: Web, partner: Authority, tmp_path: Path
) -> None:
    roots = tmp_path / "partner.pem"
    with go_endpoint("web", roots, trusted_web.chain, trusted_web.key, sequence=9, hint=60) as url:
        bundle = parse(await fetch(url, None))
    assert (bundle.sequence, bundle.refresh_hint) == (9, 60)
    assert bundle.roots == (der(partner.certificate),)


async def test_a_bundle_of_go_spiffe_comes_by_the_identity_of_its_server(
    partner: Authority, tmp_path: Path
) -> None:
    chain, key = partner.intermediate("any").write_identity(tmp_path, SERVER)
    with go_endpoint("spiffe", tmp_path / "partner.pem", chain, key, sequence=9) as url:
        bundle = parse(await fetch(url, anchors(partner)))
        assert (bundle.sequence, bundle.roots) == (9, (der(partner.certificate),))
        with pytest.raises(FederationError, match="wrong-identity"):
            await fetch(url, anchors(partner, f"spiffe://{PARTNER}/other"))
        with pytest.raises(FederationError, match="unknown-authority"):
            await fetch(url, anchors(Authority.root(PARTNER)))


async def test_a_server_that_the_machine_does_not_trust_is_not_heard(
    tmp_path: Path, trusted_web: Web
) -> None:
    other = Web.make(tmp_path / "other")
    async with serving(other, answer) as url:
        with pytest.raises(FederationError, match="CERTIFICATE_VERIFY_FAILED"):
            await fetch(url, None)
    async with serving(trusted_web, answer) as url:
        with pytest.raises(FederationError, match="localhost"):
            await fetch(url.replace("127.0.0.1", "localhost"), None)


async def test_redirects_are_followed_to_what_is_an_endpoint_and_not_for_ever(
    trusted_web: Web,
) -> None:
    async def redirect(request: web.Request) -> web.Response:
        target = request.query.get("to", "/")
        return web.Response(status=307, headers={"Location": target})

    async with serving(trusted_web, answer) as there, serving(trusted_web, redirect) as here:
        assert await fetch(f"{here}?to={there}", None) == DOCUMENT
        for bad in ("http://127.0.0.1/", "https://u:p@127.0.0.1/", "file:///etc/hosts", ""):
            with pytest.raises(FederationError, match="redirects to"):
                await fetch(f"{here}?to={bad}", None)
        with pytest.raises(FederationError, match="more than 3 redirects"):
            await fetch(f"{here}?to=/%3Fto=/", None)


async def test_what_a_server_sends_has_bounds(
    trusted_web: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            for _ in range(LARGEST_DOCUMENT // 1024 * 4):
                await response.write(b" " * 1024)
        return response

    async def missing(_: web.Request) -> web.Response:
        return web.Response(status=404)

    async def packed(request: web.Request) -> web.Response:
        assert request.headers["Accept-Encoding"] == "identity"
        return await answer(request)

    async with serving(trusted_web, endless) as url:
        with pytest.raises(FederationError, match="more than 524288 bytes"):
            await fetch(url, None)
    async with serving(trusted_web, missing) as url:
        with pytest.raises(FederationError, match="answered 404"):
            await fetch(url, None)
    async with serving(trusted_web, packed) as url:
        assert await fetch(url, None) == DOCUMENT
    monkeypatch.setattr(module, "_SECONDS", 0.2)
    async with silent() as url:
        for way in (None, anchors(Authority.root(PARTNER))):
            with pytest.raises(FederationError, match=r"did not answer within 0\.2 s"):
                await fetch(url, way)


async def test_a_server_that_is_not_there_is_one_sentence(trusted_web: Web) -> None:
    async with silent() as url:
        pass
    for way in (None, anchors(Authority.root(PARTNER))):
        with pytest.raises(FederationError, match=r"can't be fetched: .+"):
            await fetch(url, way)


async def answer(_: web.Request) -> web.Response:
    return web.Response(body=DOCUMENT)


@contextlib.asynccontextmanager
async def silent() -> AsyncIterator[str]:
    """Accepts and says nothing."""
    ended = asyncio.Event()

    async def wait(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await ended.wait()
        writer.close()

    server = await asyncio.start_server(wait, "127.0.0.1", 0)
    async with server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
        ended.set()
