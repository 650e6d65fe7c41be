"""The forms in which people name an identity, read in one way by every command."""

import pytest

from featward.errors import SpiffeIdError
from featward.identity.called import Called

DOMAIN = "prod.acme.example"
SERVICE = f"spiffe://{DOMAIN}/bu/payments/svc/pricing-api"
JOB = f"spiffe://{DOMAIN}/bu/payments/ci/pricing-api"
ACCOUNT = f"spiffe://{DOMAIN}/bu/payments/ns/pricing/sa/pricing-api"
OTHERS = [
    SERVICE.replace("prod", "staging"),
    SERVICE.replace("payments", "risk"),
    SERVICE.replace("/svc/", "/ns/"),
    f"{SERVICE}2",
    f"{SERVICE}/more",
    f"spiffe://{DOMAIN}/featward/ca",
    f"spiffe://{DOMAIN}/bu/payments/ns/other/sa/pricing-api",
    "",
    "pricing-api",
]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        (SERVICE, {SERVICE}),
        (JOB, {JOB}),
        ("prod.payments/pricing-api", {SERVICE, JOB}),
        ("pricing/pricing-api", {ACCOUNT}),
    ],
)
def test_each_form_fits_what_it_may_stand_for_and_nothing_else(text: str, meant: set[str]) -> None:
    called = Called.parse(text)
    found = {one for one in (SERVICE, JOB, ACCOUNT, *OTHERS) if called.fits(one, DOMAIN)}
    assert found == meant


def test_where_the_trust_domain_is_not_known_a_short_form_fits_in_all() -> None:
    called = Called.parse("prod.payments/pricing-api")
    assert called.fits(SERVICE, None)
    assert called.fits(SERVICE.replace("prod", "staging"), None)
    assert not called.fits(SERVICE, "staging.acme.example")


@pytest.mark.parametrize(
    "text",
    ["", "pricing-api", "prod.payments/", "/x", "a/b/c", "Prod.Payments/x", "a.b.c/d", "a/b c"],
)
def test_what_is_neither_is_refused_with_both_forms(text: str) -> None:
    with pytest.raises(SpiffeIdError) as refused:
        Called.parse(text)
    said = str(refused.value)
    assert repr(text) in said
    assert "spiffe://prod.acme.example/bu/payments/svc/pricing-api" in said
    assert "prod.payments/pricing-api" in said


def test_a_broken_spiffe_id_is_told_what_is_wrong_with_it() -> None:
    with pytest.raises(SpiffeIdError, match="has no path"):
        Called.parse("spiffe://prod.acme.example")
