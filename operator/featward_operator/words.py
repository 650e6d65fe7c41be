"""Writes docs/kubernetes-reference.md: `python -m featward_operator.words > docs/kubernetes-reference.md`.

Every word that the operator says to programs, from the tables and the series of the code itself, so that the
page can't promise what isn't said. `make docs` calls it, and a test fails while the two differ.
"""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.core import Metric

from featward.policy.index import PolicyIndex
from featward.policy.slices import SliceCompiler
from featward_operator.metrics import Metrics
from featward_operator.policy.series import Series
from featward_operator.policy.streams import Streams
from featward_operator.reconcile.audit import AuditSeries
from featward_operator.reconcile.override import OverridesInForce
from featward_operator.rotation.part import ratio
from featward_operator.vocabulary import QUESTIONS, Event, Reason, Type
from featward_operator.webhook.metrics import WebhookMetrics

__all__ = ["page", "registry", "series"]

_INTRODUCTION = """# What the operator says

This page is generated from the code by `make docs`; change that.

For who writes alerts, scripts and dashboards: every condition, reason, event and metric, with what
it means. A word keeps its meaning; new ones may come. What the keys of a status mean is in
[kinds.md](kinds.md#status).

    kubectl get fset,fbind -A
    kubectl wait --for=condition=Ready fset/driver-stats -n ml
    kubectl get events -A --field-selector reason=SidecarMissing

"""

_ORDERS = """## Who wins

Where two things are at odds, this decides, and the loser is told in its status and by an Event:

1. Of two objects that claim the same, the older one has it; of two made in the same second the first
   by namespace and name. So a feature or a service of two sets of one workload (`Claimed`), and a trust
   domain of two Environments.
2. An Override that closes, before one that relaxes, before the mode of the set; of two alike the one
   that ends later.
3. An approval counts for the one digest that it names (`Approved`, `InForce`): every edit of the binding
   voids it.
4. `featward.dev/rotation: paused` before every schedule and every request.

"""

_READY = """`Ready` is False with the reason of the first of these that is False: `Valid`, `Claimed`, `Served`,
`Distributed`; `Granting`, `Approved`; `InForce`; `AuthorityReachable`. What is Unknown keeps nothing from
being ready.
Where protection is suspended nothing is ready. `Observed` and `Closed` say what is still open
beside the sidecar, and `Due` and `Overdue` what is to be done: they are no part of it.

"""


def page() -> str:
    """The whole page."""
    return _INTRODUCTION + "".join(_conditions()) + _ORDERS + "".join(_events_and_series())


def _conditions() -> Iterator[str]:
    yield "## Conditions\n\n" + _READY
    for question in Type:
        told = QUESTIONS[question]
        yield f"### {question}\n\n{question.meaning} Of {', '.join(told.kinds)}.\n\n"
        answers = (("True", told.true), ("False", told.false), ("Unknown", told.unknown))
        rows = [
            (status, f"`{reason}`", reason.meaning) for status, all_ in answers for reason in all_
        ]
        if question is Type.READY:
            rows.append(("False", "that of the first that is", "What its condition says."))
        yield _table(("answer", "reason", "meaning"), rows) + "\n"


def _events_and_series() -> Iterator[str]:
    yield "## Events\n\n"
    yield "Told once in ten minutes at the most, of the object that they are about.\n\n"
    yield _table(("reason", "meaning"), ((f"`{one}`", one.meaning) for one in Event)) + "\n"
    yield "## Metrics\n\nOf each replica, at `/metrics` of port 8080; [operator.md](operator.md) says more.\n\n"
    yield _table(
        ("metric", "kind", "meaning"), ((_name(one), one.type, _text(one)) for one in series())
    )


def series() -> list[Metric]:
    """All families of the operator's own series, by name; those of the process are everybody's."""
    found = [one for one in registry().collect() if not one.name.startswith("process_")]
    return sorted(found, key=lambda one: one.name)


def registry() -> CollectorRegistry:
    """One with every series that an operator has."""
    metrics = Metrics()
    Series(metrics.registry).watch(Streams(), SliceCompiler(PolicyIndex()), lambda _: True)
    WebhookMetrics(metrics.registry)
    metrics.registry.register(AuditSeries(dict, int))
    metrics.registry.register(OverridesInForce(PolicyIndex().catalogue))
    ratio(metrics.registry)
    return metrics.registry


def _name(family: Metric) -> str:
    return f"`{family.name}{'_total' if family.type == 'counter' else ''}`"


def _text(family: Metric) -> str:
    return family.documentation.replace("|", "\\|").replace("<error>", "`<error>`")


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


# Whoever reads the page looks for a word: each is in one of the tables.
_USED = {
    reason for told in QUESTIONS.values() for reason in (*told.true, *told.false, *told.unknown)
}
if unused := set(Reason) - _USED:
    raise AssertionError(f"reasons of no condition: {unused}")


if __name__ == "__main__":
    print(page(), end="")
