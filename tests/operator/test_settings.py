"""The configuration: strict, and all that is wrong with it at once."""

from pathlib import Path

import pytest
import yaml

from featward_operator.errors import SettingsError
from featward_operator.reference import renewed
from featward_operator.settings import load
from operator_kit import configuration

PAGE = Path(__file__).parents[2] / "docs" / "operator.md"


def refused(folder: Path, text: str) -> list[str]:
    file = folder / "config.yaml"
    file.write_text(text)
    with pytest.raises(SettingsError) as error:
        load(file)
    return [f"{one.line}: {one.message}; {one.remedy}" for one in error.value.findings]


def test_what_is_left_out_has_its_default(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(configuration("featward")))
    settings = load(file)
    assert settings.environments[0].trust_domain == "prod.acme.example"
    assert (settings.service_name, settings.cluster_domain) == (
        "featward-operator",
        "cluster.local",
    )
    assert settings.ports.health == 8080
    assert (settings.lease.duration, settings.lease.renew, settings.lease.retry) == (
        "15s",
        "10s",
        "2s",
    )
    assert settings.gateways


def test_everything_that_is_wrong_is_said_at_once(tmp_path: Path) -> None:
    found = refused(
        tmp_path,
        """\
namespace: Featward
image: "localhost/featward :1"
imagePullPolicy: Sometimes
enviroments: []
environments:
- {name: prod, trustDomain: prod.acme.example, ca: "featward-ca"}
ports: {health: 70000}
lease: {renew: 20s}
gateways: "true"
log: {level: 3}
""",
    )
    expected = [
        'namespace is "Featward"; write lower-case letters',
        "required key cluster is missing; add cluster:",
        'image is "localhost/featward :1"; write an image',
        'imagePullPolicy is "Sometimes"; write Always, IfNotPresent or Never',
        "key enviroments is not known to this version; did you mean environments?",
        'environments[0].ca is "featward-ca"; write a host and a port',
        "ports.health is 70000; write a number of at most 65535",
        "lease: expected retry < renew < duration, found 2s, 20s, 15s",
        'gateways is "true", expected true or false; see docs/operator.md',
        "log.level is 3",
    ]
    for one in expected:
        assert any(one in line for line in found), f"{one} is not in {found}"
    assert len(found) == len(expected)
    assert found[0].startswith("1: "), "each has its line"


def test_two_environments_of_one_name_are_refused(tmp_path: Path) -> None:
    told = configuration("featward")
    told["environments"] = [
        one | {"trustDomain": f"{number}.acme.example"}
        for number, one in enumerate(told["environments"] * 2)
    ]
    (found,) = refused(tmp_path, yaml.safe_dump(told))
    assert "two environments have the name prod; keep one" in found


def test_what_is_no_mapping_is_refused(tmp_path: Path) -> None:
    for text in ("", "[]", "a: 1\n---\nb: 1\n"):
        assert "expected one mapping" in refused(tmp_path, text)[0]
    assert "given twice" in refused(tmp_path, "namespace: a\nnamespace: b\n")[0]
    with pytest.raises(SettingsError, match="can't be read"):
        load(tmp_path / "absent.yaml")


def test_the_page_has_the_keys_of_the_code() -> None:
    page = PAGE.read_text("utf-8")
    assert page == renewed(page), "run make docs"
