"""Does what `overlap` says, on the leader: reads Secret and caBundle, and writes one of them.

A replica that believes to lead while another one does must do no harm. The Secret is written only over what was
read. The caBundle is a function of the Secret alone, and the configuration is read before the Secret and
written only over what was read: so an older bundle never replaces a newer one.
"""

import asyncio
import base64
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NoReturn

from featward.kubernetes.backoff import Backoff
from featward.kubernetes.errors import ApiError
from featward.kubernetes.events import Events, ObjectRef
from featward.kubernetes.gateway import Gateway
from featward.kubernetes.resource import SECRETS, Resource
from featward.logs import fields
from featward_operator.certificates.authority import Authority, Kept, SecretError, make_authority
from featward_operator.certificates.overlap import Lives, Publish, Step, Store, plan
from featward_operator.vocabulary import Event

__all__ = ["CONFIGURATION", "MANAGER", "SECRET", "CertificateKeeper", "kept_in"]

SECRET = "featward-webhook-ca"  # noqa: S105  # the name of an object, not what is in it
CONFIGURATION = "featward"
MANAGER = "featward-webhook"
"""Owns the caBundle and nothing else."""

_CONFIGURATIONS = Resource(
    "admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations", namespaced=False
)
# Who takes the caBundle away is put right after so long.
_LOOK_SECONDS = 30.0
_BETWEEN_STEPS = 0.5
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Found:
    """The server's side of it at one moment."""

    kept: Kept | None
    secret_version: str | None
    """None: there is no Secret."""
    bundle: bytes | None
    """What all webhooks have; empty where they differ; None: there is no configuration."""
    configuration: dict[str, Any] | None


class CertificateKeeper:
    """Keeps the authority and the caBundle as they have to be, while `run` runs."""

    def __init__(
        self,
        gateway: Gateway,
        events: Events,
        namespace: str,
        *,
        lives: Lives | None = None,
        clock: Callable[[], float] = time.time,
        look: float = _LOOK_SECONDS,
    ) -> None:
        """``look``: how many seconds after the last look another one is due at the latest."""
        self._gateway = gateway
        self._events = events
        self._namespace = namespace
        self._lives = lives or Lives()
        self._clock = clock
        self._look = look
        self._backoff = Backoff()

    async def run(self) -> NoReturn:
        """Until cancelled."""
        while True:
            try:
                step = await self.step()
                self._backoff.reset()
                await asyncio.sleep(self._rest(step))
            except ApiError as error:
                delay = self._backoff.next(error.retry_after)
                told = fields(error=str(error), seconds=round(delay, 1))
                _log.warning("webhook certificate not looked after", extra=told)
                await asyncio.sleep(delay)

    async def step(self) -> Step:
        """Look, and do the next thing, if one is due. Raises ApiError."""
        found = await self._find()
        step = plan(found.kept, found.bundle, self._clock(), self._lives, self._make)
        try:
            match step:
                case Store():
                    await self._store(step.kept, found.secret_version)
                    _log.info("webhook authority", extra=fields(now=step.what))
                    await self._tell(step, found)
                case Publish() if found.configuration:
                    await self._publish(step.bundle, found.configuration)
                    _log.info("caBundle written", extra=fields(configuration=CONFIGURATION))
        except ApiError as error:
            if not error.is_conflict:
                raise
            _log.info("another replica was first", extra=fields(object=error.detail))
        return step

    def _rest(self, step: Step) -> float:
        """Seconds to the next look. After a step there may be another, but not as fast as can be: somebody may
        be undoing what we do."""
        if isinstance(step, Store | Publish):
            return min(self._look, _BETWEEN_STEPS)
        return min(self._look, max(_BETWEEN_STEPS, step.until - self._clock()))

    async def _tell(self, step: Store, found: _Found) -> None:
        """An Event where another authority signs from now on. Whoever is killed before it has told nobody: the
        next leader finds all as it should be."""
        if found.configuration is None:
            return
        about = ObjectRef.of(found.configuration)
        ends = datetime.fromtimestamp(step.kept.current.not_after, UTC)
        until = f"until {ends:%Y-%m-%dT%H:%M:%SZ}"
        if step.what == "used":
            note = f"another authority signs the webhook's certificates, {until}; the API server knows it"
            await self._events.record(about, Event.WEBHOOK_CERTIFICATE_ROTATED, note)
        elif step.what == "made" and step.kept.next is None and found.bundle:
            # Nobody trusts it yet.
            note = (
                f"the webhook's authority had ended or was lost; another one signs, {until}. Pods that ask "
                "for a sidecar are refused until the API server knows it, for some seconds"
            )
            await self._events.record(
                about, Event.WEBHOOK_CERTIFICATE_ROTATED, note, kind="Warning"
            )

    def _make(self) -> Authority:
        return make_authority(self._clock(), self._lives.authority)

    async def _find(self) -> _Found:
        # In this order: see the module's docstring.
        configuration = await self._got(_CONFIGURATIONS.path(None, CONFIGURATION))
        secret = await self._got(SECRETS.path(self._namespace, SECRET))
        version = secret["metadata"]["resourceVersion"] if secret else None
        return _Found(kept_in(secret), version, _bundle_of(configuration), configuration)

    async def _got(self, path: str) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = await self._gateway.ask("GET", path)
        except ApiError as error:
            if error.status == 404:
                return None
            raise
        return found

    async def _store(self, kept: Kept, version: str | None) -> None:
        metadata = {"name": SECRET, "namespace": self._namespace}
        body: dict[str, Any] = {"apiVersion": "v1", "kind": "Secret", "type": "Opaque"}
        body |= {"metadata": metadata, "data": kept.to_secret()}
        if version is None:
            await self._gateway.ask("POST", SECRETS.path(self._namespace), body)
        else:
            metadata["resourceVersion"] = version
            await self._gateway.ask("PUT", SECRETS.path(self._namespace, SECRET), body)

    async def _publish(self, bundle: bytes, configuration: dict[str, Any]) -> None:
        told = base64.b64encode(bundle).decode()
        body = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "MutatingWebhookConfiguration",
            "metadata": {
                "name": CONFIGURATION,
                "resourceVersion": configuration["metadata"]["resourceVersion"],
            },
            "webhooks": [
                {"name": one["name"], "clientConfig": {"caBundle": told}}
                for one in configuration.get("webhooks") or ()
            ],
        }
        await self._gateway.apply(_CONFIGURATIONS, body, manager=MANAGER)


def kept_in(secret: dict[str, Any] | None) -> Kept | None:
    """What a Secret holds; None, with a line in the log, where that is not what we wrote."""
    if secret is None:
        return None
    try:
        return Kept.from_secret(secret.get("data") or {})
    except SecretError as error:
        told = fields(secret=SECRET, error=str(error))
        _log.error("the webhook's authority can't be read; a new one is made", extra=told)
        return None


def _bundle_of(configuration: dict[str, Any] | None) -> bytes | None:
    webhooks = configuration.get("webhooks") if configuration else None
    if not webhooks:
        return None
    found = {one["clientConfig"].get("caBundle", "") for one in webhooks}
    return base64.b64decode(found.pop()) if len(found) == 1 else b""
