"""What the operator's configuration says about sidecars."""

import pytest
from pydantic import ValidationError

from featward_operator.injection.configured import injection_settings
from featward_operator.injection.section import InjectionSection
from featward_operator.settings import EnvironmentSettings, Settings

SETTINGS = Settings.model_validate(
    {
        "namespace": "featward",
        "cluster": "eu1",
        "image": "registry.acme.example/featward:0.2.0",
        "environments": [
            EnvironmentSettings.model_validate(
                {"name": "prod", "trustDomain": "prod.acme.example", "ca": "ca:8443"}
            )
        ],
    }
)


def test_what_is_said_is_what_sidecars_get() -> None:
    said = {"runAsUser": None, "port": 25443, "memoryLimit": "1Gi", "recordBytes": 4096}
    found = injection_settings(SETTINGS, InjectionSection.model_validate(said), "0.2.0")
    assert (found.run_as_user, found.port, found.memory_limit) == (None, 25443, "1Gi")
    assert found.operator == "featward-operator.featward.svc.cluster.local:8443"
    assert found.environments["prod"].trust_domain == "prod.acme.example"
    assert found.record_bytes == 4096


def test_the_defaults_of_the_configuration_are_those_of_the_settings() -> None:
    told = InjectionSection().model_dump()
    found = injection_settings(SETTINGS, InjectionSection(), "0.2.0")
    kept = {"image": found.image, "namespace": "featward", "operator": "o", "environments": {}}
    bare = type(found)(version="0.2.0", **kept)  # type: ignore[arg-type]  # one dict for all
    assert told == {name: getattr(bare, name) for name in told}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("cpuRequest", "lots"),
        ("memoryLimit", "1Mi"),
        ("port", 0),
        ("port", "15443"),
        ("runAsUser", 0),
        ("logLevel", "loud"),
        ("drainSeconds", 0),
        ("cpurequest", "50m"),
    ],
)
def test_a_mistake_is_refused_when_the_operator_starts(key: str, value: object) -> None:
    with pytest.raises(ValidationError):
        InjectionSection.model_validate({key: value})
