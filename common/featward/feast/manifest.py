"""Turns a Feast catalogue into the FeatureSet that says the same.

What Feast knows (features, types, services, entities, request inputs, owners, sources) comes from
the catalogue; what it can't know (namespace, who serves it and where) comes from the caller; and
what an owner has written by hand into an earlier FeatureSet of the same name (version, serving,
enforcement, sensitivity, cost) is kept.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from email.utils import parseaddr
from pathlib import Path
from typing import Any

from featward.feast.catalogue import Column, FeastCatalogue, Feature
from featward.feast.errors import RegistryUnreadableError
from featward.manifests import load, load_texts
from featward.manifests.feature_set import FeatureSet

__all__ = ["Placement", "checked", "earlier", "feature_set", "owners"]

API_VERSION = "featward.dev/v1alpha1"
ADAPTER = "feast-http/v1"
# Tags of a Feast field or view that say what its FeatureSet should; both are numbers in strings.
SENSITIVITY_TAG = "sensitivity"
COST_TAG = "cost"
TEAM_TAG = "team"
OWNER_TAG = "owner"


@dataclass(frozen=True)
class Placement:
    """What a Feast registry can't say about the FeatureSet that is made of it."""

    namespace: str
    name: str
    # {"serviceAccount": name} or {"name": name}: who serves it.
    workload: Mapping[str, str]
    # Where Feast listens beside its sidecar.
    host: str = "127.0.0.1"
    port: int = 6566
    # Where its sidecar listens; outside Kubernetes only.
    address: str | None = None
    version: str = "1.0.0"
    mode: str | None = None
    # The last day on which callers without identity pass, "2027-01-31"; None: not at all.
    unidentified_until: str | None = None
    team: str | None = None
    contact: str | None = None


