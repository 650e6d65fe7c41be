"""Rules on proof: a token leads to one cluster or issuer, and those know whom they may speak for."""

from collections.abc import Iterator

from featward.manifests.catalogue import Catalogue
from featward.manifests.document import Document
from featward.manifests.findings import Finding
from featward.manifests.platform import Environment, Workload
from featward.manifests.rules.references import declared, unknown

__all__ = ["environment_proof", "workload_proof"]


def environment_proof(
    catalogue: Catalogue, environment: Document[Environment], now: int
) -> Iterator[Finding]:
    """Whose tokens an environment takes, and whom they may speak for."""
    yield from _one_for_each_token(environment)
    yield from _business_units(catalogue, environment)


def workload_proof(
    catalogue: Catalogue, workload: Document[Workload], now: int
) -> Iterator[Finding]:
    """That the issuer of a workload's tokens is one of its environment."""
    spec = workload.model.spec
    home = catalogue.environment_of(spec.business_unit)
    if spec.attest.jwt is None or home is None:
        return
    known = [issuer.name for issuer in home.model.spec.jwt_issuers]
    if spec.attest.jwt.issuer not in known:
        path = ("spec", "attest", "jwt", "issuer")
        yield from unknown(catalogue, workload, path, "jwt issuer", spec.attest.jwt.issuer, known)


def _one_for_each_token(environment: Document[Environment]) -> Iterator[Finding]:
    spec = environment.model.spec
    for key, entries in (("clusters", spec.clusters), ("jwtIssuers", spec.jwt_issuers)):
        for field in ("name", "issuer"):
            seen: set[str] = set()
            for index, entry in enumerate(entries):
                value = getattr(entry, field)
                if value in seen:
                    message = f"two {key} have the {field} {value}"
                    remedy = "give each its own, so that a token leads to one of them"
                    path = ("spec", key, index, field)
                    yield environment.finding("duplicate-name", path, message, remedy)
                seen.add(value)


def _business_units(catalogue: Catalogue, environment: Document[Environment]) -> Iterator[Finding]:
    name = environment.model.metadata.name
    for place, cluster in enumerate(environment.model.spec.clusters):
        for index, unit in enumerate(cluster.business_units):
            path = ("spec", "clusters", place, "businessUnits", index)
            if unit == "*":
                continue
            if unit.partition(".")[0] != name:
                message = f"business unit {unit} is not of environment {name}"
                remedy = f"name one that begins with {name}."
                yield environment.finding("unknown-business-unit", path, message, remedy)
            else:
                yield from declared(catalogue, environment, path, unit)
