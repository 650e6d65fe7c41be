"""SDS: a real Envoy that serves and calls with our identity, and the protocol's rules call by call."""

import queue
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from certificates import DOMAIN, PRICING, Authority, Environment, der
from envoy_kit import Envoy, Traffic
from featward.workload.v1 import secrets_pb2
from featward_sidecar.content import Bundle
from featward_sidecar.socket.secrets import SERVICE, TYPE
from workload_kit import Served, ending, outcome, wait_for

STREAM, FETCH = f"/{SERVICE}/StreamSecrets", f"/{SERVICE}/FetchSecrets"
ID = "spiffe://" + DOMAIN
Start = Callable[..., Envoy]


@pytest.fixture
def start(served: Served, tmp_path: Path) -> Iterator[Start]:
    started: list[Envoy] = []

    def start(**options: Any) -> Envoy:
        started.append(Envoy(tmp_path, served.path, **options))
        return started[-1]

    yield start
    for envoy in started:
        envoy.close()


@pytest.mark.parametrize(
    "options", [{"trust": "ROOTCA"}, {"trust": "ALL"}, {"trust": ID, "plain": True}], ids=str
)
def test_an_envoy_serves_and_calls_with_our_identity_and_each_new_one(
    served: Served, start: Start, tmp_path: Path, options: dict[str, Any]
) -> None:
    envoy = start(**options)
    serial = served.identify()  # after Envoy's start: it waits for its secrets
    envoy.ready()
    ours = served.environment.risk.write_identity(tmp_path, f"{ID}/bu/risk/svc/scoring")
    assert envoy.serial(*ours) == serial
    traffic = Traffic(envoy.ask)
    for _ in range(3):
        served.given(served.trust(der(Authority.root().certificate)))
        serial = served.identify()
        wait_for(lambda: envoy.serial(*ours) == serial)  # noqa: B023  called before the next
        enough = traffic.answered + 5
        wait_for(lambda: traffic.answered > enough or bool(traffic.failed))  # noqa: B023
    assert traffic.end()[1] == []


def test_an_envoy_with_our_trust_refuses_a_stranger(
    served: Served, start: Start, tmp_path: Path
) -> None:
    served.identify()
    envoy = start()
    envoy.ready()
    stranger = Environment().payments.write_identity(tmp_path, PRICING)
    with pytest.raises((ssl.SSLError, ConnectionResetError)):
        envoy.serial(*stranger)


def test_an_envoy_gets_its_secrets_back_after_a_restart_of_the_sidecar(
    served: Served, start: Start, tmp_path: Path
) -> None:
    served.identify()
    envoy = start()
    envoy.ready()
    ours = served.environment.payments.write_identity(tmp_path, PRICING)
    served.stop()
    assert envoy.ask() == 200
    served.start()
    serial = served.identify()
    wait_for(lambda: envoy.serial(*ours) == serial)


class Asking:
    """A StreamSecrets call, written by hand."""

    def __init__(self, path: Path) -> None:
        self._channel = grpc.insecure_channel(f"unix:{path}")
        self._requests: queue.Queue[bytes | None] = queue.Queue()
        call: Any = self._channel.stream_stream(STREAM, None, None)
        self.call = call(iter(self._requests.get, None), timeout=20)

    def ask(self, *names: str, **values: Any) -> None:
        request = secrets_pb2.DiscoveryRequest(resource_names=names, type_url=TYPE, **values)
        self._requests.put(request.SerializeToString())

    def answer(self) -> Any:
        return secrets_pb2.DiscoveryResponse.FromString(next(self.call))

    def accept(self, answer: Any, *names: str) -> None:
        self.ask(*names, version_info=answer.version_info, response_nonce=answer.nonce)

    def close(self) -> None:
        self._requests.put(None)
        self._channel.close()


@pytest.fixture
def asking(served: Served) -> Iterator[Asking]:
    asking = Asking(served.path)
    yield asking
    asking.close()


