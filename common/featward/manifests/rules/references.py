"""Rules on names: each is given once, and each that is used is declared."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from itertools import islice

from featward.manifests.catalogue import Catalogue
from featward.manifests.document import AnyModel, Document
from featward.manifests.findings import Finding
from featward.manifests.model import BUSINESS_UNIT_LABEL
from featward.manifests.platform import BusinessUnit, Environment, Namespace, Workload
from featward.strictyaml import Path

__all__ = [
    "declared",
    "duplicates",
    "namespace_owner",
    "trust_domain",
    "undeclared_namespace",
    "unit_environment",
    "unknown",
    "workload_owner",
]

# So many names are compared with one that is not known before only alike ones are: it takes milliseconds.
_COMPARED = 256


def unit_environment(
    catalogue: Catalogue, unit: Document[BusinessUnit], now: int
) -> Iterator[Finding]:
    """That a business unit's environment is declared."""
    environment = unit.model.metadata.name.partition(".")[0]
    if environment not in catalogue.environments:
        path = ("metadata", "name")
        yield from unknown(
            catalogue, unit, path, "environment", environment, catalogue.environments
        )


def workload_owner(
    catalogue: Catalogue, workload: Document[Workload], now: int
) -> Iterator[Finding]:
    """That a workload's business unit is declared."""
    unit = workload.model.spec.business_unit
    yield from declared(catalogue, workload, ("spec", "businessUnit"), unit)


def namespace_owner(
    catalogue: Catalogue, namespace: Document[Namespace], now: int
) -> Iterator[Finding]:
    """That the business unit of a namespace's label is declared."""
    label = namespace.model.metadata.labels.get(BUSINESS_UNIT_LABEL)
    if label is not None:
        path = ("metadata", "labels", BUSINESS_UNIT_LABEL)
        yield from declared(catalogue, namespace, path, label)


def declared(
    catalogue: Catalogue, document: Document[AnyModel], path: Path, business_unit: str
) -> Iterator[Finding]:
    """That a business unit is declared."""
    if not catalogue.knows_business_unit(business_unit):
        yield from unknown(
            catalogue, document, path, "business unit", business_unit, catalogue.business_units
        )


def undeclared_namespace(
    catalogue: Catalogue, document: Document[AnyModel], path: Path, namespace: str
) -> Iterator[Finding]:
    """That a namespace is declared and belongs to somebody."""
    if namespace not in catalogue.namespaces:
        yield from unknown(catalogue, document, path, "namespace", namespace, catalogue.namespaces)
        return
    labels = catalogue.namespaces[namespace].model.metadata.labels
    if BUSINESS_UNIT_LABEL not in labels and len(catalogue.environments) != 1:
        count = len(catalogue.environments)
        message = (
            f"namespace {namespace} has no label, and {count} environments are declared, not one"
        )
        remedy = f"label the namespace {BUSINESS_UNIT_LABEL}: <environment>.<unit>"
        yield document.finding("namespace-without-business-unit", path, message, remedy)


def unknown(
    catalogue: Catalogue,
    document: Document[AnyModel],
    path: Path,
    what: str,
    name: str,
    known: Iterable[str],
) -> Iterator[Finding]:
    """A name that is not declared, with the nearest that is; nothing where its document is only malformed."""
    if (what, name) in catalogue.malformed:
        return
    close = get_close_matches(name, _alike(name, list(known)), n=1)
    remedy = f"did you mean {close[0]}?" if close else f"declare the {what}, or correct the name"
    code = f"unknown-{what.replace(' ', '-')}"
    yield document.finding(code, path, f"{what} {name} is not declared", remedy)


def _alike(name: str, known: list[str]) -> list[str]:
    """Those worth a comparison: all where they are few, else those of about the length with a common end."""
    if len(known) <= _COMPARED:
        return known
    ends = (name[:1], name[-1:])
    near = (
        one
        for one in known
        if abs(len(one) - len(name)) <= 3 and (one[:1] == ends[0] or one[-1:] == ends[1])
    )
    return list(islice(near, _COMPARED))


def duplicates(catalogue: Catalogue) -> Iterator[Finding]:
    """Each second document of a name. An API server has none."""
    for second, first in catalogue.duplicates:
        path = ("spec", "name") if second.kind == "Workload" else ("metadata", "name")
        where = f"{first.source.name}:{first.line}"
        message = f"{second} is declared a second time, first in {where}"
        yield second.finding("duplicate-name", path, message, "remove one, or give it another name")


def trust_domain(
    catalogue: Catalogue, environment: Document[Environment], now: int
) -> Iterator[Finding]:
    """That no environment before this one has its trust domain."""
    name, domain = environment.model.metadata.name, environment.model.spec.trust_domain
    first = next(
        one
        for one, other in catalogue.environments.items()
        if other.model.spec.trust_domain == domain
    )
    if first != name:
        message = f"trust domain {domain} is environment {first}'s already"
        remedy = "give each environment its own, so that nothing of one is accepted in another"
        yield environment.finding("duplicate-name", ("spec", "trustDomain"), message, remedy)
