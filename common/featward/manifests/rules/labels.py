"""The rule on labels of a cluster's objects; those in files were refused when they were read."""

from collections.abc import Iterator
from difflib import get_close_matches

from featward.manifests.catalogue import Catalogue
from featward.manifests.document import AnyModel, ClusterObject, Document
from featward.manifests.findings import Finding
from featward.manifests.labels import unknown_labels

__all__ = ["labels"]


def labels(catalogue: Catalogue, document: Document[AnyModel], now: int) -> Iterator[Finding]:
    """Labels and annotations that look like ours, on an object of a cluster."""
    if not isinstance(document.source, ClusterObject):
        return
    metadata = document.model.metadata
    given = {"labels": metadata.labels, "annotations": metadata.annotations}
    for group, key, known in unknown_labels(document.kind, given):
        close = get_close_matches(key, known, n=1)
        remedy = f"did you mean {close[0]}?" if close else "remove it"
        message = f"{group[:-1]} {key} is not known to this version, and changes nothing"
        yield document.finding("unknown-label", ("metadata", group, key), message, remedy)
