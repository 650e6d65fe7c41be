"""One visit of the doctor: gathers what to judge by, looks, judges, and puts it together."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from featward.doctor.certificates import same_key, show, tidy
from featward.doctor.client import ClientIdentity, client_identity
from featward.doctor.findings import Finding, refusal, warning
from featward.doctor.judgement import Clock, Judged, clock_findings, examine
from featward.doctor.local import Handed, Svid, ask_secrets, ask_workload_api
from featward.doctor.probe import Probe, probe
from featward.doctor.report import Report
from featward.doctor.trust import Trust, by_bundle, by_ca, by_workload_api
from featward.errors import DoctorError
from featward.identity.called import Called

__all__ = ["Told", "examine_endpoint", "examine_socket", "gather"]


@dataclass(frozen=True)
class Told:
    """What the command was told, and what `gather` made of it."""

    bundle: Path | None
    workload_api: Path | None
    ca: Path | None
    cert: Path | None
    key: Path | None
    expected: Called | None
    trust_domain: str | None
    seconds: float
    trust: Trust | None = None
    identity: ClientIdentity | None = field(default=None, repr=False)
    clocks: tuple[Clock, ...] = ()


def gather(told: Told) -> Told:
    """Find whom to trust and what to show. Raises DoctorError."""
    trust, identity = _trust(told), None
    clocks: tuple[Clock, ...] = ()
    if trust is not None and trust.server_time is not None:
        clocks = (Clock("the CA", time.time() - trust.server_time),)
    if told.cert is not None and told.key is not None:
        identity = client_identity(told.cert, told.key)
    if told.workload_api is not None:
        handed = ask_workload_api(told.workload_api, told.seconds)
        trust = trust or by_workload_api(told.workload_api, handed)
        if identity is None and handed.svids:
            identity = ClientIdentity(handed.svids[0].chain, handed.svids[0].key)
    return replace(told, trust=trust, identity=identity, clocks=clocks)


def _trust(told: Told) -> Trust | None:
    if told.bundle is not None:
        domain = told.trust_domain
        if domain is None and told.expected is not None and told.expected.spiffe_id is not None:
            domain = told.expected.spiffe_id.trust_domain
        return by_bundle(told.bundle, domain)
    return by_ca(told.ca, told.seconds) if told.ca is not None else None


def examine_endpoint(host: str, port: int, told: Told) -> Report:
    """A TLS endpoint."""
    seen = probe(host, port, told.identity, told.seconds)
    now = time.time()
    clocks = list(told.clocks)
    if seen.answer.date is not None:
        # A date has whole seconds: in the middle of one it is half a second behind.
        clocks.append(Clock("the target", seen.asked_at - (seen.answer.date + 0.5)))
    judged: list[tuple[str, Judged]] = []
    if seen.chain or seen.version is not None:
        chain = [show(each) for each in seen.chain]
        judged.append(("server", examine(chain, told.trust, now, clocks, told.expected)))
    if told.identity is not None and seen.wants_certificate:
        ours = [show(each) for each in told.identity.chain]
        judged.append(("our own", examine(ours, told.trust, now, clocks)))
    findings = (*seen.findings, *_of_tls(seen), *clock_findings(clocks))
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return _report(target, _facts(seen, told), judged, told.trust, clocks, findings, now)


def _facts(seen: Probe, told: Told) -> Iterator[tuple[str, str]]:
    if seen.version is None:
        return
    yield "TLS", f"{seen.version}, {seen.cipher}, protocol {seen.alpn or 'not negotiated'}"
    if not seen.wants_certificate:
        yield "client certificate", "not asked for"
        return
    shown = "shown" if told.identity is not None else "none shown"
    yield "client certificate", f"asked for, {shown}; {_OUTCOMES[seen.accepted]}"


_OUTCOMES = {True: "we were let in", False: "we were refused", None: "it does not say if we are in"}


def _of_tls(seen: Probe) -> Iterator[Finding]:
    if seen.version is not None and seen.version != "TLSv1.3":
        text = f"it speaks {seen.version}, and featward's sidecars speak TLS 1.3 only"
        yield warning(
            "old-tls", text, "allow TLS 1.3 there; in Envoy: tls_maximum_protocol_version: TLSv1_3"
        )


def examine_socket(path: Path, told: Told) -> Report:
    """A UNIX socket that hands out identities, by either service."""
    now = time.time()
    asks: tuple[Callable[[Path, float], Handed], ...] = (ask_workload_api, ask_secrets)
    try:
        answers = [each for ask in asks if (each := ask(path, told.seconds)).is_there]
    except DoctorError as error:
        missing = refusal("unreachable", str(error), "see whether what serves it runs")
        return _report(str(path), iter(()), [], told.trust, told.clocks, [missing], now)
    judged: list[tuple[str, Judged]] = []
    findings: list[Finding] = []
    facts: list[tuple[str, str]] = []
    for handed in answers:
        findings += handed.findings
        facts.append((handed.service, _counts(handed)))
        trust = told.trust or _own_trust(path, handed)
        for svid in handed.svids:
            judged.append((handed.service, _svid(svid, trust, now, told)))
    if not answers:
        findings.append(
            refusal(
                "no-service",
                "it has neither the SPIFFE Workload API nor Envoy's SDS",
                "name the socket of workloadSocket in a sidecar's configuration, or of another SPIFFE agent",
            )
        )
    trust = told.trust or next((_own_trust(path, each) for each in answers if each.bundles), None)
    findings += clock_findings(told.clocks)
    return _report(str(path), iter(facts), judged, trust, told.clocks, findings, now)


def _counts(handed: Handed) -> str:
    domains = ", ".join(
        f"{domain} ({_roots(roots)})" if domain else _roots(roots)
        for domain, roots in handed.bundles
    )
    count = len(handed.svids)
    return f"{count} SVID{'' if count == 1 else 's'}, trust in {domains or 'nobody'}"


def _roots(roots: tuple[bytes, ...]) -> str:
    return f"{len(roots)} root{'' if len(roots) == 1 else 's'}"


def _own_trust(path: Path, handed: Handed) -> Trust | None:
    """What the socket itself hands out: an app beside it has no other."""
    if not handed.bundles:
        return None
    bundles = {domain or None: roots for domain, roots in handed.bundles}
    first = handed.svids[0].chain[0] if handed.svids and handed.svids[0].chain else b""
    own = show(first).trust_domain
    if own not in bundles and None in bundles:
        bundles[own] = bundles.pop(None)
    return Trust(f"the bundles of {path}", own, bundles)


def _svid(svid: Svid, trust: Trust | None, now: float, told: Told) -> Judged:
    chain = [show(each) for each in svid.chain]
    judged = examine(chain, trust, now, told.clocks, told.expected)
    more = list(_of_handing(svid, judged))
    if not more:
        return judged
    return replace(judged, accepted=False, findings=(*judged.findings, *more))


def _of_handing(svid: Svid, judged: Judged) -> Iterator[Finding]:
    if svid.claimed and judged.spiffe_id is not None and svid.claimed != judged.spiffe_id:
        text = f"it is handed out as {svid.claimed}, and its leaf says {judged.spiffe_id}"
        yield refusal("wrong-identity", text, _SERVER)
    try:
        fits = same_key(svid.chain[0], svid.key) if svid.chain else True
    except (ValueError, TypeError) as error:
        yield refusal("key-unreadable", f"its private key can't be read: {tidy(error)}", _SERVER)
        return
    if not fits:
        yield refusal("key-mismatch", "its private key is not the leaf's", _SERVER)


_SERVER = "no client can use it: what serves the socket has to be corrected"


def _report(
    target: str,
    facts: Iterator[tuple[str, str]],
    judged: list[tuple[str, Judged]],
    trust: Trust | None,
    clocks: list[Clock] | tuple[Clock, ...],
    findings: list[Finding] | tuple[Finding, ...],
    now: float,
) -> Report:
    return Report(
        target,
        tuple(facts),
        tuple(judged),
        _said(trust),
        tuple(clocks),
        tuple(findings),
        now,
    )


def _said(trust: Trust | None) -> str | None:
    if trust is None:
        return None
    domains = ", ".join(
        f"{_roots(roots)} of {domain or 'an unnamed trust domain'}"
        for domain, roots in trust.roots.items()
    )
    more = ", with its scope table and its bans" if trust.scopes is not None else ""
    return f"{trust.source}: {domains}{more}"
