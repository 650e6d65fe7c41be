"""Rules on Overrides: what they are about exists, and their environment allows them. None of them blocks."""

from collections.abc import Iterator

from featward.manifests.catalogue import Catalogue
from featward.manifests.document import Document
from featward.manifests.findings import Finding
from featward.manifests.governance import Override
from featward.manifests.overriding import environment_overridden, is_too_long
from featward.manifests.text import second_of
from featward.strictyaml import Path

__all__ = ["overrides"]


def overrides(catalogue: Catalogue, override: Document[Override], now: int) -> Iterator[Finding]:
    """An Override that has not ended."""
    if now < second_of(override.model.spec.expires):
        yield from _target(catalogue, override)
        yield from _length(catalogue, override, now)


def _target(catalogue: Catalogue, override: Document[Override]) -> Iterator[Finding]:
    target = override.model.spec.target
    missing, key = "", ""
    if target.environment is not None and target.environment not in catalogue.environments:
        missing, key = f"environment {target.environment}", "environment"
    for what, key_of, named, known in (
        ("feature set", "featureSet", target.feature_set, catalogue.feature_sets.keys()),
        ("binding", "binding", target.binding, catalogue.bindings.keys()),
    ):
        if named is not None and (named.namespace, named.name) not in known:
            missing, key = f"{what} {named.namespace}/{named.name}", key_of
    if missing:
        message = f"{missing} is not declared, so there is nothing to {override.model.spec.action}"
        remedy = "make another Override with the name corrected"
        path = ("spec", "target", key)
        yield override.finding("override-without-target", path, message, remedy)


def _length(catalogue: Catalogue, override: Document[Override], now: int) -> Iterator[Finding]:
    environment = environment_overridden(catalogue, override)
    if environment is None or not is_too_long(catalogue, override, now):
        return
    name, longest = environment.model.metadata.name, environment.model.spec.max_override
    path: Path = ("spec", "expires")
    if longest is None:
        message = f"environment {name} has no maxOverride: no Override of it is ever in force"
        remedy = "have maxOverride added to the Environment"
    else:
        message = (
            f"it would hold until {override.model.spec.expires}, longer than {longest}, the maxOverride of "
            f"environment {name}: it is not in force"
        )
        remedy = "make another that ends sooner"
    yield override.finding("override-too-long", path, message, remedy)
