"""How federation stands, for people: what is wrong, since when, and what to do about it."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from cryptography import x509

from featward_ca.federation.bundle import ends, parse
from featward_ca.metrics import Metrics
from featward_ca.rotation.gates import REFRESHES
from featward_ca.settings import DAY, HOUR, REFRESH_HINT
from featward_ca.store.foreign import ForeignRow
from featward_ca.trouble import Trouble

__all__ = ["Endpoints", "Standing", "end_is_near", "interval", "standing"]

# Whatever the other side hints at: no more often than this, and not so rarely that a root that it
# revoked is believed for a day.
_SHORTEST, _LONGEST = 30.0, HOUR
_SHORTEST_UNSAFE = 1.0
# A certificate that nobody has renewed in its last sixth, or last week, is not renewed by itself.
_LAST_PART, _LAST_DAYS = 6, 7


def interval(hint: float, *, unsafe_short: bool = False) -> float:
    """How often a bundle with this hint is fetched, in seconds; 0: it has no hint."""
    shortest = _SHORTEST_UNSAFE if unsafe_short else _SHORTEST
    return min(_LONGEST, max(shortest, hint or REFRESH_HINT))


@dataclass(frozen=True)
class Standing:
    """One foreign trust domain. `fetched_at` is 0 for one that never was; `first_end`: when the
    first of its roots ends that has not, 0 without any.
    """

    trust_domain: str
    sequence: int = 0
    fetched_at: float = 0.0
    error: str = ""
    first_end: float = 0.0
    troubles: tuple[Trouble, ...] = ()


class Endpoints:
    """What this process saw of the foreign endpoints, and its metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._errors: dict[str, str] = {}
        self._seen: set[str] = set()
        # That of our own endpoint, if there is one.
        self.certificate: x509.Certificate | None = None

    def keep_only(self, trust_domains: Collection[str]) -> None:
        """Forget all others."""
        for gone in self._seen - set(trust_domains):
            self._metrics.forget_foreign(gone)
            self._errors.pop(gone, None)
        self._seen &= set(trust_domains)

    def answered(self, trust_domain: str) -> None:
        """A fetch succeeded."""
        self._seen.add(trust_domain)
        self._errors.pop(trust_domain, None)
        self._metrics.foreign_fetches.labels(trust_domain, "fetched").inc()

    def failed(self, trust_domain: str, error: str) -> None:
        """A fetch did not."""
        self._seen.add(trust_domain)
        self._errors[trust_domain] = error
        self._metrics.foreign_fetches.labels(trust_domain, "failed").inc()

    def known(self, row: ForeignRow) -> None:
        """What is stored of a domain by now."""
        domain = row.trust_domain
        self._seen.add(domain)
        self._metrics.foreign_fetched_at.labels(domain).set(row.fetched_at)
        self._metrics.foreign_sequence.labels(domain).set(row.sequence)
        end = max(ends(parse(row.document).roots), default=0.0)
        self._metrics.foreign_end.labels(domain).set(end)

    def error(self, trust_domain: str) -> str:
        """Why the newest fetch failed; empty where it did not."""
        return self._errors.get(trust_domain, "")

    def own_trouble(self, now: float) -> list[Trouble]:
        """What is to be done about our own endpoint."""
        if self.certificate is None or not end_is_near(self.certificate, now):
            return []
        end = self.certificate.not_valid_after_utc.timestamp()
        over = "has ended" if end <= now else "is about to end"
        return [
            Trouble(
                "bundle-certificate-ending",
                f"the certificate of the bundle endpoint {over}; then nobody fetches our bundle",
                "replace the files of --bundle-certificate and --bundle-key; no restart is needed",
                end,
            )
        ]


def standing(
    trust_domain: str, row: ForeignRow | None, error: str, now: float, seconds: float
) -> Standing:
    """How one domain stands; it is fetched every so many `seconds`."""
    if row is None:
        missing = Trouble(
            "foreign-bundle-missing",
            f"the bundle of {trust_domain} was never fetched: {error or 'not tried yet'}",
            "correct its federatesWith, or ask its owner; until then nobody of it is believed",
        )
        return Standing(trust_domain, error=error, troubles=(missing,))
    roots = [x509.load_der_x509_certificate(one) for one in parse(row.document).roots]
    ends = [one.not_valid_after_utc.timestamp() for one in roots]
    return Standing(
        trust_domain,
        row.sequence,
        row.fetched_at,
        error or row.error or "",
        min((end for end in ends if end > now), default=0.0),
        tuple(_troubles(row, error, roots, now, seconds)),
    )


def end_is_near(certificate: x509.Certificate, now: float) -> bool:
    """Whether it should have been replaced by now."""
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    part = min((end - begin).total_seconds() / _LAST_PART, _LAST_DAYS * DAY)
    return end.timestamp() - now < part


def _troubles(
    row: ForeignRow, error: str, roots: list[x509.Certificate], now: float, seconds: float
) -> Iterator[Trouble]:
    domain, age = row.trust_domain, now - row.fetched_at
    if age > REFRESHES * seconds:
        yield Trouble(
            "foreign-bundle-stale",
            f"the bundle of {domain} is {age:.0f} s old, and is to be fetched every {seconds:.0f} s:"
            f" {error or row.error or 'not tried yet'}",
            "see to its endpoint: roots that it made or revoked since then are not known here",
        )
    if not roots:
        yield Trouble(
            "foreign-bundle-empty",
            f"{domain} has revoked all its roots; nobody of it is believed",
            "ask its owner, or remove it from federatesWith",
        )
    elif all(end_is_near(root, now) for root in roots):
        end = max(root.not_valid_after_utc.timestamp() for root in roots)
        over = "have ended" if end <= now else "are about to end"
        yield Trouble(
            "foreign-bundle-ending",
            f"all roots of {domain} {over}; then nobody of it is believed",
            "ask its owner whether they are being replaced",
            end,
        )
