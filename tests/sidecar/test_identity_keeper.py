"""Getting and keeping an identity, with a real CA over real mTLS and over its UNIX socket."""

import getpass
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from featward_engine import Credentials
from featward_sidecar.agent_status import AgentStatus
from featward_sidecar.authority import Authority
from featward_sidecar.configuration import Identity
from featward_sidecar.consumers import Consumers
from featward_sidecar.evidence import evidence_for
from featward_sidecar.identity import IdentityKeeper

WORKLOAD = "prod.payments/feast"
FEAST = "spiffe://prod.acme.example/bu/payments/svc/feast"
DOMAIN = "prod.acme.example"


class Keeping:
    """A keeper in its thread, and everything that it published."""

    def __init__(self, settings: Identity, state: Path) -> None:
        self.credentials = Credentials(DOMAIN)
        address = settings.ca or ""
        self.status: dict[str, Any] = {}
        self.news = threading.Condition()
        published = AgentStatus(settings.workload, address, "")
        published.publish_to(self._take)
        authority = Authority(address, DOMAIN, self.credentials, state)
        evidence = evidence_for(settings)
        consumers = Consumers(self.credentials, [], published)
        self.keeper = IdentityKeeper(
            authority, evidence, (FEAST,), self.credentials, consumers, published
        )
        self.thread = threading.Thread(target=self.keeper.run, daemon=True)
        self.thread.start()

    def _take(self, document: bytes) -> None:
        with self.news:
            self.status = json.loads(document)
            self.news.notify_all()

    def wait(
        self, condition: Callable[[dict[str, Any]], bool], seconds: float = 30
    ) -> dict[str, Any]:
        with self.news:
            assert self.news.wait_for(lambda: condition(self.status), timeout=seconds), self.status
        return self.status

    def connected(self) -> dict[str, Any]:
        return self.wait(lambda status: status["ca"]["connected"])

    def identity(self) -> dict[str, Any]:
        found = self.credentials.identity()
        assert found is not None
        identity: dict[str, Any] = json.loads(found)
        return identity

    def renewals(self, count: int) -> dict[str, Any]:
        return self.wait(lambda status: status["identity"]["renewals"] >= count)