def feature_set(
    catalogue: FeastCatalogue, placement: Placement, replaced: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """The document, ready to be written.

    `replaced` is the document of the same name that was there before.
    """
    known = (replaced or {}).get("spec", {})
    views, services = catalogue.views, catalogue.services
    spec: dict[str, Any] = {
        "version": known.get("version", placement.version),
        "owner": known.get("owner") or _owner(catalogue, placement),
        "serving": known.get("serving") or _serving(placement),
    }
    if enforcement := known.get("enforcement") or _enforcement(placement):
        spec["enforcement"] = enforcement
    entities = [key for view in views for key in view.entities]
    entities += [key for service in services for key in service.entities]
    spec["entities"] = _columns(entities, "entity")
    spec["requestInputs"] = _columns(
        (column for view in views for column in view.inputs), "request input"
    )
    by_hand = {feature["name"]: feature for feature in known.get("features", [])}
    spec["features"] = [
        _feature(feature, by_hand.get(name, {}))
        for name, feature in sorted(catalogue.features().items())
    ]
    spec["services"] = [
        {"name": service.name, "features": list(service.features)} for service in services
    ]
    # Feast knows nothing of it, as of whom it is served by.
    spec["accepted"] = known.get("accepted", [])
    return {
        "apiVersion": API_VERSION,
        "kind": "FeatureSet",
        "metadata": (replaced or {}).get("metadata")
        or {"name": placement.name, "namespace": placement.namespace},
        "spec": {key: value for key, value in spec.items() if value != []},
    }


def _serving(placement: Placement) -> dict[str, Any]:
    serving: dict[str, Any] = {
        "workload": dict(placement.workload),
        "endpoints": [{"adapter": ADAPTER, "host": placement.host, "port": placement.port}],
    }
    return serving if placement.address is None else {**serving, "address": placement.address}


def _enforcement(placement: Placement) -> dict[str, Any]:
    enforcement: dict[str, Any] = {} if placement.mode is None else {"mode": placement.mode}
    if placement.unidentified_until is not None:
        enforcement["unidentified"] = {"allow": True, "until": placement.unidentified_until}
    return enforcement


def _owner(catalogue: FeastCatalogue, placement: Placement) -> dict[str, str]:
    """The project's owner, else the address that most views name, with the team that goes with it.

    Never one team with another's address: every caller that is refused would ask the wrong people.
    """
    holders = _holders(catalogue)
    own = _address(catalogue.owner, catalogue.tags)
    contact = placement.contact or own or _most(contact for _, contact in holders)
    teams = (team for team, its in holders if its in (contact, ""))
    team = placement.team or _most(teams) or contact.partition("@")[0]
    if not contact or not team:
        raise RegistryUnreadableError(
            "Feast's registry names no owner; say who it is with --team and --contact"
        )
    return {"team": team, "contact": contact}


def owners(catalogue: FeastCatalogue) -> list[str]:
    """The addresses that views name as their owners', in order."""
    return sorted({_address(view.owner, view.tags) for view in catalogue.views} - {""})


def _holders(catalogue: FeastCatalogue) -> list[tuple[str, str]]:
    """Team and address of the project and of each view; "" for what is not said."""
    project = (catalogue.owner, catalogue.tags)
    said = [project, *((view.owner, view.tags) for view in catalogue.views)]
    return [(tags.get(TEAM_TAG, ""), _address(owner, tags)) for owner, tags in said]


def _address(owner: str, tags: Mapping[str, str]) -> str:
    """The bare address: `Guest ML <guest@acme.example>` and `guest@acme.example` are one owner."""
    said = owner or tags.get(OWNER_TAG, "")
    address = parseaddr(said)[1]
    return address if "@" in address else said


def _most(names: Iterable[str]) -> str:
    counted = Counter(name for name in names if name)
    # Of two that are equally frequent, the first by name: the same registry always gives the same
    # document.
    return min(counted, key=lambda name: (-counted[name], name), default="")


def _columns(columns: Iterable[Column], what: str) -> list[dict[str, str]]:
    types: dict[str, str] = {}
    for column in columns:
        if types.setdefault(column.name, column.type) != column.type:
            raise RegistryUnreadableError(
                f"{what} {column.name} is {types[column.name]} in one view and {column.type} in "
                "another; import the views into two FeatureSets with --view"
            )
    return [{"name": name, "type": types[name]} for name in sorted(types)]


def _feature(feature: Feature, by_hand: Mapping[str, Any]) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": feature.name, "type": feature.type}
    for key, tag in (("sensitivity", SENSITIVITY_TAG), ("cost", COST_TAG)):
        if key in by_hand:
            entry[key] = by_hand[key]
        elif feature.tags.get(tag, "").isdecimal():
            entry[key] = int(feature.tags[tag])
    if lineage := feature.lineage or by_hand.get("lineage"):
        entry["lineage"] = lineage
    return entry


def earlier(folder: Path, placement: Placement) -> dict[str, Any] | None:
    """The FeatureSet of the same name in this folder, as its owner left it; None without one."""
    if not folder.is_dir():
        return None
    for document in load(folder).documents:
        model = document.model
        if (
            isinstance(model, FeatureSet)
            and document.name == f"{placement.namespace}/{placement.name}"
        ):
            return model.model_dump(by_alias=True, exclude_unset=True)
    return None


def checked(document: Mapping[str, Any], options: Mapping[str, str]) -> FeatureSet:
    """The document as a manifest. Raises RegistryUnreadableError with the first fault.

    `options` are the names, such as --mode, by which the caller set some of its places.
    """
    # JSON is YAML: the loader refuses and explains as it does for files.
    loaded = load_texts([("the FeatureSet", json.dumps(document))])
    for finding in loaded.findings:
        message = finding.message
        if option := options.get(finding.path):
            told = message.replace(finding.path, option) if finding.path in message else message
            said = told if option in told else f"{option}: {told}"
            raise RegistryUnreadableError(f"{said}; {finding.remedy}")
        said = message if finding.path in message else f"{finding.path}: {message}"
        raise RegistryUnreadableError(
            f"no FeatureSet can be made of this registry as it is: {said}; {finding.remedy}"
        )
    model = loaded.documents[0].model
    assert isinstance(model, FeatureSet)  # noqa: S101  as its kind says
    return model
