"""An OIDC issuer as a process of its own: discovery, keys, tokens, over TLS.

`python oidc_issuer.py FOLDER` serves with `tls.crt` and `tls.key` of the folder on a free port and
writes the port to its output. Below /test the tests make tokens and keys, and have it misbehave.
"""

import asyncio
import json
import ssl
import sys
import time
from pathlib import Path
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

MAKERS: dict[str, Any] = {
    "RS256": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
    "weak": lambda: rsa.generate_private_key(65537, 1024),  # noqa: S505  # to be refused
}


class Issuer:
    """Its keys, how often it was asked for what, and what is wrong with it."""

    def __init__(self) -> None:
        self.address = ""
        self.keys: dict[str, tuple[str, Any]] = {}
        self.seen: dict[str, int] = {}
        self.behaviour: dict[str, Any] = {}

    def application(self) -> web.Application:
        application = web.Application(middlewares=[self._count])
        application.add_routes(
            [
                web.get("/.well-known/openid-configuration", self._discovery),
                web.get("/keys", self._keys),
                web.get("/elsewhere", self._keys),
                web.post("/test/key", self._new_key),
                web.post("/test/token", self._token),
                web.post("/test/behave", self._behave),
                web.get("/test/seen", self._seen),
            ]
        )
        return application

    @web.middleware
    async def _count(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.seen[request.path] = self.seen.get(request.path, 0) + 1
        answer: web.StreamResponse = await handler(request)
        return answer

    async def _discovery(self, _: web.Request) -> web.Response:
        if self.behaviour.get("down"):
            return web.Response(status=503)
        document = {"issuer": self.address, "jwks_uri": f"{self.address}/keys"}
        return web.json_response(document | self.behaviour.get("discovery", {}))

    async def _keys(self, request: web.Request) -> web.Response:
        if (where := self.behaviour.get("redirect")) and request.path == "/keys":
            raise web.HTTPFound(where)
        text = json.dumps({"keys": [self._public(kid) for kid in self.keys]})
        # So much white space is still JSON.
        return web.Response(text=" " * self.behaviour.get("size", 0) + text)

    def _public(self, kid: str) -> dict[str, Any]:
        name, key = self.keys[kid]
        algorithm = jwt.get_algorithm_by_name("RS256" if name == "weak" else name)
        public: dict[str, Any] = algorithm.to_jwk(key.public_key(), as_dict=True)
        return public | {"kid": kid, "use": "sig"}

    async def _new_key(self, request: web.Request) -> web.Response:
        """Make a key; the others go with `alone`."""
        asked = await request.json()
        if asked.get("alone"):
            self.keys.clear()
        self.keys[asked["kid"]] = (asked["alg"], MAKERS[asked["alg"]]())
        return web.json_response({})

    async def _token(self, request: web.Request) -> web.Response:
        """Sign claims with a key. What is None is left out."""
        asked = await request.json()
        name, key = self.keys[asked["kid"]]
        now = int(time.time())
        claims = {"iss": self.address, "iat": now, "exp": now + 600} | asked["claims"]
        claims = {name: value for name, value in claims.items() if value is not None}
        headers = {"kid": asked["kid"]} | asked.get("headers", {})
        algorithm = "RS256" if name == "weak" else name
        return web.json_response({"token": jwt.encode(claims, key, algorithm, headers)})

    async def _behave(self, request: web.Request) -> web.Response:
        self.behaviour = await request.json()
        return web.json_response({})

    async def _seen(self, _: web.Request) -> web.Response:
        return web.json_response(self.seen)


def main(folder: Path) -> None:
    issuer = Issuer()
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(folder / "tls.crt", folder / "tls.key")

    async def serve() -> None:
        runner = web.AppRunner(issuer.application())
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
        await site.start()
        issuer.address = f"https://localhost:{runner.addresses[0][1]}"
        print(json.dumps({"address": issuer.address}), flush=True)
        await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
