"""Which Overrides are in force: those that their environment allows, for as long as it allows."""

from collections.abc import Iterator

from featward.manifests.catalogue import Catalogue
from featward.manifests.document import Document
from featward.manifests.governance import Override
from featward.manifests.platform import Environment
from featward.manifests.text import second_of, seconds

__all__ = ["environment_overridden", "in_force", "is_too_long"]


def environment_overridden(
    catalogue: Catalogue, override: Document[Override]
) -> Document[Environment] | None:
    """The environment that an Override is about, None where it or its namespace is not declared."""
    target = override.model.spec.target
    if target.environment is not None:
        return catalogue.environments.get(target.environment)
    named = target.feature_set or target.binding
    unit = catalogue.business_unit_of(named.namespace) if named is not None else None
    return catalogue.environment_of(unit) if unit is not None else None


def is_too_long(catalogue: Catalogue, override: Document[Override], now: float) -> bool:
    """Whether it would hold longer than its environment allows, counted from when it was made.

    One whose environment allows none, or is not known, always does. Such an Override is never in force, not
    even for the time that would have been allowed: whoever made it is told at once.
    """
    environment = environment_overridden(catalogue, override)
    longest = environment.model.spec.max_override if environment is not None else None
    begun = override.created or now
    return longest is None or second_of(override.model.spec.expires) > begun + seconds(longest)


def in_force(catalogue: Catalogue, now: float) -> Iterator[Document[Override]]:
    """The Overrides that hold at this moment, by name."""
    for _, override in sorted(catalogue.overrides.items()):
        ended = now >= second_of(override.model.spec.expires)
        if not ended and not is_too_long(catalogue, override, now):
            yield override
