"""The running sidecar: starts the engine, keeps its identity and policy fresh in two threads, and ends in
order.

Only wiring. The main thread waits for signals, writes the engine's events to the log and does nothing else,
so that a signal is always acted on at once.
"""

import json
import logging
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType

from featward.listening import not_listening
from featward.logs import fields
from featward_engine import ConfigError, Credentials, Proxy
from featward_sidecar.agent_status import AgentStatus
from featward_sidecar.apps import Apps
from featward_sidecar.authority import Authority
from featward_sidecar.configuration import Configuration, listeners
from featward_sidecar.consumers import Consumers
from featward_sidecar.engine_configuration import proxy_configuration
from featward_sidecar.errors import EvidenceError, SidecarError, StartError
from featward_sidecar.events import log_events
from featward_sidecar.evidence import JoinTokenEvidence, evidence_for
from featward_sidecar.expected import ServiceAccountIds, workload_ids
from featward_sidecar.identity import IdentityKeeper
from featward_sidecar.policies import PolicySource, folder_policy, operator_policy
from featward_sidecar.state_folder import StateFolder
from featward_sidecar.svid_sources import SourceKeeper, address_of, source_for

__all__ = ["Agent", "run"]

log = logging.getLogger(__name__)

EVENTS_SECONDS = 0.5
"""How long an event of the engine may wait for its log line."""


def run(configuration: Configuration) -> int:
    """Run until a signal; returns the exit code."""
    state = StateFolder(configuration.agent.state)
    try:
        return Agent(configuration, state).run()
    finally:
        state.close()


class Agent:
    """One sidecar, from its parts."""

    def __init__(self, configuration: Configuration, state: StateFolder) -> None:
        told, agent = configuration.identity, configuration.agent
        self._configuration = configuration
        self._state = state
        self._signals = Signals()
        manifests = str(agent.manifests) if agent.manifests else None
        self._status = AgentStatus(told.workload, address_of(told), manifests, agent.operator)
        self._evidence = evidence_for(told)
        self._apps = Apps(configuration, self._status)
        self._folder = folder_policy(configuration, state, self._status)

    def run(self) -> int:
        self._signals.install()
        self._apps.start()  # first: py-spiffe gives up where the socket is missing
        try:
            return self._run()
        finally:
            self._apps.stop()

    def _run(self) -> int:
        trust_domain = self._trust_domain()
        credentials = Credentials(trust_domain)
        proxy, bound = self._serve(credentials)
        expected = self._expected(trust_domain)
        identity = self._identity_keeper(trust_domain, expected, credentials)
        policy: PolicySource = self._folder or operator_policy(
            self._configuration, self._state, self._status, expected, credentials, proxy, bound
        )
        threads = [
            _thread("identity", identity.run),
            _thread("policy", policy.run, proxy, trust_domain),
        ]
        self._wait(proxy, policy)
        self._status.update("process", draining=True)
        # The identity is kept fresh while requests in flight end; policy may rest.
        policy.stop()
        self._drain(proxy)
        identity.stop()
        for thread in threads:
            thread.join(timeout=2.0)
        log_events(proxy.drain_events())
        log.info("stopped")
        return 0

    def _trust_domain(self) -> str:
        """Without a folder the configuration says it, else a token; without either the policy does, which then
        has to be there from the start."""
        if self._folder is None:
            return self._configuration.identity.trust_domain or ""
        try:
            if isinstance(self._evidence, JoinTokenEvidence):
                return self._evidence.token().trust_domain
            return self._folder.trust_domain()
        except EvidenceError as error:
            raise StartError(str(error)) from error
        except SidecarError as error:
            raise StartError(
                f"{error}; without a policy the trust domain is not known either"
            ) from error

    def _expected(self, trust_domain: str) -> tuple[str, ...] | ServiceAccountIds:
        """The identities that we may get."""
        told = self._configuration.identity
        if self._folder is None:
            return ServiceAccountIds(trust_domain, told.workload)
        if told.evidence_kind == "kubernetes":
            # Its business unit is the namespace's, which the manifests know.
            return (self._folder.identity(),)
        return workload_ids(trust_domain, told.workload)

    def _identity_keeper(
        self,
        trust_domain: str,
        expected: tuple[str, ...] | ServiceAccountIds,
        credentials: Credentials,
    ) -> IdentityKeeper | SourceKeeper:
        told = self._configuration.identity
        consumers = Consumers(credentials, self._apps.parts, self._status)
        if told.ca is None:
            assert isinstance(expected, tuple)  # noqa: S101  an operator's sidecar has a CA, as was checked
            source = source_for(told, expected[0])
            return SourceKeeper(source, expected[0], credentials, consumers, self._status)
        authority = Authority(told.ca, trust_domain, credentials, self._state.path)
        return IdentityKeeper(
            authority, self._evidence, expected, credentials, consumers, self._status
        )

    def _serve(self, credentials: Credentials) -> tuple[Proxy, dict[str, object]]:
        """The engine, listening, and on what."""
        try:
            proxy = Proxy(credentials, proxy_configuration(self._configuration))
            bound = json.loads(proxy.start())
        except ConfigError as error:
            raise StartError(_explained(str(error), self._configuration)) from error
        self._status.publish_to(proxy.set_agent_status)
        log.info(
            "listening",
            extra=fields(workload=self._configuration.identity.workload, pid=os.getpid(), **bound),
        )
        return proxy, bound

    def _wait(self, proxy: Proxy, policy: PolicySource) -> None:
        while not self._signals.stop.wait(EVENTS_SECONDS):
            log_events(proxy.drain_events())
            if self._signals.take_reread():
                log.info("reading policy again", extra=fields(signal="SIGHUP"))
                policy.reread()
                self._reopen(proxy)

    def _reopen(self, proxy: Proxy) -> None:
        """Let go of a record that was moved away."""
        path = str(self._configuration.agent.record or "")
        try:
            proxy.reopen_record()
        except ConfigError as error:
            log.error("record not opened again", extra=fields(path=path, error=str(error)))
            return
        if path:
            log.info("record opened again", extra=fields(path=path))

    def _drain(self, proxy: Proxy) -> None:
        """Let requests in flight end; a second signal cuts them off."""
        grace = self._configuration.agent.drain_seconds
        log.info("draining", extra=fields(signal=self._signals.name, grace_seconds=grace))
        self._signals.stop.clear()
        stopping = threading.Thread(target=proxy.stop, args=(grace,), name="drain", daemon=True)
        stopping.start()
        while stopping.is_alive() and not self._signals.stop.is_set():
            stopping.join(timeout=0.05)
        if stopping.is_alive():
            log.warning("cut off", extra=fields(signal=self._signals.name))


def _explained(error: str, configuration: Configuration) -> str:
    """An address that is taken, with the key that gave it."""
    for key, address in listeners(configuration):
        if f"listen on {address}:" in error:
            return not_listening(key, error)
    return error


def _thread(name: str, body: Callable[..., None], *arguments: object) -> threading.Thread:
    thread = threading.Thread(target=body, args=arguments, name=name, daemon=True)
    thread.start()
    return thread


class Signals:
    """What the operating system asked for. Handlers only note it."""

    def __init__(self) -> None:
        self.stop = threading.Event()
        self.name = ""
        self._reread = False

    def install(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGHUP, self._on_reread)

    def take_reread(self) -> bool:
        asked, self._reread = self._reread, False
        return asked

    def _on_stop(self, number: int, _: FrameType | None) -> None:
        self.name = signal.Signals(number).name
        self.stop.set()

    def _on_reread(self, _: int, __: FrameType | None) -> None:
        self._reread = True
