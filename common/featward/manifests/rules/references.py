"""Rules on names: each is given once, and each that is used is declared."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches

from featward.manifests.catalogue import Catalogue
from featward.manifests.document import AnyModel, Document
from featward.manifests.findings import Finding
from featward.manifests.model import BUSINESS_UNIT_LABEL
from featward.strictyaml import Path

__all__ = ["declared", "references", "undeclared_namespace"]


def references(catalogue: Catalogue, now: int) -> Iterator[Finding]:
    """Names given twice, and platform documents that refer to nothing."""
    yield from _duplicates(catalogue)
    yield from _shared_trust_domains(catalogue)
    for unit in catalogue.business_units.values():
        environment = unit.model.metadata.name.partition(".")[0]
        if environment not in catalogue.environments:
            path = ("metadata", "name")
            yield from unknown(
                catalogue, unit, path, "environment", environment, catalogue.environments
            )
    for workload in catalogue.workloads.values():
        yield from declared(
            catalogue, workload, ("spec", "businessUnit"), workload.model.spec.business_unit
        )
    for namespace in catalogue.namespaces.values():
        label = namespace.model.metadata.labels.get(BUSINESS_UNIT_LABEL)
        if label is not None:
            yield from declared(
                catalogue, namespace, ("metadata", "labels", BUSINESS_UNIT_LABEL), label
            )


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
    close = get_close_matches(name, list(known), n=1)
    remedy = f"did you mean {close[0]}?" if close else f"declare the {what}, or correct the name"
    code = f"unknown-{what.replace(' ', '-')}"
    yield document.finding(code, path, f"{what} {name} is not declared", remedy)


def _duplicates(catalogue: Catalogue) -> Iterator[Finding]:
    for second, first in catalogue.duplicates:
        path = ("spec", "name") if second.kind == "Workload" else ("metadata", "name")
        where = f"{first.source.name}:{first.line}"
        message = f"{second} is declared a second time, first in {where}"
        yield second.finding("duplicate-name", path, message, "remove one, or give it another name")


def _shared_trust_domains(catalogue: Catalogue) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for environment in catalogue.environments.values():
        name, domain = environment.model.metadata.name, environment.model.spec.trust_domain
        first = seen.setdefault(domain, name)
        if first != name:
            message = f"trust domain {domain} is environment {first}'s already"
            remedy = "give each environment its own, so that nothing of one is accepted in another"
            yield environment.finding("duplicate-name", ("spec", "trustDomain"), message, remedy)
