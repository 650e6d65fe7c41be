"""Which pods are not protected though somebody wants them to be, and why. Pure.

What is asked for is read as injection reads it. A pod whose service account serves a feature set and that asks
for no sidecar is listed as well: nobody decides about who calls it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from featward.kubectl.names import CONTAINER, INJECT
from featward.manifests.labels import INJECTION_LABEL, PROTECTION_LABEL

__all__ = ["Unprotected", "suspended", "unprotected"]

_OVER = ("Succeeded", "Failed")
_NEVER = "kube-system"


@dataclass(frozen=True, slots=True)
class Unprotected:
    """A pod, and the word and the sentence of why."""

    namespace: str
    pod: str
    account: str
    reason: str
    why: str

    def as_json(self) -> dict[str, str]:
        """For programs."""
        return {
            "namespace": self.namespace,
            "pod": self.pod,
            "serviceAccount": self.account,
            "reason": self.reason,
            "why": self.why,
        }


def suspended(namespace: Mapping[str, Any]) -> bool:
    """Whether a namespace's protection is suspended."""
    return (namespace["metadata"].get("labels") or {}).get(PROTECTION_LABEL) == "suspended"


def unprotected(
    pods: Iterable[Mapping[str, Any]],
    namespaces: Iterable[Mapping[str, Any]],
    serving: Mapping[tuple[str, str], Collection[str]],
) -> Iterator[Unprotected]:
    """By namespace and name. ``serving``: the feature sets of each service account (namespace, name)."""
    known = {one["metadata"]["name"]: one for one in namespaces}
    for pod in sorted(pods, key=_place):
        metadata, spec = pod["metadata"], pod["spec"]
        phase = (pod.get("status") or {}).get("phase")
        if metadata["namespace"] == _NEVER or phase in _OVER or _has_sidecar(pod):
            continue
        account = spec.get("serviceAccountName") or "default"
        sets = sorted(serving.get((metadata["namespace"], account), ()))
        found = _why(pod, known.get(metadata["namespace"]), sets)
        if found is not None:
            yield Unprotected(metadata["namespace"], metadata["name"], account, *found)


def _place(pod: Mapping[str, Any]) -> tuple[str, str]:
    return pod["metadata"]["namespace"], pod["metadata"]["name"]


def _has_sidecar(pod: Mapping[str, Any]) -> bool:
    return any(
        one["name"] == CONTAINER and one.get("restartPolicy") == "Always"
        for one in pod["spec"].get("initContainers") or ()
    )


def _why(
    pod: Mapping[str, Any], namespace: Mapping[str, Any] | None, sets: list[str]
) -> tuple[str, str] | None:
    metadata = pod["metadata"]
    by_label = (metadata.get("labels") or {}).get(INJECT)
    by_annotation = (metadata.get("annotations") or {}).get(INJECT)
    asked = by_label or by_annotation
    serves = f"it serves {', '.join(sets)}" if sets else ""
    if asked is None or asked == "false":
        if not serves:
            return None
        said = "says that it wants no sidecar" if asked else f"asks for none: label it {INJECT}"
        return ("asked-false" if asked else "not-asked"), f"{serves} and {said}"
    if namespace is not None and suspended(namespace):
        return (
            "protection-suspended",
            "the protection of its namespace was suspended when it was made",
        )
    labels = (namespace["metadata"].get("labels") or {}) if namespace is not None else {}
    if by_label is None and labels.get(INJECTION_LABEL) != "enabled":
        why = f"it asks by annotation, and its namespace has no label {INJECTION_LABEL}: enabled"
        return "annotation-without-namespace", why
    return (
        "sidecar-missing",
        "it asks for a sidecar and has none: delete it, and it comes up with one",
    )
