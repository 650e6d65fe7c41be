"""What pods say in annotations, and the names that are made of theirs."""

from typing import Any

import pytest

from featward_operator.injection.grammar import READERS
from featward_operator.injection.names import ANNOTATIONS, PREFIX, server_label, service_name
from featward_operator.injection.quantities import cpu, memory
from featward_operator.injection.settings import EnvironmentSettings, InjectionSettings
from featward_operator.injection.template import template
from injection_kit import SETTINGS, answer_of, fixtures, known_namespace


def pod(kind: str = "server", **annotations: str) -> dict[str, Any]:
    named = {f"{PREFIX}{key.replace('_', '-')}": value for key, value in annotations.items()}
    return {
        "metadata": {"labels": {f"{PREFIX}inject": kind}, "annotations": named},
        "spec": {"containers": [{"name": "app"}]},
    }


def errors(**annotations: str) -> tuple[str, ...]:
    return answer_of(pod(**annotations), known_namespace("ml")).decision.errors


GOOD = {
    "feature-sets": [
        "driver-stats",
        "ml/driver-stats",
        "a.b=1024",
        " geo/rides , driver-stats=65535 ",
    ],
    "upstream": ["127.0.0.1:1", "127.9.9.9:65535", "[::1]:6566"],
    "port": ["1024", "65535"],
    "cpu-request": ["1m", "0.001", "256", "100m"],
    "memory-limit": ["64Mi", "1Gi", "200M", "134217728"],
    "drain-seconds": ["1", "29"],
    "plain": ["true", "false"],
}
BAD = {
    "feature-sets": [
        "",
        ",",
        "a,,b",
        "A",
        "a/b/c",
        "a=80",
        "a=70000",
        "-a",
        "a b",
        ",".join(["a"] * 65),
    ],
    "upstream": [
        "6566",
        "localhost:6566",
        "10.0.0.1:80",
        "127.0.0.1:0",
        "127.0.0.1:65536",
        "::1:80",
        ":80",
    ],
    "port": ["1023", "65536", "0x10", "", " 8080", "8080 ", "٨٠٨٠"],
    "cpu-request": ["0", "-1", "1e3", "0.0001", "1.5m", "257", "x"],
    "memory-limit": ["31Mi", "1.5Gi", "64MB", "64 Mi", "-64Mi", "9" * 16],
    "drain-seconds": ["0", "30", "1.5", "3601"],
    "plain": ["True", "1", "yes", ""],
}


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, values in GOOD.items() for v in values])
def test_a_good_value_is_taken(key: str, value: str) -> None:
    assert errors(**{key: value}) == ()


@pytest.mark.parametrize(("key", "value"), [(k, v) for k, values in BAD.items() for v in values])
def test_a_bad_value_is_refused_with_key_value_and_expectation(key: str, value: str) -> None:
    (error,) = errors(**{key: value})
    assert f"{PREFIX}{key}" in error
    assert repr(value.strip()) in error or repr(value) in error
    assert "expected" in error


def test_all_errors_are_listed_together() -> None:
    told = errors(
        port="1", upstream="x", log_level="loud", cpu_limit="none", upsteam="127.0.0.1:80"
    )
    assert len(told) == 5
    sentence = answer_of(
        pod(port="1", upstream="x"), known_namespace("ml", {})
    ).explanation.sentence
    assert "for 3 reasons: (1) namespace ml has no label" in sentence
    assert "did you mean featward.dev/upstream?" in told[0]


def test_every_annotation_has_its_grammar() -> None:
    assert [f"{PREFIX}{name}" for name in READERS] == list(ANNOTATIONS)


@pytest.mark.parametrize(
    "value", ["driver-stats=15020", "driver-stats=15443", "driver-stats=15100,geo/rides=15100"]
)
def test_two_of_our_listeners_never_share_a_port(value: str) -> None:
    (error,) = errors(feature_sets=value)
    assert "expected another port" in error


