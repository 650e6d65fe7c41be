"""The truth table: every pod that can be told apart is made for real, and the table says what becomes of it."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any, get_args, get_type_hints

import pytest

from featward_operator.injection.decide import TABLE, Row, row_of
from featward_operator.injection.decision import Reason
from featward_operator.injection.facts import NamespaceFacts, RequestFacts
from featward_operator.injection.inject import inject
from featward_operator.injection.situation import Situation
from featward_operator.injection.template import template
from injection_kit import SETTINGS, known_namespace

WORDS = {
    name: get_args(hint) or (True, False)
    for name, hint in get_type_hints(Situation).items()
    if name != "asked"
}
REASONS = {reason for row in TABLE for reason in row.reasons}


def situations() -> Iterator[Situation]:
    for values in itertools.product(*WORDS.values()):
        yield Situation(**dict(zip(WORDS, values, strict=True)))


ALL = list(situations())


def pod_of(found: Situation) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": "feast", "labels": {}, "annotations": {}}
    spec: dict[str, Any] = {"containers": [{"name": "app"}], "hostNetwork": found.clash}
    said = {"other": "sevrer"}
    for group, word in (("labels", found.label), ("annotations", found.annotation)):
        if word != "absent":
            metadata[group]["featward.dev/inject"] = said.get(word, word)
    if found.annotations == "bad":
        metadata["annotations"]["featward.dev/log-level"] = "loud"
    if found.sidecar != "none":
        environment = "prod" if found.identity else ""
        today = template(SETTINGS, environment)
        made = today if found.sidecar == "current" else "0" * 12
        metadata["annotations"]["featward.dev/status"] = (
            f'{{"version": "0.2.0", "template": "{made}", "reason": "injected"}}'
        )
        spec["initContainers"] = [{"name": "featward-sidecar", "restartPolicy": "Always"}]
    return {"metadata": metadata, "spec": spec}


def namespace_of(found: Situation) -> NamespaceFacts | None:
    if found.place == "unknown":
        return None
    labels = {"featward.dev/business-unit": "prod.payments" if found.identity else "dev.payments"}
    for key, word in (("injection", found.injection), ("protection", found.protection)):
        if word != "absent":
            labels[f"featward.dev/{key}"] = "enbaled" if word == "other" else word
    return known_namespace("kube-system" if found.place == "outside" else "ml", labels)


def expected(row: Row, found: Situation) -> tuple[str, ...]:
    """The reasons of a row; of those that gather, all whose cause the pod was given."""
    if "clash" in row.when or "identity" in row.when or "annotations" in row.when:
        gathered = [Reason.HOST_NETWORK] if found.clash else []
        gathered += [] if found.identity else [Reason.NO_ENVIRONMENT]
        gathered += [Reason.BAD_ANNOTATION] if found.annotations == "bad" else []
        return tuple(gathered)
    return row.reasons


@pytest.mark.parametrize("row", TABLE, ids=lambda row: "-".join(row.reasons[:1]))
def test_the_row_that_matches_first_decides(row: Row) -> None:
    mine = [found for found in ALL if row_of(found) is row]
    assert mine, "no pod can come to this row"
    for found in mine:
        request = RequestFacts("uid", "kube-system" if found.place == "outside" else "ml")
        answer = inject(pod_of(found), request, namespace_of(found), SETTINGS)
        outcome = answer.decision
        assert outcome.reasons == expected(row, found), found
        assert outcome.refused == (row.outcome == "refused"), found
        assert bool(outcome.errors) == outcome.refused
        assert (Reason.INJECTED in outcome.reasons) == (row.outcome == "injected")
        if row.outcome == "injected":
            assert outcome.inject == found.asked
            assert answer.patch


def test_every_reason_is_in_the_table() -> None:
    assert set(Reason) == REASONS


PLAIN = Situation("known", "absent", "absent", "server", "absent", "none")


# By hand, from what users were promised, so that a wrong table does not prove itself.
@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (PLAIN, "injected"),
        (replace(PLAIN, label="client"), "injected"),
        (replace(PLAIN, label="absent", annotation="server", injection="enabled"), "injected"),
        (replace(PLAIN, label="absent", annotation="server"), "annotation-without-namespace"),
        (replace(PLAIN, label="false", annotation="server", injection="enabled"), "asked-false"),
        (replace(PLAIN, annotation="false", injection="enabled"), "injected"),
        (replace(PLAIN, label="absent", injection="enabled"), "not-asked"),
        (replace(PLAIN, label="other"), "bad-value"),
        (replace(PLAIN, injection="other"), "bad-value"),
        (replace(PLAIN, protection="other"), "bad-value"),
        (replace(PLAIN, protection="suspended", clash=True), "protection-suspended"),
        (replace(PLAIN, place="outside"), "not-asked"),
        (replace(PLAIN, place="unknown"), "not-ready"),
        (replace(PLAIN, sidecar="current"), "already-injected"),
        (replace(PLAIN, sidecar="older"), "injected"),
        (replace(PLAIN, clash=True), "host-network"),
        (replace(PLAIN, identity=False), "no-business-unit"),
        (replace(PLAIN, annotations="bad"), "bad-annotation"),
    ],
)
def test_what_was_promised(found: Situation, reason: str) -> None:
    assert row_of(found).reasons[0] == reason
