"""The one way to an API server: raw JSON in and out, each request with a deadline, each refusal an `ApiError`.

Login, TLS and connections are the `kubernetes` package's (aio), and this is the only module that imports it.
Objects are never read through its models: those drop fields that they don't know and weigh ten times as much.
"""

import hashlib
import logging
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode, urlsplit

import aiohttp
import yaml
from kubernetes.aio.client.configuration import Configuration
from kubernetes.aio.client.rest import RESTClientObject
from kubernetes.aio.config import ConfigException, load_incluster_config, load_kube_config

from featward.kubernetes.answers import Lines, decoded, refusal, whole
from featward.kubernetes.errors import ApiError, LoginError
from featward.kubernetes.resource import Resource
from featward.logs import fields

__all__ = ["APPLY", "IN_CLUSTER", "JSON_PATCH", "MERGE_PATCH", "Gateway", "Observe", "Query"]

IN_CLUSTER = "in-cluster"
"""Where to log in with the account of the pod that this process is in."""
MERGE_PATCH = "application/merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"

Query = Sequence[tuple[str, str]]
Observe = Callable[[str, str, str], None]
"""Told of each request: status (``<error>`` without an answer, as client-go says it), method, host."""

_log = logging.getLogger(__name__)
# Tokens of accounts are replaced when four fifths of their life are over, 48 minutes at the least.
_LOGIN_SECONDS = 60.0
_CONNECT_SECONDS = 10.0


