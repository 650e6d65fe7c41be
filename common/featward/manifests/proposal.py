"""The binding that a client asks an owner for: what was refused, put as the manifest that would grant it."""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from featward.errors import FeatwardError
from featward.identity.spiffe import SpiffeId
from featward.manifests.catalogue import Catalogue, Set
from featward.manifests.document import Document, SourceFile
from featward.manifests.feature_binding import FeatureBinding
from featward.manifests.findings import Finding, Severity
from featward.manifests.loading import Loaded
from featward.manifests.model import API_VERSION
from featward.manifests.text import seconds
from featward.manifests.validation import validate
from featward.manifests.writing import dump

__all__ = ["NEED_CONSENT", "propose", "refused"]

NEED_CONSENT = frozenset({"grant-across-business-units", "above-ceiling"})
"""What `refused` may find and the owner's business unit may consent to."""

# A quarter of a year: long enough to be useful, short enough to be looked at again.
_LIFE = timedelta(days=90)


def propose(
    catalogue: Catalogue,
    feature_set: Set,
    identity: SpiffeId,
    names: Iterable[str],
    *,
    purpose: str,
    today: date,
) -> FeatureBinding:
    """A binding of features, or services, to one identity, as long as the ceiling allows, 90 days at most.

    Raises FeatwardError for a name that the set does not list.
    """
    metadata, spec = feature_set.model.metadata, feature_set.model.spec
    features = {feature.name for feature in spec.features}
    services = {service.name for service in spec.services}
    wanted = list(dict.fromkeys(names))
    unknown = [name for name in wanted if name not in features | services]
    if unknown:
        raise FeatwardError(
            f"{feature_set.name} lists no feature or service {', '.join(unknown)}: see its manifest"
        )
    business_unit = catalogue.business_unit_of(metadata.namespace)
    longest = catalogue.ceiling_of(business_unit).max_binding_life if business_unit else None
    life = min(_LIFE, timedelta(seconds=seconds(longest))) if longest else _LIFE
    grant: dict[str, Any] = {
        "subjects": [_subject(catalogue, identity)],
        "featureSet": {"name": metadata.name},
        "features": [name for name in wanted if name in features],
        "services": [name for name in wanted if name not in features],
        "purpose": purpose,
        "expires": (today + life).isoformat(),
    }
    name = _free_name(
        catalogue, metadata.namespace, f"{identity.path.rpartition('/')[2]}-{metadata.name}".lower()
    )
    return FeatureBinding.model_validate(
        {
            "apiVersion": API_VERSION,
            "kind": "FeatureBinding",
            "metadata": {"name": name, "namespace": metadata.namespace},
            "spec": grant,
        }
    )


def refused(loaded: Loaded, binding: FeatureBinding, now: int) -> list[Finding]:
    """The errors that `check` would find in the binding if it were added to the folder."""
    document = Document(binding, SourceFile("the new binding", dump(binding)), 0, 1)
    together = Loaded((*loaded.documents, document), (), loaded.malformed)
    found = validate(together, now)
    return [
        one for one in found if one.file == document.source.name and one.severity is Severity.ERROR
    ]


def _subject(catalogue: Catalogue, identity: SpiffeId) -> dict[str, Any]:
    """The form that says most about who it is, where the documents know it."""
    match identity.path.split("/")[1:]:
        case ["bu", _, "ns", namespace, "sa", name]:
            if catalogue.service_account(namespace, name) == identity:
                return {"serviceAccount": {"namespace": namespace, "name": name}}
        case ["bu", _, "svc", name]:
            for unit, workload in catalogue.workloads:
                if workload == name and catalogue.workload(unit, name) == identity:
                    return {"workload": {"businessUnit": unit, "name": name}}
    return {"spiffeId": str(identity)}


def _free_name(catalogue: Catalogue, namespace: str, wish: str) -> str:
    name, number = wish, 2
    while (namespace, name) in catalogue.bindings:
        name, number = f"{wish}-{number}", number + 1
    return name
