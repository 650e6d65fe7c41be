"""The webhook as a part of the operator: what each replica serves, and what its leader keeps."""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine
from contextlib import suppress
from dataclasses import replace
from importlib.metadata import version
from typing import Any

from featward.kubernetes.elector import Lost
from featward.kubernetes.errors import ApiError
from featward.logs import fields
from featward_operator.certificates.authority import Kept
from featward_operator.certificates.follower import CertificateFollower
from featward_operator.certificates.keeper import CertificateKeeper
from featward_operator.certificates.leaf import ServingCertificate
from featward_operator.certificates.overlap import Lives
from featward_operator.health import Gate
from featward_operator.injection.configured import injection_settings
from featward_operator.injection.section import InjectionSection
from featward_operator.run import Operator, Part
from featward_operator.settings import Settings
from featward_operator.webhook.cluster_age import LOOK_SECONDS, ask_age
from featward_operator.webhook.known import Known
from featward_operator.webhook.metrics import WebhookMetrics
from featward_operator.webhook.server import WebhookServer
from featward_operator.webhook.serving import Admission

__all__ = ["server_names", "webhook_part"]

# What readiness waits for when the process is to end.
STOPPING = "process"
_log = logging.getLogger(__name__)


def webhook_part(
    section: Callable[[Settings], InjectionSection],
    *,
    port: int,
    lives: Lives | None = None,
    further_names: tuple[str, ...] = (),
) -> Part:
    """``section``: where the settings have what is said of injection. ``lives`` and ``further_names`` of the
    certificate are for tests."""

    async def serve(operator: Operator, gate: Gate) -> None:
        names = (*server_names(operator.settings), *further_names)
        certificate = ServingCertificate(names, (lives or Lives()).leaf)
        await _Serving(operator, section(operator.settings), certificate).run(port, gate)

    async def lead(operator: Operator, lost: Lost) -> None:
        namespace = operator.settings.namespace
        keeper = CertificateKeeper(operator.gateway, operator.events, namespace, lives=lives)
        keeping = asyncio.create_task(keeper.run())
        try:
            await lost.wait()
        finally:
            keeping.cancel()
            with suppress(asyncio.CancelledError):
                await keeping

    return Part("webhook", serve, lead)


def server_names(settings: Settings) -> tuple[str, ...]:
    """What API servers may call the webhook by."""
    service = f"{settings.service_name}.{settings.namespace}.svc"
    return service, f"{service}.{settings.cluster_domain}"


class _Serving:
    def __init__(
        self, operator: Operator, section: InjectionSection, certificate: ServingCertificate
    ) -> None:
        self._operator = operator
        self._settings = injection_settings(operator.settings, section, version("featward"))
        self._certificate = certificate
        self._metrics = WebhookMetrics(operator.metrics.registry)
        self._known = Known(operator.gateway, self._settings.environments)
        self._follower = CertificateFollower(
            operator.gateway, operator.settings.namespace, certificate, changed=self._changed
        )

    async def run(self, port: int, gate: Gate) -> None:
        admission = Admission(lambda: self._settings, self._known.of, self._metrics)
        server = WebhookServer(admission, self._certificate, self._is_stopping)
        tasks = [
            asyncio.create_task(one)
            for one in (self._known.run(), self._follower.run(), self._look_at_age())
        ]
        try:
            gate.close("the namespaces, business units and feature sets of the cluster")
            await _first(self._known.synced(), tasks)
            gate.close("the leader's authority for the webhook's certificate")
            await _first(self._follower.ready.wait(), tasks)
            await server.start(port)
            gate.open()
            await asyncio.gather(*tasks)
        finally:
            await server.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _is_stopping(self) -> bool:
        """The process was told to end, and waits until nothing is sent here any more."""
        return STOPPING in self._operator.health.waits_for()

    def _changed(self, kept: Kept) -> None:
        leaf = self._certificate.leaf
        if leaf:
            self._metrics.expiry.labels("webhook").set(leaf.ends)
        self._metrics.expiry.labels("webhook-ca").set(kept.current.not_after)
        _log.info("webhook certificate made", extra=fields(ends=leaf.ends if leaf else None))

    async def _look_at_age(self) -> None:
        while True:
            try:
                found = await ask_age(self._operator.gateway)
            except ApiError as error:
                _log.warning("versions of the cluster not read", extra=fields(error=str(error)))
            else:
                if found != self._settings.too_old:
                    self._settings = replace(self._settings, too_old=found)
                    _log.info("native sidecars", extra=fields(missing=found or "nowhere"))
            await asyncio.sleep(LOOK_SECONDS)


async def _first(
    waiting: Coroutine[Any, Any, object], tasks: Collection[asyncio.Task[Any]]
) -> None:
    """Wait for one thing, and raise what ends one of the tasks before it."""
    wait = asyncio.create_task(waiting)
    done, _ = await asyncio.wait({wait, *tasks}, return_when=asyncio.FIRST_COMPLETED)
    for one in done:
        one.result()