def test_a_row_of_sets_goes_round_the_ports_that_were_chosen() -> None:
    answer = answer_of(pod("client", feature_sets="a,b=15101,c,d=15100"), known_namespace("ml"))
    assert answer.decision.asked
    assert {one.name: one.port for one in answer.decision.asked.feature_sets} == {
        "a": 15102,
        "b": 15101,
        "c": 15103,
        "d": 15100,
    }


def test_a_row_that_leaves_the_ports_is_refused() -> None:
    assert "65536" in errors(feature_sets="a,b", outbound_port="65535")[0]


@pytest.mark.parametrize(
    ("account", "label"),
    [
        ("feast", "feast"),
        ("a" * 54, "a" * 54),
        ("a" * 55, "a" * 45 + "-9f4390f8"),
        ("ml.feast", "ml-feast-"),
        ("2fast", "sa-2fast-"),
    ],
)
def test_a_service_account_makes_a_name_that_a_service_may_have(account: str, label: str) -> None:
    assert server_label(account).startswith(label)
    assert len(service_name(account)) <= 63
    assert service_name(account).islower()


def test_accounts_that_look_alike_have_services_of_their_own() -> None:
    accounts = ["ml.feast", "ml-feast", "ml..feast", "ml-feast.", "a" * 60, "a" * 61]
    assert len({server_label(one) for one in accounts}) == len(accounts)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [("0.25", "250m"), ("1.0", "1"), ("1000m", "1"), ("2", "2"), ("1500m", "1500m")],
)
def test_amounts_of_cpu_have_one_spelling(text: str, canonical: str) -> None:
    assert cpu(text) == canonical


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("1024Mi", "1Gi"),
        ("1000M", "1G"),
        ("96Mi", "96Mi"),
        ("134217728", "134217728"),
        ("64000000", "64M"),
        ("2048Gi", "2Ti"),
    ],
)
def test_amounts_of_memory_have_one_spelling(text: str, canonical: str) -> None:
    assert memory(text) == canonical


def test_the_template_changes_with_what_is_injected_and_with_nothing_else() -> None:
    told = {
        "namespace": "featward",
        "operator": "o:8443",
        "environments": {"prod": EnvironmentSettings("t", "ca:1")},
        "version": "0.2.0",
    }
    one = InjectionSettings(image="i:0.2.0", **told)  # type: ignore[arg-type]  # one dict for all
    same = InjectionSettings(image="i:0.2.0", too_old="1.32", **told)  # type: ignore[arg-type]  # as above
    other = InjectionSettings(image="i:0.2.1", **told)  # type: ignore[arg-type]  # as above
    assert template(one, "prod") == template(same, "prod") != template(other, "prod")
    assert template(one, "dev") == ""


def test_an_image_without_a_policy_stream_is_no_image_of_ours() -> None:
    told = {"namespace": "f", "operator": "o", "environments": {}, "version": "0.2.0"}
    for image in (
        "r.example:5000/featward",
        "featward:0.2.7-rc1",
        "featward@sha256:00",
        "f:latest",
    ):
        InjectionSettings(image=image, **told)  # type: ignore[arg-type]  # as above
    with pytest.raises(ValueError, match=r"0\.1\.4' is too old: expected the tag 0\.2"):
        InjectionSettings(image="r.example:5000/featward:0.1.4", **told)  # type: ignore[arg-type]  # as above


def test_a_cluster_without_native_sidecars_refuses() -> None:
    told = SETTINGS.__dict__ | {"too_old": "the API server is 1.32"}
    answer = answer_of(pod(), known_namespace("ml"), InjectionSettings(**told))
    assert answer.decision.reasons == ("cluster-too-old",)
    assert (
        "the API server is 1.32: native sidecars need Kubernetes 1.33" in answer.decision.errors[0]
    )


def test_a_pod_without_a_name_is_named_by_its_owner_and_kind() -> None:
    found = {fixture.name: fixture for fixture in fixtures()}
    job, bare = found["client-job"], found["server-bare-pod"]
    named = answer_of(job.pod, job.namespace).explanation.sentence
    assert named.startswith("pod pricing/pricing-nightly-29402-* of Job pricing-nightly-29402: ")
    assert answer_of(bare.pod, bare.namespace).explanation.sentence.startswith("pod ml/feast-try: ")
