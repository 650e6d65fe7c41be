"""The two questions that the CA asks a cluster's API server: whose token is this, and whose
namespace?

Over aiohttp, which the CA has anyway: the `kubernetes` package would add 21 MB of memory and a
second of start for two requests.
"""

import json
import logging
from typing import Any

import aiohttp

from featward.logs import fields
from featward_ca.attest.kubeconfig import read_login
from featward_ca.attest.tokens import CANNOT_JUDGE
from featward_ca.errors import ConfigurationError, LaterError

_log = logging.getLogger(__name__)
SECONDS = 5.0
# A TokenReview's answer has some 3 kB; a namespace may carry large annotations of other tools.
_LARGEST_ANSWER = 1024 * 1024
_REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
_RETRY_SECONDS = 2.0


class ClusterApi:
    """One cluster's API server. Calls raise LaterError when it can't be asked."""

    def __init__(self, name: str, where: str) -> None:
        """`where` is what `read_login` takes. Raises ConfigurationError."""
        self.name = name
        self._where = where
        self._login = read_login(where)
        self._session: aiohttp.ClientSession | None = None

    async def review(self, token: str, audience: str) -> dict[str, Any]:
        """What the server says of a token for this audience: the status of a TokenReview."""
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenReview",
            "spec": {"token": token, "audiences": [audience]},
        }
        answer = await self._ask("POST", _REVIEWS, body)
        status = (answer or {}).get("status")
        if not isinstance(status, dict):
            raise self._later("it answered a TokenReview without a status")
        return status

    async def labels(self, namespace: str) -> dict[str, str] | None:
        """The labels of a namespace; None: there is none of that name."""
        answer = await self._ask("GET", f"/api/v1/namespaces/{namespace}")
        if answer is None:
            return None
        labels = answer.get("metadata", {}).get("labels") or {}
        return {str(key): str(value) for key, value in labels.items()}

    async def close(self) -> None:
        """End its connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _ask(
        self, method: str, path: str, body: dict[str, Any] | None = None
    ) -> dict[str, Any] | None:
        try:
            session = await self._current()
            async with session.request(
                method,
                self._login.server + path,
                json=body,
                headers=self._login.headers(),
                allow_redirects=False,
                server_hostname=self._login.server_name,
            ) as response:
                if response.status == 404 and method == "GET":
                    return None
                if response.status not in (200, 201):
                    raise self._later(f"it answers {response.status} to {method} {path}")
                return await self._read(response)
        except (TimeoutError, aiohttp.ClientError, ValueError) as error:
            raise self._later(f"{type(error).__name__}: {error}") from error
        except ConfigurationError as error:
            raise self._later(str(error)) from error

    async def _read(self, response: aiohttp.ClientResponse) -> dict[str, Any]:
        raw = bytearray()
        async for chunk in response.content.iter_any():
            raw += chunk
            if len(raw) > _LARGEST_ANSWER:
                raise self._later("its answer is larger than any of this kind")
        read = json.loads(raw)
        if not isinstance(read, dict):
            raise self._later("its answer is no JSON object")
        return read

    async def _current(self) -> aiohttp.ClientSession:
        """Connections with the newest login."""
        if not self._login.is_fresh:
            self._login = read_login(self._where)
            await self.close()
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=self._login.tls),
                timeout=aiohttp.ClientTimeout(total=SECONDS),
                headers={"Accept": "application/json"},
            )
        return self._session

    def _later(self, why: str) -> LaterError:
        """Log why the server is of no help, and tell the caller only that."""
        _log.error("cluster not asked", extra=fields(cluster=self.name, error=why))
        return LaterError(CANNOT_JUDGE, _RETRY_SECONDS)
