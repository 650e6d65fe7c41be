"""SPIFFE IDs: what is one, what is none, and who owns it."""

import pytest

from featward.errors import SpiffeIdError
from featward.identity.spiffe import SpiffeId, TrustDomain


def test_an_id_comes_back_as_it_was_written() -> None:
    text = "spiffe://prod.acme.example/bu/payments/ns/pricing/sa/pricing-api"
    parsed = SpiffeId.parse(text)
    assert str(parsed) == text
    assert parsed.trust_domain == TrustDomain("prod.acme.example")
    assert parsed.business_unit == "payments"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "spiffe://",
        "spiffe://td",
        "spiffe://td/",
        "spiffe:///path",
        "spiffe://td/a/",
        "spiffe://td//a",
        "spiffe://td/./a",
        "spiffe://td/../a",
        "spiffe://td/a%20b",
        "spiffe://td/a b",
        "spiffe://td/a?b",
        "spiffe://td/a#b",
        "spiffe://td/ü",
        "spiffe://td/a\n",
        "spiffe://TD/a",
        "spiffe://td:443/a",
        "spiffe://user@td/a",
        "SPIFFE://td/a",
        "https://td/a",
        "spiffe://" + "a" * 256 + "/a",
        "spiffe://td/" + "a" * 2048,
    ],
)
def test_what_breaks_the_grammar_is_refused(text: str) -> None:
    with pytest.raises(SpiffeIdError):
        SpiffeId.parse(text)


def test_the_longest_id_has_2048_bytes() -> None:
    text = "spiffe://td/" + "a" * (2048 - len("spiffe://td/"))
    assert str(SpiffeId.parse(text)) == text


def test_paths_say_what_kind_of_workload_it_is() -> None:
    domain = TrustDomain("prod.acme.example")
    assert (
        SpiffeId.service_account(domain, "payments", "pricing", "api").path
        == "/bu/payments/ns/pricing/sa/api"
    )
    assert SpiffeId.workload(domain, "payments", "api").path == "/bu/payments/svc/api"
    assert SpiffeId.ci_job(domain, "payments", "nightly").path == "/bu/payments/ci/nightly"
    assert SpiffeId.ca(domain).path == "/featward/ca"
    assert SpiffeId.operator(domain).path == "/featward/operator"


def test_a_builder_lets_no_segment_through_that_is_two() -> None:
    with pytest.raises(SpiffeIdError):
        SpiffeId.workload("prod.acme.example", "payments", "")


def test_the_parts_of_featward_belong_to_no_business_unit() -> None:
    assert SpiffeId.ca("prod.acme.example").business_unit is None
    assert SpiffeId.parse("spiffe://td/bu/payments").business_unit is None


def test_ids_can_be_keys_and_cannot_be_changed() -> None:
    one = SpiffeId.parse("spiffe://td/a")
    assert {one: 1}[SpiffeId.parse("spiffe://td/a")] == 1
    with pytest.raises(AttributeError):
        one.path = "/b"  # type: ignore[misc]
