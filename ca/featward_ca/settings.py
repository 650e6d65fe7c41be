"""What `featward ca serve` was told, and the inequalities between lifetimes that make rotation
safe.

The lifetimes are checked against each other here, at start and at every reload, and a set that
can't hold is refused with the sum shown: an authority that lives too shortly would have to be
replaced before everybody has learnt of its successor.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from featward.manifests.platform import AUTHORITY_TTLS
from featward.manifests.text import in_text
from featward_ca.cluster.names import ObjectName
from featward_ca.errors import ConfigurationError

MINUTE = 60.0
HOUR = 60 * MINUTE
DAY = 24 * HOUR

# Five years: longer than any machine image that carries it, short enough to be rotated in one
# career.
ROOT_LIFETIME = 5 * 365 * DAY
AUTHORITY_LIFETIME = 7 * DAY
# Below five minutes renewal becomes the load; above a day a stolen key is useful for too long.
SVID_FLOOR, SVID_CEILING = 5 * MINUTE, DAY
# For verifiers whose clocks run behind; Istio uses the same, SPIRE ten seconds.
BACKDATE = 2 * MINUTE
# A new authority is prepared when this part of the life is left; with 7 days that is two days
# before the end.
PREPARE_AT_LEFT = 2 / 7
# How long after its end an SVID of a join-token workload may still be renewed: a night, and a CA that is
# away for three lives of SVIDs, in which those that it signed last have been over for almost as long.
REATTEST_GRACE, REATTEST_LIVES = DAY, 3
# With short lives that many of them, so that scope rows do not pile up over a day of tests; and two
# minutes at the least, in which the sidecars of a slow machine come back.
SHORT_GRACE_TTLS, SHORT_GRACE = 20, 2 * MINUTE
# How long clients whose SVIDs ended while the CA was away have to come back after its start: a
# sidecar tries every 20 s, and a busy CA may turn it away; nearly all are back within one minute.
RETURN = 2 * MINUTE
# How often federated peers are told to look at our bundle. A root is revoked five of these after its
# successor was announced, so it bounds the end of a root's compromise too.
REFRESH_HINT = 5 * MINUTE


@dataclass(frozen=True)
class Lifetimes:
    """How long what we sign lives, in seconds; `business_units` maps a name to its authority's
    lifetime.
    """

    svid: float
    business_units: dict[str, float]
    platform: float = AUTHORITY_LIFETIME
    root: float = ROOT_LIFETIME
    # SVIDs are renewed after so long, where half of their life is later.
    renew_every: float | None = None
    unsafe_short: bool = False
    # A business unit's name to how long its authority signs, where the manifests ask for less than
    # its life allows.
    rotate_every: Mapping[str, float] = field(default_factory=dict)

    @property
    def backdate(self) -> float:
        """How far `notBefore` lies before the moment of signing."""
        return min(BACKDATE, self.svid / 10) if self.unsafe_short else BACKDATE

    @property
    def renewal_life(self) -> float:
        """At half of this, or at half of the SVID's life if that is sooner, renewal is due."""
        return self.svid if self.renew_every is None else min(self.svid, 2 * self.renew_every)

    @property
    def refresh_hint(self) -> float:
        """How often federated peers are told to look at our bundle."""
        return min(REFRESH_HINT, max(1.0, self.svid / 5)) if self.unsafe_short else REFRESH_HINT

    @property
    def reattest_grace(self) -> float:
        """How long after its end an SVID may still be renewed by itself."""
        if not self.unsafe_short:
            return reattest_grace(self.svid)
        short = max(SHORT_GRACE, SHORT_GRACE_TTLS * self.svid)
        return min(reattest_grace(self.svid), short)

    @property
    def return_time(self) -> float:
        """How long after a start nothing is taken from those whose SVIDs ended before it."""
        return min(RETURN, 5 * self.svid) if self.unsafe_short else RETURN

    def of(self, owner: str) -> float:
        """The lifetime of the authority of a business unit, or of ``platform``."""
        return self.business_units.get(owner, self.platform)

    def check(self) -> None:
        """Raise ConfigurationError for a set of lifetimes that can't hold together."""
        if not self.unsafe_short and not SVID_FLOOR <= self.svid <= SVID_CEILING:
            raise ConfigurationError(
                f"an SVID lifetime of {in_text(self.svid)} is outside of {in_text(SVID_FLOOR)} to"
                f" {in_text(SVID_CEILING)}; change svidTTL of the Environment (for tests,"
                " --unsafe-short-lives lifts the floor)"
            )
        if self.svid < 1:
            raise ConfigurationError(
                "an SVID has to live for one second at least; change svidTTL of the Environment"
            )
        for owner, lifetime in {"platform": self.platform, **self.business_units}.items():
            self._check_authority(owner, lifetime)

    def _check_authority(self, owner: str, lifetime: float) -> None:
        least = AUTHORITY_TTLS * self.svid
        if lifetime < least:
            raise ConfigurationError(
                f"the authority of {owner} would live {in_text(lifetime)}, less than {AUTHORITY_TTLS}"
                f" x the SVID lifetime of {in_text(self.svid)} = {in_text(least)}; lengthen"
                " authority.lifetime or shorten svidTTL"
            )
        if lifetime > self.root:
            raise ConfigurationError(
                f"the authority of {owner} would live {in_text(lifetime)}, longer than the root's"
                f" {in_text(self.root)}; shorten authority.lifetime"
            )


@dataclass(frozen=True)
class BundleSettings:
    """Where foreign trust domains fetch our bundle, and the PEM files that prove it is there."""

    listen: str
    certificate: Path
    key: Path


@dataclass(frozen=True)
class ServeSettings:
    """One running CA: where its data, manifests and sockets are. Addresses are ``host:port``."""

    environment: str
    data: Path
    # None: they are in a cluster.
    manifests: Path | None
    # None: the key-encryption key is in the Secret, or else in FEATWARD_CA_KEK.
    kek_file: Path | None
    listen: str
    workload_socket: Path | None
    admin_socket: Path
    health: str | None
    unsafe_short_lives: bool = False
    # None: nobody can fetch it.
    bundle: BundleSettings | None = None
    # Name of a cluster to its kubeconfig, or to ``in-cluster``.
    clusters: Mapping[str, str] = field(default_factory=dict)
    # ``cluster/namespace/serviceaccount``.
    operator: str | None = None
    # Where all state is, when it is not in the data directory.
    store_address: str | None = None
    # Of `clusters`: the one whose API server has the manifests.
    from_cluster: str | None = None
    # A ConfigMap, and the Secret with the key-encryption key.
    publish_bundle: ObjectName | None = None
    kek_secret: ObjectName | None = None

    @property
    def store(self) -> str:
        """The address of the store."""
        return self.store_address or embedded_store(self.data)

    @property
    def identity_socket(self) -> Path:
        """Where the gRPC server waits for its Listeners; nobody else may reach it."""
        return self.data.absolute() / "identity.sock"


def reattest_grace(svid: float) -> float:
    """How long after its end an SVID that lives for so many seconds may still be renewed by itself.

    >>> reattest_grace(HOUR) / DAY, reattest_grace(DAY) / DAY
    (1.0, 3.0)
    """
    return max(REATTEST_GRACE, REATTEST_LIVES * svid)


def embedded_file(data: Path) -> Path:
    """The one file that holds all state of a CA without a database server."""
    return data / "ca.sqlite3"


def embedded_store(data: Path) -> str:
    """The same as a store's address."""
    return f"sqlite:///{embedded_file(data).absolute()}"
