"""The edge: bytes of an AdmissionReview to values, and an answer to bytes.

What is not a question that we can answer is a status of HTTP, and never "allowed": the API server then does as
the configuration's failurePolicy says.
"""

import base64
import json
import re
from dataclasses import dataclass
from typing import Any

from featward_operator.injection.decision import Reason
from featward_operator.injection.facts import RawPod, RequestFacts
from featward_operator.injection.inject import Injection

__all__ = ["MOST_BYTES", "Review", "ReviewError", "answered", "read"]

MOST_BYTES = 4 * 1024 * 1024
"""The API server takes no request of more than 3 MiB, and sends its object once here."""

_KIND = "AdmissionReview"
_VERSION = "admission.k8s.io/v1"
_JSON = "application/json"
# It becomes part of a path at the API server, where an empty one would be all of them.
_NAMESPACE = re.compile("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class ReviewError(Exception):
    """The request can't be answered; ``status`` is HTTP's, the text says what was expected."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


@dataclass(frozen=True, slots=True)
class Review:
    """A question: may this pod be made?"""

    request: RequestFacts
    pod: RawPod


def read(content_type: str, body: bytes) -> Review:
    """Read a request's body. Raises ReviewError."""
    if content_type.partition(";")[0].strip().lower() != _JSON:
        raise ReviewError(415, f"expected Content-Type {_JSON}, found {content_type!r}")
    if not body:
        raise ReviewError(400, "the body is empty: expected an AdmissionReview")
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        raise ReviewError(400, "the body is no JSON: expected an AdmissionReview") from None
    if not isinstance(told, dict) or (told.get("kind"), told.get("apiVersion")) != (
        _KIND,
        _VERSION,
    ):
        raise ReviewError(400, f"expected an {_KIND} of {_VERSION}")
    return _question(told.get("request"))


def _question(request: Any) -> Review:
    if not isinstance(request, dict) or not isinstance(request.get("uid"), str):
        raise ReviewError(400, "the review has no request with a uid")
    pod, kind = request.get("object"), request.get("kind")
    if (
        kind != {"group": "", "version": "v1", "kind": "Pod"}
        or request.get("operation") != "CREATE"
    ):
        raise ReviewError(
            400, f"expected the creation of a Pod, found {request.get('operation')} {kind}"
        )
    if not isinstance(pod, dict) or not all(_is_map(pod, key) for key in ("metadata", "spec")):
        raise ReviewError(400, "the request has no pod with metadata and spec")
    # The object itself may lack both: the server knows them from the request's path.
    namespace = request.get("namespace")
    if not isinstance(namespace, str) or not _NAMESPACE.fullmatch(namespace):
        raise ReviewError(400, f"expected the name of a namespace, found {str(namespace)[:80]!r}")
    facts = RequestFacts(
        uid=request["uid"],
        namespace=namespace,
        name=str(request.get("name") or ""),
        dry_run=request.get("dryRun") is True,
    )
    return Review(facts, pod)


def _is_map(pod: dict[str, Any], key: str) -> bool:
    return isinstance(pod.get(key), dict)


def answered(review: Review, injection: Injection) -> bytes:
    """The answer's body."""
    decision, explanation = injection.decision, injection.explanation
    response: dict[str, Any] = {
        "uid": review.request.uid,
        "allowed": not decision.refused,
        "auditAnnotations": {"decision": explanation.reason.value},
    }
    if decision.refused:
        response["status"] = _status(explanation.reason, explanation.sentence)
    if decision.warnings:
        response["warnings"] = list(decision.warnings)
    if injection.patch:
        response["patchType"] = "JSONPatch"
        patch = json.dumps(list(injection.patch), separators=(",", ":"))
        response["patch"] = base64.b64encode(patch.encode()).decode()
    return json.dumps({"apiVersion": _VERSION, "kind": _KIND, "response": response}).encode()


def _status(reason: Reason, sentence: str) -> dict[str, Any]:
    """What waiting cures is 503, so that controllers and clients take it for that."""
    if reason is Reason.NOT_READY:
        return {"code": 503, "reason": "ServiceUnavailable", "message": sentence}
    return {"code": 403, "reason": "Forbidden", "message": sentence}
