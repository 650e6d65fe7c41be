"""Objects of an API server as documents: the same models, read from JSON in the place of YAML.

The server has checked them against the CRDs, but perhaps against those of another version, and Namespaces it
has not checked for us at all. So they are read as strictly as files, but for what others may write beside us:
of the metadata only name, namespace, labels and annotations are looked at, and unknown labels only warn.
"""

from collections.abc import Mapping
from typing import Any

from featward.manifests.document import CLUSTER_KINDS, AnyModel, ClusterObject, Document
from featward.manifests.findings import Finding
from featward.manifests.shape import modelled
from featward.manifests.text import second_of

__all__ = ["document_of"]

_METADATA = ("name", "namespace", "labels", "annotations")


def document_of(raw: Mapping[str, Any]) -> Document[AnyModel] | list[Finding]:
    """The document of one object, or what is wrong with it.

    ``raw`` is the server's JSON with kind and apiVersion: items of a list of built-in kinds lack both, and
    whoever lists those writes them in. A document takes its age from ``creationTimestamp``.
    """
    kind, metadata = raw.get("kind"), raw.get("metadata") or {}
    called = "/".join(filter(None, (metadata.get("namespace"), metadata.get("name"))))
    source = ClusterObject(f"{kind} {called}")
    model = CLUSTER_KINDS.get(kind) if isinstance(kind, str) else None
    if model is None:
        message, remedy = f"kind {kind} is not known", f"give one of {', '.join(CLUSTER_KINDS)}"
        return [Finding(source.name, 1, 1, "kind", "unknown-kind", message, remedy)]
    kept = {key: raw[key] for key in ("apiVersion", "kind", "spec") if key in raw}
    if "spec" not in model.model_fields:
        kept.pop("spec", None)
    kept["metadata"] = {key: metadata[key] for key in _METADATA if key in metadata}
    found = modelled(kept, model, source, 0)
    if isinstance(found, list):
        return found
    created = metadata.get("creationTimestamp")
    return Document(found, source, 0, 1, float(second_of(created)) if created else 0.0)
