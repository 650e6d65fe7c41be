"""One admission request from its bytes to the answer's, with what is counted and logged of it."""

import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from featward.logs import fields
from featward_operator.injection.facts import NamespaceFacts
from featward_operator.injection.inject import Injection, inject
from featward_operator.injection.settings import InjectionSettings
from featward_operator.webhook.metrics import WebhookMetrics
from featward_operator.webhook.review import Review, ReviewError, answered, read

__all__ = ["PATH", "Admission", "Surroundings"]

PATH = "/mutate-pods"

Surroundings = Callable[[str], Awaitable[NamespaceFacts | None]]
"""What is known of a namespace, by its name; None where nothing is. The API server waits 3 s for all of it."""

_log = logging.getLogger(__name__)


class Admission:
    """Answers for as long as the process lives; ``settings`` is asked each time, as they may be replaced."""

    def __init__(
        self,
        settings: Callable[[], InjectionSettings],
        surroundings: Surroundings,
        metrics: WebhookMetrics,
    ) -> None:
        self._settings = settings
        self._surroundings = surroundings
        self._metrics = metrics

    async def answer(self, content_type: str, body: bytes) -> tuple[int, bytes]:
        """Status and body."""
        with self._measured():
            try:
                review = read(content_type, body)
                injection = await self._inject(review)
            except ReviewError as error:
                _log.warning("admission not understood", extra=fields(error=str(error)))
                return self._counted(error.status), str(error).encode()
            except Exception:
                # Whatever it is: no pod may come up unprotected for it, and the next one must be answered.
                _log.exception("admission failed")
                return self._counted(500), b"the operator failed; its log says why"
            return self._counted(200), answered(review, injection)

    async def _inject(self, review: Review) -> Injection:
        namespace = await self._surroundings(review.request.namespace)
        injection = inject(review.pod, review.request, namespace, self._settings())
        if not review.request.dry_run:
            told = injection.explanation
            self._metrics.injections.labels(told.decision, told.reason.value).inc()
            level = logging.INFO if injection.decision.refused else logging.DEBUG
            _log.log(
                level,
                "pod refused" if injection.decision.refused else "pod admitted",
                extra=fields(uid=review.request.uid, reason=told.reason.value, said=told.sentence),
            )
        return injection

    def _counted(self, status: int) -> int:
        self._metrics.requests.labels(PATH, str(status)).inc()
        return status

    @contextmanager
    def _measured(self) -> Iterator[None]:
        began = time.perf_counter()
        with self._metrics.in_flight.labels(PATH).track_inprogress():
            yield
        self._metrics.latency.labels(PATH).observe(time.perf_counter() - began)
