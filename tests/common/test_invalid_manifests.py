"""Every way in which manifests can be wrong, from data files that mark the line where it is."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from featward.manifests import CODES, Finding, load, load_texts, validate

VECTORS = Path(__file__).parents[1] / "vectors" / "manifests"
BASE = (VECTORS / "base.yaml").read_text()
NOW = int(datetime(2026, 11, 23, 12, tzinfo=UTC).timestamp())
FILES = sorted((VECTORS / "invalid").glob("*.yaml"))
# What is wrong with a file or folder as a whole is tested below, without a data file; what is
# found in clusters alone is in test_objects and test_overrides.
WITHOUT_FILE = {"unreadable-file", "not-utf8", "no-documents"}
OF_CLUSTERS = {"unknown-label", "override-too-long", "override-without-target"}


def found_in(texts: list[tuple[str, str]]) -> list[Finding]:
    loaded = load_texts(texts)
    return sorted((*loaded.findings, *validate(loaded, NOW)))


def marked(text: str) -> set[tuple[int, str]]:
    return {
        (number, code)
        for number, line in enumerate(text.splitlines(), 1)
        if (mark := re.search(r"#! (.+)$", line))
        for code in mark[1].split(", ")
    }


def test_the_base_is_right() -> None:
    assert found_in([("base", BASE)]) == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_finding_points_at_its_line(path: Path) -> None:
    text = path.read_text()
    findings = found_in([("base", BASE), (path.name, text)])
    assert {finding.file for finding in findings} == {path.name}
    assert {(finding.line, finding.code) for finding in findings} == marked(text)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_finding_says_what_to_do(path: Path) -> None:
    for finding in found_in([("base", BASE), (path.name, path.read_text())]):
        assert finding.message
        assert finding.remedy
        assert "\n" not in str(finding)


def test_every_code_has_a_file() -> None:
    codes = {code for path in FILES for _, code in marked(path.read_text())}
    assert codes | WITHOUT_FILE | OF_CLUSTERS == set(CODES)


def test_a_near_miss_is_suggested() -> None:
    text = "apiVersion: v1\nkind: Namespace\nmetadata: {nmae: x}\n"
    (missing, unknown) = found_in([("base", BASE), ("x", text)])
    assert missing.code == "missing-key"
    assert unknown.remedy == "did you mean name?"


def binding(namespace: str, feature: str) -> str:
    return (
        "apiVersion: featward.dev/v1alpha1\nkind: FeatureBinding\n"
        f"metadata: {{name: x, namespace: {namespace}}}\n"
        "spec: {purpose: p, subjects: [{workload: {businessUnit: prod.payments, name: pricing-api}}],\n"
        f'  featureSet: {{name: driver-stats}}, features: ["{feature}"], expires: "2027-01-31"}}\n'
    )


def test_only_what_looks_alike_in_the_same_view_is_suggested() -> None:
    remedies = {}
    for feature in ("driver_hourly_stats:conv_rte", "driver_hourly_stats:weather"):
        (finding,) = found_in([("base", BASE), ("x", binding("pricing", feature))])
        remedies[feature] = finding.remedy
    assert remedies == {
        "driver_hourly_stats:conv_rte": "did you mean driver_hourly_stats:conv_rate?",
        "driver_hourly_stats:weather": "declare the feature, or correct the name",
    }


def test_a_binding_away_from_its_set_is_told_where_the_set_is() -> None:
    other = (
        "---\napiVersion: v1\nkind: Namespace\n"
        "metadata: {name: other, labels: {featward.dev/business-unit: prod.payments}}\n"
    )
    findings = found_in(
        [("base", BASE), ("x", binding("other", "driver_hourly_stats:conv_rate") + other)]
    )
    (finding,) = (each for each in findings if each.code == "unknown-feature-set")
    assert "is in namespace pricing" in finding.message
    assert "metadata.namespace pricing" in finding.remedy


def test_a_malformed_document_does_not_make_its_users_wrong() -> None:
    broken = BASE.replace("kind: BusinessUnit\n", "kind: BusinessUnit\nspek: {}\n")
    assert {finding.code for finding in found_in([("base", broken)])} == {"unknown-key"}


def test_a_file_that_is_not_utf8_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"apiVersion: v1\nkind: \xff\n")
    (finding,) = load(tmp_path).findings
    assert (finding.code, finding.line) == ("not-utf8", 2)


def test_a_file_that_cannot_be_opened_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(tmp_path / "nothing")
    (finding,) = load(tmp_path).findings
    assert finding.code == "unreadable-file"


def test_an_empty_folder_is_a_finding(tmp_path: Path) -> None:
    (tmp_path / ".hidden.yaml").write_text("kind: Nothing\n")
    (finding,) = load(tmp_path).findings
    assert finding.code == "no-documents"
