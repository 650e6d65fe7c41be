"""What is rendered into pods is what the sidecar reads: it refuses variables that it does not know."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import yaml

from featward_sidecar.sources import load
from injection_kit import GOLDEN

VERSIONS = Path(__file__).parents[2] / "vectors" / "versions"
GOLDENS = {file.stem: yaml.safe_load(file.read_text()) for file in GOLDEN.glob("*.yaml")}
INJECTED = {name: told["pod"] for name, told in GOLDENS.items() if "pod" in told}


def variables_of(pod: dict[str, Any]) -> dict[str, str]:
    (container,) = [
        one for one in pod["spec"]["initContainers"] if one["name"] == "featward-sidecar"
    ]
    fields = {"status.podIP": "10.0.0.7", "metadata.name": "p", "metadata.uid": "u"}
    return {
        one["name"]: one["value"]
        if "value" in one
        else fields.get(one["valueFrom"]["fieldRef"]["fieldPath"], "n")
        for one in container["env"]
    }


@pytest.mark.parametrize("name", sorted(INJECTED))
def test_the_sidecar_takes_what_is_rendered(name: str) -> None:
    told = load(None, variables_of(INJECTED[name]), {})
    assert asdict(told)["agent"]["operator"]
    assert (told.server is None) == name.startswith("client")


@pytest.mark.parametrize(
    "version", [file.parent.name for file in sorted(VERSIONS.glob("*/variables.txt"))]
)
def test_every_version_of_the_sidecar_that_may_be_injected_knows_all_of_it(version: str) -> None:
    known = set((VERSIONS / version / "variables.txt").read_text().split())
    rendered = {name for pod in INJECTED.values() for name in variables_of(pod)}
    assert {name for name in rendered if name.startswith("FEATWARD_SIDECAR_")} <= known
