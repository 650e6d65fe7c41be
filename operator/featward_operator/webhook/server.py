"""HTTPS for the API server: TLS 1.3, one path, bounded bodies, and an end that loses no request.

Python's own TLS, because the API server is no client of featward's identities: it trusts the caBundle.
"""

import asyncio
from collections.abc import Callable

from aiohttp import web

from featward.listening import not_listening
from featward_operator.certificates.leaf import ServingCertificate
from featward_operator.errors import OperatorError
from featward_operator.webhook.review import MOST_BYTES
from featward_operator.webhook.serving import PATH, Admission

__all__ = ["WebhookServer"]

# Go's clients close idle connections after 90 s; whoever closes first may cut a request that is on its way.
_IDLE_SECONDS = 120.0
_BODY_SECONDS = 10.0
_REST_SECONDS = 3.0


class WebhookServer:
    """Serves from `start` to `stop`."""

    def __init__(
        self,
        admission: Admission,
        certificate: ServingCertificate,
        is_stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        """While ``is_stopping``, each kept connection ends with its next answer, and its client goes elsewhere.
        One that is cut while a request is on its way would fail it: API servers send none again."""
        self._admission = admission
        self._certificate = certificate
        self._is_stopping = is_stopping
        self._runner: web.AppRunner | None = None

    async def start(self, port: int, host: str | None = None) -> int:
        """Listen on all addresses, or one; returns the port. Raises OperatorError."""
        app = web.Application(client_max_size=MOST_BYTES)
        app.router.add_post(PATH, self._answer)
        self._runner = web.AppRunner(
            app,
            access_log=None,
            handle_signals=False,
            keepalive_timeout=_IDLE_SECONDS,
            shutdown_timeout=_REST_SECONDS,
        )
        await self._runner.setup()
        try:
            await web.TCPSite(
                self._runner, host, port, ssl_context=self._certificate.context
            ).start()
        except OSError as error:
            await self.stop()
            said = f"cannot listen on port {port}: {error.strerror or error}"
            raise OperatorError(not_listening("ports.webhook", said)) from error
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        """End what is left."""
        if self._runner:
            await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            text = (
                f"the body is larger than {MOST_BYTES} bytes, which no AdmissionReview of a pod is"
            )
            return self._response(413, text.encode())
        except TimeoutError:
            return self._response(408, b"the body did not come")
        status, answer = await self._admission.answer(request.headers.get("Content-Type", ""), body)
        return self._response(status, answer)

    def _response(self, status: int, body: bytes) -> web.Response:
        kind = "application/json" if status == 200 else "text/plain"
        response = web.Response(status=status, body=body, content_type=kind)
        if self._is_stopping() or status in (408, 413):
            response.force_close()
        return response