class Gateway:
    """One API server, as one account. Used in ``async with``, or closed by `close`."""

    _configuration: Configuration
    _authorization: str | None
    _client: RESTClientObject
    # Of what the connections were made.
    _seen: str
    _read_at: float

    def __init__(
        self,
        where: str | None,
        configuration: Configuration,
        authorization: str | None,
        agent: str,
        observe: Observe | None,
        clock: Callable[[], float],
    ) -> None:
        self._where = where
        self._agent = agent
        self._observe = observe
        self._clock = clock
        self._take(configuration, authorization)

    @classmethod
    async def open(
        cls,
        where: str | None = None,
        *,
        agent: str,
        observe: Observe | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> Self:
        """Log in by a kubeconfig's path, as the pod's account (`IN_CLUSTER`), or as kubectl would (None).

        ``agent`` names us in the server's audit log. Nothing is asked yet. Raises LoginError.
        """
        return cls(where, *await _login(where), agent, observe, clock)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End all connections; requests under way fail."""
        await self._client.close()

    @property
    def server(self) -> str:
        """Its address, ``https://…``."""
        return str(self._configuration.host)

    async def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Query = (),
        content: str = "application/json",
        seconds: float = 15.0,
    ) -> Any:
        """One request and its answer as JSON, all within ``seconds``. Raises ApiError."""
        timeout = aiohttp.ClientTimeout(total=seconds)
        async with self._answer(method, path, body, query, content, timeout) as response:
            return decoded(await whole(response))

    async def apply(
        self,
        resource: Resource,
        body: dict[str, Any],
        *,
        manager: str,
        force: bool = True,
        subresource: str = "",
    ) -> dict[str, Any]:
        """Server-side apply of what ``manager`` owns of one object; returns the whole of it.

        With ``force``, fields that others hold become ours. Raises ApiError, for a field that the server does
        not know too.
        """
        metadata = body["metadata"]
        path = resource.path(metadata.get("namespace"), metadata["name"], subresource)
        query = (("fieldManager", manager), ("force", str(force).lower()))
        applied: dict[str, Any] = await self.ask("PATCH", path, body, query=query, content=APPLY)
        return applied

    async def stream(
        self, path: str, query: Query, *, idle: float, total: float
    ) -> AsyncGenerator[bytes, None]:
        """The lines of an answer as they come, for at most ``total`` seconds; then it just ends.

        Silence of ``idle`` seconds raises ApiError (``Silent``), as do refusals and lost connections. Whoever
        stops reading sooner has to close it: ``contextlib.aclosing``.
        """
        timeout = aiohttp.ClientTimeout(total=total, sock_connect=_CONNECT_SECONDS, sock_read=idle)
        async with self._answer("GET", path, None, query, "", timeout) as response:
            lines = Lines()
            try:
                async for chunk in response.content.iter_any():
                    for line in lines.feed(chunk):
                        yield line
            except aiohttp.ServerTimeoutError:
                raise ApiError(0, "Silent", None, f"nothing came for {idle:g} s") from None
            except TimeoutError:
                return
            finally:
                response.close()  # what is left of it is not waited for

    @asynccontextmanager
    async def _answer(
        self,
        method: str,
        path: str,
        body: object,
        query: Query,
        content: str,
        limits: aiohttp.ClientTimeout,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        await self._stay_logged_in()
        url = self.server + path + (f"?{urlencode(query)}" if query else "")
        headers = {"Accept": "application/json", "User-Agent": self._agent}
        if content:
            headers["Content-Type"] = content
        if self._authorization:
            headers["Authorization"] = self._authorization
        try:
            answered = await self._client.request(
                method, url, headers=headers, body=body, _request_timeout=limits
            )
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            self._count("<error>", method)
            raise _unanswered(method, path, error) from error
        response: aiohttp.ClientResponse = answered.response
        self._count(str(response.status), method)
        try:
            async with response:
                if not 200 <= response.status < 300:
                    if response.status == 401:  # the token was replaced, or has ended
                        self._read_at = float("-inf")
                    word = response.reason or ""
                    raise refusal(response.status, await whole(response), response.headers, word)
                yield response
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise _unanswered(method, path, error) from error

    def _count(self, code: str, method: str) -> None:
        if self._observe:
            self._observe(code, method, urlsplit(self.server).netloc)

    async def _stay_logged_in(self) -> None:
        """Tokens and certificates are replaced under us: read them again after a minute."""
        if self._clock() - self._read_at < _LOGIN_SECONDS:
            return
        # Before the first wait, so that one request reads and not all.
        self._read_at = self._clock()
        try:
            configuration, authorization = await _login(self._where)
            if _fingerprint(configuration) == self._seen:
                self._authorization = authorization
                return
            before = self._client
            self._take(configuration, authorization)
        except LoginError as error:
            _log.warning("login not read again; the last one stays", extra=fields(error=str(error)))
            return
        _log.info("certificates of the login changed", extra=fields(server=self.server))
        await before.close()

    def _take(self, configuration: Configuration, authorization: str | None) -> None:
        try:
            seen, client = _fingerprint(configuration), RESTClientObject(configuration)
        except OSError as error:  # ssl's are among them
            said = f"the certificates of {self._where or 'the kubeconfig'} can't be used: {error}"
            raise LoginError(
                f"{said}; they have to be PEM, and a key that of its certificate"
            ) from error
        self._configuration = configuration
        self._authorization = authorization
        self._seen = seen
        self._read_at = self._clock()
        self._client = client


def _unanswered(method: str, path: str, error: Exception) -> ApiError:
    if isinstance(error, TimeoutError):
        return ApiError(0, "Silent", None, f"{method} {path} was not answered in its time")
    return ApiError(0, "Unreachable", None, f"{method} {path}: {type(error).__name__}: {error}")


async def _login(where: str | None) -> tuple[Configuration, str | None]:
    """How to get in, and what to show: the value of the header Authorization."""
    configuration = Configuration()
    file = _kubeconfig(where)
    try:
        if file is None:
            load_incluster_config(configuration, try_refresh_token=False)
            # A proxy of the environment would be shown the account's token by nobody's decision.
            configuration.client_session_kwargs = {"trust_env": False}
        else:
            await load_kube_config(file, client_configuration=configuration, persist_config=False)
        settings = (await configuration.auth_settings()).get("BearerToken")
    except (ConfigException, OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        said = f"{type(error).__name__}: {error}"
        remedy = "correct it" if file else "run in a pod with its account, or name a kubeconfig"
        raise LoginError(f"{file or 'the pod'} gives no login: {said}; {remedy}") from error
    authorization = str(settings["value"]).strip() if settings and settings["value"] else None
    if not str(configuration.host).startswith("https://") or not configuration.verify_ssl:
        raise LoginError(
            f"{file} does not verify the API server {configuration.host}; its server has to begin with https://,"
            " with certificate-authority and without insecure-skip-tls-verify"
        )
    if authorization is None and not configuration.cert_file:
        raise LoginError(
            f"{file or 'the pod'} holds neither a token nor a certificate for its user, and nobody would"
            " know us; log in again, or name a kubeconfig that can"
        )
    return configuration, authorization


def _kubeconfig(where: str | None) -> str | None:
    """The files to read; None: the pod's account."""
    if where == IN_CLUSTER:
        return None
    told = where or os.environ.get("KUBECONFIG") or "~/.kube/config"
    paths = [Path(one).expanduser() for one in told.split(os.pathsep) if one]
    if any(path.is_file() for path in paths):
        return os.pathsep.join(map(str, paths))
    if where is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
        return None
    raise LoginError(f"there is no kubeconfig {told}; name one that is there")


def _fingerprint(configuration: Configuration) -> str:
    """What connections are made with: they have to be made anew when it changes."""
    digest = hashlib.sha256(f"{configuration.host} {configuration.tls_server_name}".encode())
    for file in (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file):
        digest.update(Path(file).read_bytes() if file else b"-")
    return digest.hexdigest()
