"""Manifests: the kinds that people write, read from a folder, validated each and against one another."""

from featward.manifests.catalogue import Catalogue
from featward.manifests.document import Document
from featward.manifests.findings import CODES, Finding, Severity
from featward.manifests.loading import Loaded, load, load_texts
from featward.manifests.validation import validate
from featward.manifests.writing import dump

__all__ = [
    "CODES",
    "Catalogue",
    "Document",
    "Finding",
    "Loaded",
    "Severity",
    "dump",
    "load",
    "load_texts",
    "validate",
]
