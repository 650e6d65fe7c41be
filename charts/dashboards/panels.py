"""What a dashboard is made of, and the expressions that come again and again."""

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "CA",
    "EXPIRY",
    "OPERATOR",
    "RUNWAY",
    "SIDECAR",
    "Dashboard",
    "Panel",
    "Query",
    "panel",
    "quantile",
    "rate",
]

# Other programs have series of these names as well, and so have two of ours.
OPERATOR = " and on(instance) featward_operator_policy_streams"
CA = " and on(instance) featward_ca_svid_lifetime_seconds"
SIDECAR = " unless on(instance) featward_ca_svid_lifetime_seconds"
EXPIRY = "featward_certificate_expiry_timestamp_seconds"
RUNWAY = "featward_identity_runway_seconds"


@dataclass(frozen=True)
class Query:
    """An expression and the legend of its series, in which `{{label}}` stands for a label's value."""

    expression: str
    legend: str


@dataclass(frozen=True)
class Panel:
    """A graph: its unit is one of Grafana's words."""

    title: str
    unit: str
    queries: Sequence[Query]
    says: str = ""
    """What to make of it, for whoever looks for the first time."""


@dataclass(frozen=True)
class Dashboard:
    """One file."""

    name: str
    title: str
    panels: Sequence[Panel]


def panel(title: str, unit: str, *queries: tuple[str, str], says: str = "") -> Panel:
    """A panel of these expressions with their legends."""
    return Panel(title, unit, [Query(*one) for one in queries], says)


def rate(series: str, *labels: str, of: str = "", where: str = "") -> str:
    """A second, added up by labels; ``where`` narrows what is added up."""
    inside = f"rate({series}{of}[$__rate_interval])"
    return f"sum by ({', '.join(labels)}) ({inside}{where})"


def quantile(share: float, histogram: str, *labels: str, where: str = "") -> str:
    return f"histogram_quantile({share}, {rate(f'{histogram}_bucket', *labels, 'le', where=where)})"
