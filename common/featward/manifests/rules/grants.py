"""Rules on bindings: what they grant exists, is theirs to grant, and still holds."""

from collections.abc import Iterator

from featward.errors import SpiffeIdError
from featward.identity.spiffe import SpiffeId
from featward.manifests.catalogue import Binding, Catalogue, Set
from featward.manifests.feature_binding import Subject
from featward.manifests.findings import Finding
from featward.manifests.naming import nearest_features
from featward.manifests.rules.references import declared, undeclared_namespace, unknown
from featward.manifests.text import day_after, seconds, version_in
from featward.strictyaml import Path

__all__ = ["grants", "too_long_until"]


def grants(catalogue: Catalogue, binding: Binding, now: int) -> Iterator[Finding]:
    """One binding: its set, its features, its subjects, its dates."""
    namespace = binding.model.metadata.namespace
    yield from undeclared_namespace(catalogue, binding, ("metadata", "namespace"), namespace)
    feature_set = catalogue.feature_set_of(binding)
    if feature_set is None:
        name = binding.model.spec.feature_set.name
        yield from _unknown_set(catalogue, binding, namespace, name)
    else:
        yield from _features(catalogue, binding, feature_set)
        yield from _version(binding, feature_set)
    business_unit = catalogue.business_unit_of(namespace)
    for index, subject in enumerate(binding.model.spec.subjects):
        path = ("spec", "subjects", index)
        yield from _subject(catalogue, binding, path, subject, business_unit)
    yield from _dates(catalogue, binding, business_unit, now)


def too_long_until(catalogue: Catalogue, binding: Binding) -> int | None:
    """Until when (Unix seconds, exclusive) the binding ends further away than its unit may grant; None where
    the unit has no such bound. It is the one thing by which a binding begins to grant with time.
    """
    unit = catalogue.business_unit_of(binding.model.metadata.namespace)
    longest = catalogue.ceiling_of(unit).max_binding_life if unit else None
    if not longest:
        return None
    # The day that a whole life from now falls on is allowed.
    return day_after(binding.model.spec.expires) - seconds(longest) - 86_400


def _unknown_set(
    catalogue: Catalogue, binding: Binding, namespace: str, name: str
) -> Iterator[Finding]:
    path = ("spec", "featureSet", "name")
    elsewhere = [space for space, other in catalogue.feature_sets if other == name]
    if not elsewhere:
        known = [other for space, other in catalogue.feature_sets if space == namespace]
        yield from unknown(catalogue, binding, path, "feature set", name, known)
        return
    message = f"feature set {name} is in namespace {elsewhere[0]}, and this binding in {namespace}"
    remedy = f"a binding stands beside its feature set: give it metadata.namespace {elsewhere[0]}"
    yield binding.finding("unknown-feature-set", path, message, remedy)


def _features(catalogue: Catalogue, binding: Binding, feature_set: Set) -> Iterator[Finding]:
    listing = catalogue.listing_of(feature_set)
    features, services = listing.features, listing.services
    granted: list[tuple[Path, str]] = []
    for index, name in enumerate(binding.model.spec.features):
        path: Path = ("spec", "features", index)
        if name not in features:
            near = nearest_features(name, features)
            yield from unknown(catalogue, binding, path, "feature", name, near)
        granted.append((path, name))
    for index, name in enumerate(binding.model.spec.services):
        path = ("spec", "services", index)
        if name not in services:
            yield from unknown(catalogue, binding, path, "service", name, services)
        granted += [(path, feature) for feature in services.get(name, ())]
    business_unit = catalogue.business_unit_of(binding.model.metadata.namespace)
    highest = catalogue.ceiling_of(business_unit).max_sensitivity if business_unit else 3
    above = [(path, name) for path, name in granted if features.get(name, 0) > highest]
    if not above or catalogue.approval_of(binding) is not None:
        return
    remedy = f"remove it, or ask {business_unit} for its consent with {_approve(binding)}"
    for path, name in above:
        message = (
            f"{name} has sensitivity {features[name]}, and a team of {business_unit} may grant "
            f"{highest}: it is left out"
        )
        yield binding.finding("above-ceiling", path, message, remedy)


def _version(binding: Binding, feature_set: Set) -> Iterator[Finding]:
    version_range, version = binding.model.spec.feature_set.version, feature_set.model.spec.version
    if version_range is not None and not version_in(version, version_range):
        message = f"the range {version_range} misses version {version}: the binding does not apply"
        path = ("spec", "featureSet", "version")
        yield binding.finding(
            "version-mismatch", path, message, "review the binding for the new version"
        )


