"""A first look at tokens that strangers made: whatever they hold, there is an answer."""

import base64
import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ca_kit import FakeClock
from featward_ca.attest.tokens import LEEWAY, LONGEST_TOKEN, check_times, glance
from featward_ca.errors import NotAttestedError

AUDIENCE = "featward.dev/ca/prod.acme.example"
CLOCK = FakeClock()
NOW = CLOCK.now()
GOOD = {"iss": "https://a.example", "aud": AUDIENCE, "exp": NOW + 60}

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just(AUDIENCE),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def encoded(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def token(claims: object, header: object = None) -> str:
    parts = header or {"alg": "ES256"}, claims
    return ".".join([*(encoded(json.dumps(part).encode()) for part in parts), "AA"])


def refused(text: str) -> str:
    with pytest.raises(NotAttestedError) as caught:
        glance(text, AUDIENCE, CLOCK)
    return caught.value.reason


@given(st.dictionaries(st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "x"]), values))
def test_any_claims_are_read_or_refused(claims: dict[str, Any]) -> None:
    with suppress(NotAttestedError):
        assert glance(token(GOOD | claims), AUDIENCE, CLOCK).claims["iss"]


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_any_bytes_are_refused(header: bytes, body: bytes) -> None:
    refused(f"{encoded(header)}.{encoded(body)}.AA")


@given(st.text(max_size=300))
def test_any_text_is_refused(text: str) -> None:
    refused(text)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a" * LONGEST_TOKEN + ".b.c", "no JWT of at most"),
        (f"{token(GOOD)}.AA", "no JWT"),
        (f"{token(GOOD)}\n", "no JWT"),
        (token([]), "no JSON object"),
        (token(GOOD, ["x"]), "no JSON object"),
        (f"{encoded(b'{}')}.{encoded(b'[' * 9000)}.AA", "no JSON"),
        (token(GOOD | {"iss": ""}), "names no issuer"),
        (token(GOOD | {"exp": 10**400}), "exp is no time"),
        (token(GOOD | {"exp": "1"}), "exp is no time"),
        (token(GOOD | {"exp": float("nan")}), "exp is no time"),
        (token(GOOD | {"exp": None}), "no exp"),
        (token(GOOD | {"iss": ["a"]}), "names no issuer"),
        (token(GOOD | {"aud": [[AUDIENCE]]}), "not made for"),
        (token(GOOD | {"aud": f"{AUDIENCE}.evil.example"}), "not made for"),
    ],
)
def test_what_can_not_be_good_is_refused_with_the_reason(text: str, why: str) -> None:
    assert why in refused(text)


def test_times_count_with_the_leeway() -> None:
    assert check_times({"exp": NOW - LEEWAY + 1}, NOW) == NOW + 1
    with pytest.raises(NotAttestedError, match="not accepted"):
        check_times({"exp": NOW - LEEWAY}, NOW)
    for name in ("nbf", "iat"):
        check_times({"exp": NOW + 60, name: NOW + LEEWAY}, NOW)
        with pytest.raises(NotAttestedError):
            check_times({"exp": NOW + 60, name: NOW + LEEWAY + 1}, NOW)
