"""Tells what changed between FeatureSets and the Feast that they describe, and whom it breaks.

Pure: it compares two plain pictures. A feature that went and one of the same type and a similar
name that came are reported as one rename, since that is what an owner must undo or announce.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from enum import StrEnum

from featward.feast.catalogue import FeastCatalogue

__all__ = ["Change", "Declared", "Grant", "Kind", "compare"]

# How alike two names must be to be read as one that was renamed; 0.6 is what difflib calls a close
# match.
ALIKE = 0.6


class Kind(StrEnum):
    """What happened to a feature, service or key."""

    ADDED = "added"
    REMOVED = "removed"
    RENAMED = "renamed"
    RETYPED = "retyped"
    SERVICE_CHANGED = "service-changed"
    SERVICE_REMOVED = "service-removed"
    INPUT_CHANGED = "input-changed"


@dataclass(frozen=True)
class Declared:
    """What the FeatureSets say, joined.

    Features, join keys and request inputs with their types; services.
    """

    features: Mapping[str, str]
    services: Mapping[str, frozenset[str]] = field(default_factory=dict)
    keys: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Grant:
    """One binding: what it grants by feature and by service, and to whom."""

    binding: str
    subjects: tuple[str, ...]
    features: frozenset[str] = frozenset()
    services: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Change:
    """One difference.

    `bindings` and `identities` are those that it breaks (or, for a service, widens).
    """

    kind: Kind
    name: str
    detail: str
    bindings: tuple[str, ...] = ()
    identities: tuple[str, ...] = ()

    @property
    def drifts(self) -> bool:
        """Whether the manifests are wrong about Feast now.

        A feature that nobody may read yet is no harm.
        """
        return self.kind is not Kind.ADDED


def compare(declared: Declared, catalogue: FeastCatalogue, grants: Sequence[Grant]) -> list[Change]:
    """All differences, in the order of `Kind` and then of names."""
    served = {name: feature.type for name, feature in catalogue.features().items()}
    services = {service.name: frozenset(service.features) for service in catalogue.services}
    changes = [
        *_features(declared, served, grants),
        *_services(declared, services, grants),
        *_keys(declared, catalogue, grants),
    ]
    order = list(Kind)
    return sorted(changes, key=lambda change: (order.index(change.kind), change.name))


def _features(
    declared: Declared, served: Mapping[str, str], grants: Sequence[Grant]
) -> Iterator[Change]:
    gone = sorted(set(declared.features) - set(served))
    new = sorted(set(served) - set(declared.features))
    renames = dict(_renames(gone, new, declared.features, served))
    for name in gone:
        hit = _granting(declared, grants, name)
        if name in renames:
            yield _change(Kind.RENAMED, name, f"now {renames[name]}", hit)
        else:
            yield _change(
                Kind.REMOVED,
                name,
                f"Feast no longer serves it (was {declared.features[name]})",
                hit,
            )
    for name in new:
        if name not in renames.values():
            yield Change(Kind.ADDED, name, f"{served[name]}, in no FeatureSet yet")
    for name in sorted(set(served) & set(declared.features)):
        if served[name] != declared.features[name]:
            yield _change(
                Kind.RETYPED,
                name,
                f"{declared.features[name]} became {served[name]}",
                _granting(declared, grants, name),
            )


def _renames(
    gone: Iterable[str], new: Iterable[str], before: Mapping[str, str], after: Mapping[str, str]
) -> Iterator[tuple[str, str]]:
    """Pairs of an old and a new name, the most alike first, each name in one pair at most."""
    pairs = [
        (_alike(old, name), old, name) for old in gone for name in new if before[old] == after[name]
    ]
    used: set[str] = set()
    for likeness, old, name in sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2])):
        if likeness >= ALIKE and not used & {old, name}:
            used |= {old, name}
            yield old, name


def _alike(old: str, new: str) -> float:
    """Likeness of two full names.

    The same column in another view counts, and so does a like column in its view.
    """
    old_view, _, old_column = old.partition(":")
    new_view, _, new_column = new.partition(":")
    if old_view != new_view and old_column != new_column:
        return 0.0
    return max(_ratio(old_column, new_column) if old_view == new_view else 0.0, _ratio(old, new))


def _ratio(one: str, other: str) -> float:
    return SequenceMatcher(None, one, other, autojunk=False).ratio()


def _services(
    declared: Declared, services: Mapping[str, frozenset[str]], grants: Sequence[Grant]
) -> Iterator[Change]:
    for name, before in sorted(declared.services.items()):
        hit = [grant for grant in grants if name in grant.services]
        after = services.get(name)
        if after is None:
            yield _change(
                Kind.SERVICE_REMOVED,
                name,
                "Feast no longer has this feature service, or it is left out as a note says",
                hit,
            )
        elif after != before:
            parts = [f"gains {feature}" for feature in sorted(after - before)]
            parts += [f"loses {feature}" for feature in sorted(before - after)]
            yield _change(Kind.SERVICE_CHANGED, name, ", ".join(parts), hit)


def _keys(
    declared: Declared, catalogue: FeastCatalogue, grants: Sequence[Grant]
) -> Iterator[Change]:
    """Join keys and inputs of what is declared.

    Those of views that no FeatureSet has yet are nobody's loss.
    """
    needed: dict[str, tuple[str, set[str]]] = {}
    for view in catalogue.views:
        features = {feature.name for feature in view.features} & set(declared.features)
        for key in (*view.entities, *view.inputs) if features else ():
            needed.setdefault(key.name, (key.type, set()))[1].update(features)
    for service in catalogue.services:
        for key in service.entities if service.name in declared.services else ():
            needed.setdefault(key.name, (key.type, set()))[1].update(service.features)
    for name in sorted(set(declared.keys) | set(needed)):
        was = declared.keys.get(name, "not declared")
        now, features = needed.get(name, ("needed by no view", set()))
        if was != now:
            hit = {
                id(grant): grant
                for feature in features
                for grant in _granting(declared, grants, feature)
            }
            yield _change(Kind.INPUT_CHANGED, name, f"{was}, now {now}", list(hit.values()))


def _granting(declared: Declared, grants: Sequence[Grant], feature: str) -> list[Grant]:
    by_service = {name for name, features in declared.services.items() if feature in features}
    return [grant for grant in grants if feature in grant.features or grant.services & by_service]


def _change(kind: Kind, name: str, detail: str, hit: Sequence[Grant]) -> Change:
    identities = sorted({subject for grant in hit for subject in grant.subjects})
    return Change(
        kind, name, detail, tuple(sorted(grant.binding for grant in hit)), tuple(identities)
    )
