"""Reads out of loaded manifests what the comparison with Feast needs.

What is declared, and granted to whom.
"""

from collections.abc import Iterable

from featward.feast.comparison import Declared, Grant
from featward.feast.errors import FeastError
from featward.manifests import Catalogue, Loaded
from featward.manifests.catalogue import Set
from featward.manifests.feature_binding import Subject

__all__ = ["declared"]


def declared(loaded: Loaded, names: Iterable[str] = ()) -> tuple[Declared, list[Grant]]:
    """The FeatureSets of these names (without names: all) as one picture, and their grants."""
    manifests = Catalogue(loaded.documents)
    chosen = _chosen(manifests, list(names))
    specs = [feature_set.model.spec for feature_set in chosen.values()]
    picture = Declared(
        features={feature.name: feature.type for spec in specs for feature in spec.features},
        services={s.name: frozenset(s.features) for spec in specs for s in spec.services},
        keys={
            key.name: key.type for spec in specs for key in (*spec.entities, *spec.request_inputs)
        },
    )
    grants = [
        Grant(
            binding=binding.name,
            subjects=tuple(_name(manifests, subject) for subject in binding.model.spec.subjects),
            features=frozenset(binding.model.spec.features),
            services=frozenset(binding.model.spec.services),
        )
        for key in chosen
        for binding in manifests.bindings_of.get(key, [])
    ]
    return picture, grants


def _chosen(manifests: Catalogue, names: list[str]) -> dict[tuple[str, str], Set]:
    every = manifests.feature_sets
    for name in names:
        if not any(_means(name, key) for key in every):
            known = ", ".join("/".join(key) for key in every) or "none"
            raise FeastError(f"the manifests have no FeatureSet {name!r}; they have {known}")
    return {
        key: feature_set
        for key, feature_set in every.items()
        if not names or any(_means(name, key) for name in names)
    }


def _means(name: str, key: tuple[str, str]) -> bool:
    return name in (key[1], "/".join(key))


def _name(manifests: Catalogue, subject: Subject) -> str:
    """Whom a subject means: a SPIFFE ID where the folder declares enough to know it."""
    identity = manifests.identity_of(subject)
    if identity is not None:
        return str(identity)
    if subject.business_unit is not None:
        return f"every identity of {subject.business_unit}"
    return str(subject.model_dump(by_alias=True, exclude_none=True))