def _subject(
    catalogue: Catalogue, binding: Binding, path: Path, subject: Subject, granting: str | None
) -> Iterator[Finding]:
    receiving: str | None = None
    if subject.service_account is not None:
        account = subject.service_account
        path = (*path, "serviceAccount", "namespace")
        yield from undeclared_namespace(catalogue, binding, path, account.namespace)
        receiving = catalogue.business_unit_of(account.namespace)
    elif subject.workload is not None:
        unit, name = subject.workload.business_unit, subject.workload.name
        receiving = unit
        if (unit, name) not in catalogue.workloads:
            known = [other for owner, other in catalogue.workloads if owner == unit]
            yield from unknown(
                catalogue, binding, (*path, "workload", "name"), "workload", name, known
            )
        path = (*path, "workload", "businessUnit")
        yield from declared(catalogue, binding, path, unit)
    elif subject.business_unit is not None:
        receiving = subject.business_unit
        path = (*path, "businessUnit")
        yield from declared(catalogue, binding, path, receiving)
    elif subject.spiffe_id is not None:
        yield from _spiffe_id(catalogue, binding, (*path, "spiffeId"), subject.spiffe_id, granting)
    yield from _across(catalogue, binding, path, granting, receiving)


def _across(
    catalogue: Catalogue, binding: Binding, path: Path, granting: str | None, receiving: str | None
) -> Iterator[Finding]:
    if granting is None or receiving is None or not catalogue.knows_business_unit(receiving):
        return
    if granting.partition(".")[0] != receiving.partition(".")[0]:
        message = f"business unit {granting} grants to {receiving}, which is of another environment"
        remedy = "remove it: nothing of one environment is accepted in another"
        yield binding.finding("foreign-trust-domain", path, message, remedy)
    elif granting != receiving and catalogue.approval_of(binding) is None:
        message = f"a team of business unit {granting} grants to {receiving}: it is left out"
        remedy = f"remove it, or ask {granting} for its consent with {_approve(binding)}"
        yield binding.finding("grant-across-business-units", path, message, remedy)


def _approve(binding: Binding) -> str:
    """The command that prints the approval, for whoever may consent."""
    return f"featward approve {binding.name}"


def _spiffe_id(
    catalogue: Catalogue, binding: Binding, path: Path, text: str, granting: str | None
) -> Iterator[Finding]:
    environment = catalogue.environment_of(granting) if granting else None
    try:
        identity = SpiffeId.parse(text)
    except SpiffeIdError as error:
        yield binding.finding("invalid-value", path, str(error), "correct it")
        return
    if environment is None or granting is None:
        return
    spec = environment.model.spec
    if identity.trust_domain != spec.trust_domain:
        # Who exists there, and whose it is, is for the other side to say: only the whole name is granted to.
        if identity.trust_domain not in {one.trust_domain for one in spec.federates_with}:
            message = (
                f"{identity} is of another trust domain than {spec.trust_domain}, and not of one that "
                f"environment {environment.model.metadata.name} federates with"
            )
            remedy = "correct it, or add its trust domain to federatesWith of the Environment"
            yield binding.finding("foreign-trust-domain", path, message, remedy)
    elif identity.business_unit is None:
        message = f"{identity} is no workload of a business unit"
        yield binding.finding(
            "subject-not-a-workload", path, message, "use a path that begins with /bu/"
        )
    else:
        receiving = f"{environment.model.metadata.name}.{identity.business_unit}"
        if not catalogue.knows_business_unit(receiving):
            yield from unknown(
                catalogue, binding, path, "business unit", receiving, catalogue.business_units
            )
        yield from _across(catalogue, binding, path, granting, receiving)
        yield from _provable(catalogue, binding, path, identity, receiving)


def _provable(
    catalogue: Catalogue, binding: Binding, path: Path, identity: SpiffeId, business_unit: str
) -> Iterator[Finding]:
    """Nobody can prove an identity whose workload or namespace is not declared; a slip of the pen, mostly."""
    match identity.path.split("/")[3:]:
        case ["svc" | "ci", name]:
            known = catalogue.workload(business_unit, name) == identity
        case ["ns", namespace, "sa", _]:
            known = catalogue.business_unit_of(namespace) == business_unit
        case _:
            known = False
    if not known:
        message = f"no declared workload can prove {identity}"
        yield binding.finding(
            "undeclared-identity", path, message, "correct it, or declare the workload"
        )


def _dates(
    catalogue: Catalogue, binding: Binding, business_unit: str | None, now: int
) -> Iterator[Finding]:
    expires = binding.model.spec.expires
    path = ("spec", "expires")
    if now >= day_after(expires):
        message = f"the binding held until {expires}"
        yield binding.finding(
            "expired", path, message, "remove it, or set a later day after a review"
        )
        return
    too_long = too_long_until(catalogue, binding)
    if too_long is not None and now < too_long:
        longest = catalogue.ceiling_of(business_unit or "").max_binding_life
        message = f"{expires} is further away than {longest}, the longest life that {business_unit} may grant"
        yield binding.finding("outlives-ceiling", path, message, "set an earlier day")
