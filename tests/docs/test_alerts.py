"""Alerts and dashboards are about series that there are, and whoever is woken finds a page."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart_kit import CHART, LEAST, merged, named, render
from dashboards.__main__ import DASHBOARDS
from dashboards.writing import text_of
from known_series import TARGET, known, labels_in

ROOT = Path(__file__).parents[2]
RULES = {"featward": "alerts.yaml", "operator": "alerts-operator.yaml"}
"""By the name of the chart's copy."""
RUNBOOK = ROOT / "docs" / "operations" / "alerts.md"


def rules() -> Iterator[dict[str, Any]]:
    for file in RULES.values():
        for group in yaml.safe_load((ROOT / "docs" / file).read_text("utf-8"))["groups"]:
            yield from group["rules"]


def expressions() -> Iterator[tuple[str, str, set[str]]]:
    """Where each is, with the labels that its text shows."""
    for rule in rules():
        shown = " ".join(rule["annotations"].values())
        yield rule["alert"], rule["expr"], set(re.findall(r"\$labels\.(\w+)", shown))
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            for query in panel.queries:
                shown_by_legend = set(re.findall(r"\{\{(\w+)\}\}", query.legend))
                yield f"{dashboard.name}: {panel.title}", query.expression, shown_by_legend


def test_every_expression_names_series_and_labels_that_there_are() -> None:
    series, seen = known(), 0
    for where, expression, shown in expressions():
        names, labels = labels_in(expression)
        assert names, where
        assert not names - series.keys(), where
        there = TARGET.union(*(series[name] for name in names))
        assert not (labels | shown) - there, where
        seen += 1
    assert seen > 80


@pytest.mark.parametrize(
    ("expression", "names", "labels"),
    [
        ("up", {"up"}, set()),
        ("rate(a_total[5m]) > 0.5 * b", {"a_total", "b"}, set()),
        (
            'sum by (x, le) (rate(a{y=~"b c(",z!="d"}[$__rate_interval]))',
            {"a"},
            {"x", "le", "y", "z"},
        ),
        ("a and on(instance) b unless c - time()", {"a", "b", "c"}, {"instance"}),
        ("a < ignoring(purpose, owner) 4 * 3600 or b == 0", {"a", "b"}, {"purpose", "owner"}),
    ],
)
def test_names_are_found_in_expressions(expression: str, names: set[str], labels: set[str]) -> None:
    assert labels_in(expression) == (names, labels)


def test_every_alert_has_its_heading_in_the_runbook_and_no_heading_is_without() -> None:
    text = RUNBOOK.read_text("utf-8")
    told = re.findall(r"^## (\w+)\n\n(?:\*(page|ticket)\.\*)", text, re.MULTILINE)
    assert told == [(rule["alert"], rule["labels"]["severity"]) for rule in rules()]
    for rule in rules():
        assert rule["annotations"].keys() == {"summary", "description", "runbook"}
        page, _, heading = rule["annotations"]["runbook"].partition("#")
        assert (ROOT / page, heading) == (RUNBOOK, rule["alert"].lower())


def test_the_chart_has_the_rules_of_the_docs_and_these_dashboards() -> None:
    monitoring = {one: {"enabled": True} for one in ("alerts", "dashboards")}
    objects = render(merged(LEAST, {"monitoring": monitoring}))
    for name, file in RULES.items():
        text = (ROOT / "docs" / file).read_text("utf-8")
        assert (CHART / "files" / "alerts" / f"{name}.yaml").read_text("utf-8") == text, "make docs"
        assert named(objects, "PrometheusRule", f"featward-{name}")["spec"] == yaml.safe_load(text)
    for dashboard in DASHBOARDS:
        file_name = f"{dashboard.name}.json"
        text = text_of(dashboard)
        assert (CHART / "files" / "dashboards" / file_name).read_text("utf-8") == text, "make docs"
        found = named(objects, "ConfigMap", f"featward-dashboard-{dashboard.name}")
        assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
        assert json.loads(found["data"][file_name]) == json.loads(text)
    there = {file.name for file in (CHART / "files" / "dashboards").iterdir()}
    assert there == {f"{one.name}.json" for one in DASHBOARDS}


def test_panels_do_not_lie_on_one_another() -> None:
    for dashboard in DASHBOARDS:
        panels = json.loads(text_of(dashboard))["panels"]
        places = {(one["gridPos"]["x"], one["gridPos"]["y"]) for one in panels}
        assert len(places) == len({one["id"] for one in panels}) == len(panels)
        assert all(one["gridPos"]["x"] + one["gridPos"]["w"] <= 24 for one in panels)
