"""What docs/chart.md shows is what the chart takes, what it makes, and what the models take."""

import re
from pathlib import Path

import pytest
import yaml

from chart_kit import CHART, render
from documented import blocks
from featward.manifests.document import Document
from featward.manifests.objects import document_of

PAGE = Path(__file__).parents[2] / "docs" / "chart.md"
TEXT = PAGE.read_text("utf-8")
BLOCKS = {block.info: block.text for block in blocks(PAGE)}


def test_the_values_shown_are_enough() -> None:
    assert render(yaml.safe_load(BLOCKS["values"]))


def test_the_values_of_monitoring_make_what_the_page_says() -> None:
    values = yaml.safe_load(BLOCKS["values"]) | yaml.safe_load(BLOCKS["monitoring"])
    found = [(one["kind"], one["metadata"]["name"]) for one in render(values)]
    dashboards = [name for kind, name in found if kind == "ConfigMap" and "dashboard" in name]
    assert len(dashboards) == 3
    assert {kind for kind, _ in found} >= {"ServiceMonitor", "PodMonitor", "PrometheusRule"}


def test_the_platform_shown_is_one() -> None:
    for one in yaml.safe_load_all(BLOCKS["platform"]):
        assert isinstance(document_of(one), Document)
    values = yaml.safe_load(BLOCKS["values"])
    (environment,) = values["environments"]
    shown = yaml.safe_load(BLOCKS["platform"])
    assert shown["metadata"]["name"] == environment["name"]
    assert shown["spec"]["trustDomain"] == environment["trustDomain"]
    assert shown["spec"]["clusters"][0]["name"] == values["cluster"]


@pytest.mark.parametrize("kind", ["deployment", "statefulset"])
def test_what_is_waited_for_is_what_the_chart_makes(kind: str) -> None:
    objects = render(yaml.safe_load(BLOCKS["values"]))
    made = {one["metadata"]["name"] for one in objects if one["kind"].lower() == kind}
    named = set(re.findall(rf"rollout status {kind}/(\S+)", TEXT))
    assert named
    assert named <= made


def test_every_role_for_people_is_explained() -> None:
    objects = render(yaml.safe_load(BLOCKS["values"]))
    parts = ("operator", "ca")
    roles = {
        one["metadata"]["name"]
        for one in objects
        if one["kind"] == "ClusterRole" and one["metadata"]["name"].partition("-")[2] not in parts
    }
    assert roles == set(
        re.findall(r"`(featward-(?:view|edit|assigner|approver|overrider|rotator))`", TEXT)
    )


def test_the_folders_that_are_named_are_there() -> None:
    assert (CHART / "examples").is_dir()
    assert "helm install featward charts/featward" in TEXT