class Wire:
    """A TCP relay before the CA that can swallow what the CA says, and be cut."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._ends: list[socket.socket] = []
        self.muted = False
        self.swallowed = threading.Event()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                self._ends += [near, far]
                threading.Thread(target=self._copy, args=(near, far, False), daemon=True).start()
                threading.Thread(target=self._copy, args=(far, near, True), daemon=True).start()

    def _copy(self, source: socket.socket, sink: socket.socket, down: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65_536):
                if down and self.muted:
                    self.swallowed.set()
                else:
                    sink.sendall(data)

    def cut(self) -> None:
        for end in self._ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()
        self._ends.clear()

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()


Keep = Callable[..., Keeping]
Start = Callable[..., Any]


@pytest.fixture
def start(manifests: Callable[..., Path], ca: Callable[[], Any]) -> Start:
    """Starts a CA over manifests with these values."""

    def start(**values: str) -> Any:
        manifests(**values)
        return ca()

    return start


@pytest.fixture
def keep(tmp_path: Path) -> Iterator[Keep]:
    keepings: list[Keeping] = []

    def keep(address: str, token: str | None = None) -> Keeping:
        state = tmp_path / f"state{len(keepings)}"
        state.mkdir(mode=0o700)
        if token is not None:
            (state / "token").write_text(token)
        settings = Identity(WORKLOAD, address, state / "token" if token else None)
        keepings.append(Keeping(settings, state))
        return keepings[-1]

    yield keep
    for keeping in keepings:
        keeping.keeper.stop()
    for keeping in keepings:
        keeping.thread.join(10)
        assert not keeping.thread.is_alive()


def test_a_join_token_gives_an_identity_and_a_stream(start: Start, keep: Keep) -> None:
    authority = start()
    keeping = keep(authority.address, authority.token(WORKLOAD))
    assert keeping.connected()["identity"]["attested_by"] == "join-token"
    assert keeping.identity()["spiffe_id"] == FEAST
    assert keeping.credentials.sequence() > 0


def test_the_kernels_word_gives_an_identity(start: Start, keep: Keep) -> None:
    authority = start(unix=getpass.getuser())
    keeping = keep(f"unix:{authority.socket}")
    assert keeping.connected()["identity"]["attested_by"] == "unix"
    assert keeping.identity()["spiffe_id"] == FEAST


def test_a_used_token_is_named_as_such_with_the_command_for_a_new_one_which_then_works(
    start: Start, keep: Keep, tmp_path: Path
) -> None:
    authority = start()
    token = authority.token(WORKLOAD)
    keep(authority.address, token).connected()
    second = keep(authority.address, token)
    error = second.wait(lambda status: status["identity"]["last_error"])["identity"]["last_error"][
        "message"
    ]
    assert "good for one use" in error
    assert f"featward ca token create --workload {WORKLOAD}" in error
    assert token.strip() not in error
    (tmp_path / "state1" / "token").write_text(authority.token(WORKLOAD))
    second.connected()


def test_a_user_that_is_not_the_workloads_is_told_what_to_write(start: Start, keep: Keep) -> None:
    authority = start(unix="nobody")
    status = keep(f"unix:{authority.socket}").wait(lambda status: status["identity"]["last_error"])
    assert "attest: {unix: {user: …}}" in status["identity"]["last_error"]["message"]


def test_a_ca_that_is_not_the_tokens_gets_no_secret(
    start: Start, keep: Keep, tmp_path: Path
) -> None:
    ours = start()
    token = ours.token(WORKLOAD)
    ours.kill()
    (tmp_path / "ca").rename(tmp_path / "other")
    stranger = start()
    status = keep(stranger.address, token).wait(lambda status: status["ca"]["last_error"])
    assert "root" in status["ca"]["last_error"]["message"]


@pytest.mark.parametrize("way", ["token", "unix"])
def test_renewals_follow_one_another_and_the_identity_never_lapses(
    start: Start, keep: Keep, way: str
) -> None:
    authority = start(ttl="4s", unix=getpass.getuser())
    if way == "token":
        keeping = keep(authority.address, authority.token(WORKLOAD))
    else:
        keeping = keep(f"unix:{authority.socket}")
    keeping.connected()
    serials = set()
    for count in range(1, 5):
        keeping.renewals(count)
        serials.add(keeping.identity()["serial"])
        assert keeping.identity()["not_after"] > time.time()
    assert len(serials) == 4
    assert keeping.status["ca"]["failures"] == 0


def test_a_dead_ca_takes_nothing_away_and_renewal_goes_on_when_it_is_back(
    start: Start, keep: Keep
) -> None:
    authority = start(ttl="16s")
    keeping = keep(authority.address, authority.token(WORKLOAD))
    keeping.connected()
    before = keeping.identity()
    authority.kill()
    keeping.wait(lambda status: not status["ca"]["connected"] and status["ca"]["failures"] >= 2)
    assert keeping.identity() == before
    authority.start()
    keeping.connected()
    keeping.renewals(1)
    assert keeping.identity()["serial"] != before["serial"]


def test_an_identity_that_expired_while_the_ca_was_away_is_renewed_without_a_new_token(
    start: Start, keep: Keep
) -> None:
    authority = start(ttl="4s")
    keeping = keep(authority.address, authority.token(WORKLOAD))
    keeping.connected()
    authority.kill()
    before = keeping.identity()
    assert keeping.status["identity"]["failed_renewals"] == 0
    keeping.wait(lambda status: status["identity"]["failed_renewals"] >= 2, 20)
    keeping.wait(lambda _: time.time() > before["not_after"] + 0.5, 20)
    authority.start()
    keeping.wait(lambda status: status["ca"]["connected"] and status["identity"]["renewals"] >= 1)
    assert keeping.identity()["not_after"] > before["not_after"]


def test_a_token_of_another_workload_is_not_used_for_ours(start: Start, keep: Keep) -> None:
    authority = start()
    keeping = keep(authority.address, authority.token("prod.payments/pricing-api"))
    status = keeping.wait(lambda status: status["identity"]["last_error"])
    assert (
        "it is for spiffe://prod.acme.example/bu/payments/svc/pricing-api"
        in (status["identity"]["last_error"]["message"])
    )
    assert keeping.credentials.identity() is None


def test_a_renewal_whose_answer_was_lost_is_asked_for_again_with_the_same_key(
    start: Start, keep: Keep
) -> None:
    """Another key would be taken for a clone of the workload, and nothing would be renewed any more."""
    authority = start(ttl="6s")
    with closing(Wire(authority.address)) as wire:
        keeping = keep(wire.address, authority.token(WORKLOAD))
        keeping.connected()
        wire.muted = True
        assert wire.swallowed.wait(20)
        wire.muted = False
        wire.cut()
        keeping.renewals(2)
        keeping.keeper.stop()