def names(answer: Any) -> list[str]:
    return [secrets_pb2.Secret.FromString(each.value).name for each in answer.resources]


def test_an_answer_holds_all_that_was_asked_for_under_the_names_that_were_used(
    served: Served, asking: Asking
) -> None:
    other = Bundle("other.example", (der(Authority.root().certificate),))
    served.identify()
    served.trust(federated=(other,))
    for asked in (["default"], ["ROOTCA", PRICING], [ID, "ALL", "spiffe://other.example"], []):
        call = Asking(served.path)
        call.ask(*asked)
        expected = asked or [PRICING, ID, "spiffe://other.example"]
        assert names(call.answer()) == expected
        call.close()


def test_an_accepted_change_counts_as_given_a_refused_one_does_not(
    served: Served, asking: Asking, caplog: pytest.LogCaptureFixture
) -> None:
    served.identify()
    asking.ask("ROOTCA")
    asking.accept(asking.answer(), "ROOTCA")
    sequence = served.trust(der(Authority.root().certificate))
    answer = asking.answer()
    assert served.consumers.given() < sequence
    asking.accept(answer, "ROOTCA")
    assert served.given(sequence) < 1
    sequence = served.trust()
    answer = asking.answer()
    refusal = secrets_pb2.RpcStatus(code=3, message="no such validator")
    asking.ask("ROOTCA", response_nonce=answer.nonce, error_detail=refusal)
    wait_for(lambda: "no such validator" in str([r.__dict__ for r in caplog.records]))
    with pytest.raises(AssertionError):
        served.given(sequence, 6)


def test_a_silent_client_counts_as_given_after_five_seconds(
    served: Served, asking: Asking, caplog: pytest.LogCaptureFixture
) -> None:
    served.identify()
    asking.ask("ROOTCA")
    asking.answer()
    sequence = served.trust(der(Authority.root().certificate))
    asking.answer()
    assert 4 < served.given(sequence) < 7
    assert "apps did not take a change" in caplog.text


def test_an_old_nonce_is_ignored_and_the_same_secrets_are_not_sent_twice(
    served: Served, asking: Asking
) -> None:
    served.identify()
    asking.ask("default")
    first = asking.answer()
    asking.accept(first, "default")
    served.trust(der(Authority.root().certificate))  # default does not change by it
    serial = served.identify()
    second = asking.answer()
    asking.ask("ROOTCA", response_nonce=first.nonce)
    asking.accept(second, "default", "ROOTCA")
    third = asking.answer()
    assert [names(each) for each in (first, second, third)] == [
        ["default"],
        ["default"],
        ["default", "ROOTCA"],
    ]
    assert serial
    assert len({first.nonce, second.nonce, third.nonce}) == 3


def test_an_unknown_name_or_type_is_refused_with_the_names_there_are(
    served: Served, asking: Asking
) -> None:
    served.identify()
    asking.ask("defualt")
    code, text = ending(asking.call)
    assert (code, "no secret named defualt; there are" in text) == ("INVALID_ARGUMENT", True)
    other = secrets_pb2.DiscoveryRequest(type_url="type.googleapis.com/other").SerializeToString()
    assert outcome(served.path, FETCH, (), other)[0] == "INVALID_ARGUMENT"
    assert outcome(served.path, f"/{SERVICE}/DeltaSecrets")[0] == "UNIMPLEMENTED"


def test_a_fetch_is_answered_once_and_without_an_identity_unavailable(served: Served) -> None:
    request = secrets_pb2.DiscoveryRequest(resource_names=["default"]).SerializeToString()
    assert outcome(served.path, FETCH, (), request)[0] == "UNAVAILABLE"
    served.identify()
    with grpc.insecure_channel(f"unix:{served.path}") as channel:
        fetch: Any = channel.unary_unary(FETCH, None, None)
        answer = secrets_pb2.DiscoveryResponse.FromString(fetch(request, timeout=10))
    assert names(answer) == ["default"]
