"""One manifest together with where it was read, so that a finding can point into its file.

Places inside a document are found by reading its file's text again, and only once something is to be said. An
object of an API server has no text, so what is found in it has a path and no line.
"""

from dataclasses import dataclass, field
from functools import cached_property
from typing import Generic, TypeAlias, TypeVar

from featward.manifests.feature_binding import FeatureBinding
from featward.manifests.feature_set import FeatureSet
from featward.manifests.findings import Finding
from featward.manifests.governance import GrantApproval, Override
from featward.manifests.platform import BusinessUnit, Environment, Namespace, Workload
from featward.strictyaml import Path, Place, places, show_path

__all__ = [
    "CLUSTER_KINDS",
    "KINDS",
    "AnyModel",
    "ClusterObject",
    "Document",
    "Source",
    "SourceFile",
]

AnyModel: TypeAlias = (
    Environment
    | BusinessUnit
    | Namespace
    | Workload
    | FeatureSet
    | FeatureBinding
    | GrantApproval
    | Override
)
KINDS: dict[str, type[AnyModel]] = {
    "Environment": Environment,
    "BusinessUnit": BusinessUnit,
    "Namespace": Namespace,
    "Workload": Workload,
    "FeatureSet": FeatureSet,
    "FeatureBinding": FeatureBinding,
    "GrantApproval": GrantApproval,
}
# What an API server holds besides: a decision by hand that ends must not come back with the next checkout.
CLUSTER_KINDS: dict[str, type[AnyModel]] = {**KINDS, "Override": Override}

M_co = TypeVar("M_co", bound=AnyModel, covariant=True)


@dataclass(frozen=True)
class SourceFile:
    """A file that was read, with its text as it was then."""

    name: str
    text: str = field(repr=False)

    @cached_property
    def places(self) -> list[dict[Path, Place]]:
        """The places of each document's nodes; a second parse of the whole file."""
        return places(self.text)

    def place(self, index: int, path: Path) -> Place:
        """The place of a node, or of the nearest node above it that exists.

        A node that begins below its key is shown at the key, which is where a person looks for it.
        """
        document = self.places[index]
        while path not in document:
            path = path[:-1]
        line, column, key = document[path]
        return Place(line, column, key) if line == key[0] else Place(*key, key)


@dataclass(frozen=True, slots=True)
class ClusterObject:
    """An object of an API server, by what findings call it: ``FeatureSet ml/driver-stats``."""

    name: str

    def place(self, index: int, path: Path) -> Place:
        """The first line, for an object has no others; the path of a finding says where in it."""
        return Place(1, 1, (1, 1))


Source: TypeAlias = SourceFile | ClusterObject


@dataclass(frozen=True, slots=True)
class Document(Generic[M_co]):
    """A manifest that is well formed in itself."""

    model: M_co
    source: Source
    index: int
    line: int
    created: float = 0.0
    """When a cluster's object was made, in Unix seconds; 0 for all that is read from files."""

    @property
    def kind(self) -> str:
        return self.model.kind

    @property
    def name(self) -> str:
        """``namespace/name``, or the name alone for what lives in no namespace."""
        namespace = getattr(self.model.metadata, "namespace", None)
        return f"{namespace}/{self.model.metadata.name}" if namespace else self.model.metadata.name

    def finding(self, code: str, path: Path, message: str, remedy: str) -> Finding:
        """Something wrong at a path of this document."""
        place = self.source.place(self.index, path)
        return Finding(
            self.source.name,
            place.line,
            place.column,
            show_path(path),
            code,
            message,
            remedy,
            self.kind,
            self.name,
        )

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"
