"""Rules on lifetimes: an authority has to outlive what rotating it takes."""

from collections.abc import Iterator

from featward.manifests.catalogue import Catalogue
from featward.manifests.document import Document
from featward.manifests.findings import Finding
from featward.manifests.platform import AUTHORITY_TTLS, BusinessUnit, Environment
from featward.manifests.text import in_text, seconds
from featward.strictyaml import Path

__all__ = ["lifetimes"]

_LIFETIME: Path = ("spec", "authority", "lifetime")
_EVERY: Path = ("spec", "authority", "rotateEvery")


def lifetimes(catalogue: Catalogue, unit: Document[BusinessUnit], now: int) -> Iterator[Finding]:
    """One business unit's, against the certificates of its environment."""
    if environment := catalogue.environment_of(unit.model.metadata.name):
        yield from _authority(unit, environment)


def _authority(
    unit: Document[BusinessUnit], environment: Document[Environment]
) -> Iterator[Finding]:
    lifetime, ttl = unit.model.spec.authority.lifetime, environment.model.spec.svid_ttl
    least = AUTHORITY_TTLS * seconds(ttl)
    if seconds(lifetime) < least:
        message = (
            f"the authority of {unit.model.metadata.name} would live {lifetime}, less than {AUTHORITY_TTLS}"
            f" x the svidTTL of {ttl} = {in_text(least)}"
        )
        remedy = "lengthen authority.lifetime or shorten svidTTL"
        yield unit.finding("authority-too-short", _LIFETIME, message, remedy)
    every = unit.model.spec.authority.rotate_every
    if every is not None and seconds(every) < least:
        message = (
            f"the authority of {unit.model.metadata.name} would be replaced every {every}, less than"
            f" {AUTHORITY_TTLS} x the svidTTL of {ttl} = {in_text(least)}"
        )
        remedy = "lengthen authority.rotateEvery or shorten svidTTL"
        yield unit.finding("rotation-too-often", _EVERY, message, remedy)
