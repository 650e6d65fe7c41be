"""What a verifier would say of a chain: the engine's judgement, for whichever moment, and what to do about it.

The engine stops at the first reason. A certificate that is out of its time is judged again for a moment within
it, so that what else is wrong is known before somebody has renewed it.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from featward.doctor.certificates import Shown, tidy
from featward.doctor.findings import Finding, note, refusal, warning
from featward.doctor.trust import Trust
from featward.identity.called import Called
from featward_engine import EngineError, judge

__all__ = ["Clock", "Judged", "examine"]

_NO_DOMAIN = "unknown.invalid"
"""Nobody's: to have a chain judged that names none, and refused for that."""

SKEW_SECONDS = 5.0
"""Clocks that are further apart make young certificates look unborn and old ones alive. The CA's own bound."""

RENEWAL_LEFT = 0.25
"""featward renews at half of a life, most others at two thirds: with less left, somebody has failed to."""


@dataclass(frozen=True)
class Clock:
    """Somebody else's clock against ours."""

    of: str
    offset: float
    """Seconds that ours is ahead."""


@dataclass(frozen=True)
class Judged:
    """One chain."""

    chain: tuple[Shown, ...]
    spiffe_id: str | None
    """What the leaf claims; proven only if it is accepted."""
    accepted: bool | None
    """None: there was no trust to judge it by, and its form is good."""
    findings: tuple[Finding, ...]


def examine(
    chain: Sequence[Shown],
    trust: Trust | None,
    now: float,
    clocks: Sequence[Clock] = (),
    expected: Called | None = None,
) -> Judged:
    """All that a verifier would find in this chain at this second."""
    if not chain:
        found = refusal("no-certificate", "it shows no certificate", "give it an identity")
        return Judged((), None, False, (found,))
    findings = list(_unreadable(chain))
    judge_by = trust or _by_itself(chain)
    spiffe_id, refusals = _verdict(chain, judge_by, now, clocks)
    findings += refusals
    accepted: bool | None = not findings
    domain = trust.trust_domain if trust is not None else None
    if expected is not None and not expected.fits(spiffe_id or "", domain):
        text = f"it is {spiffe_id or 'nobody with a SPIFFE ID'}, and {expected.text} was expected"
        findings.append(refusal("wrong-identity", text, _REMEDIES["wrong-identity"]))
        accepted = False
    if trust is None and accepted:
        accepted = None
        findings.append(
            note(
                "not-judged",
                "its form and its times are good; whether anybody trusts it was not asked",
                "name whom to trust: --bundle FILE, --workload-api SOCKET, or --ca DATA",
            )
        )
    findings += _outlook(chain[0], now)
    return Judged(tuple(chain), spiffe_id, accepted, tuple(findings))


def _unreadable(chain: Sequence[Shown]) -> Iterator[Finding]:
    for number, each in enumerate(chain):
        if each.unreadable is not None:
            text = f"certificate {number} of the chain can't be read: {each.unreadable}"
            yield refusal("unreadable", text, "have its issuer make another one")


def _by_itself(chain: Sequence[Shown]) -> Trust:
    """To see the form of a chain: as if its last certificate were the root."""
    domain = chain[0].trust_domain
    return Trust("itself", domain, {domain: (chain[-1].der,)})


def _verdict(
    chain: Sequence[Shown], trust: Trust, now: float, clocks: Sequence[Clock]
) -> tuple[str | None, list[Finding]]:
    said = _ask(chain, trust, now)
    spiffe_id = tidy(said["spiffe_id"]) if said["spiffe_id"] else None
    if said["accepted"]:
        return spiffe_id, []
    findings = [_refusal(said)]
    if said["cause"] in ("expired", "not-yet-valid"):
        for clock in clocks:
            if (
                abs(clock.offset) > SKEW_SECONDS
                and _ask(chain, trust, now - clock.offset)["accepted"]
            ):
                findings.append(_skewed(clock))
        leaf = chain[0]
        at_its_time = _ask(chain, trust, (leaf.not_before + leaf.not_after) / 2)
        if not at_its_time["accepted"] and at_its_time["cause"] != said["cause"]:
            findings.append(_refusal(at_its_time))
    return spiffe_id, findings


def _ask(chain: Sequence[Shown], trust: Trust, at: float) -> dict[str, Any]:
    domain = _domain(chain, trust)
    is_own = domain == trust.trust_domain
    question = {
        "trust_domain": domain,
        "roots": [root.hex() for root in trust.roots_for(domain)],
        "scopes": [[key.hex(), prefix] for key, prefix in trust.scopes]
        if trust.scopes is not None and is_own
        else None,
        # A serial number is unique below our own roots only.
        "bans": [ban for ban in trust.bans if is_own or ban[0] != "serial"],
        "chain": [each.der.hex() for each in chain],
        "at": at,
    }
    try:
        said: dict[str, Any] = json.loads(judge(json.dumps(question).encode()))
    except EngineError as error:
        return {"accepted": False, "cause": "bad-trust", "detail": str(error), "spiffe_id": None}
    return said


def _domain(chain: Sequence[Shown], trust: Trust) -> str:
    """A federated identity is judged by its own domain's roots; who has none is held against our own."""
    claimed = chain[0].trust_domain
    if trust.trust_domain is None:
        return claimed or _NO_DOMAIN
    return claimed if claimed in trust.roots and claimed else trust.trust_domain


def _refusal(said: dict[str, Any]) -> Finding:
    cause = str(said["cause"])
    remedy = _REMEDIES.get(cause, "see its issuer's log")
    return refusal(cause, tidy(said["detail"]), remedy)


def _skewed(clock: Clock) -> Finding:
    side = "ahead of" if clock.offset > 0 else "behind"
    text = f"by {clock.of}'s clock it would be in its time: ours is {abs(clock.offset):.0f} s {side} it"
    return refusal("clock-skew", text, _SET_CLOCKS)


def clock_findings(clocks: Sequence[Clock]) -> Iterator[Finding]:
    """Clocks too far apart, whether or not something is refused for it today."""
    for clock in clocks:
        if abs(clock.offset) > SKEW_SECONDS:
            side = "ahead of" if clock.offset > 0 else "behind"
            text = f"our clock is {abs(clock.offset):.0f} s {side} {clock.of}'s"
            yield warning("clock-skew", text, _SET_CLOCKS)


def _outlook(leaf: Shown, now: float) -> Iterator[Finding]:
    life, left = leaf.not_after - leaf.not_before, leaf.not_after - now
    if leaf.unreadable is None and 0 < left < life * RENEWAL_LEFT:
        text = f"{left / life:.0%} of its life is left, and it should have been renewed by now"
        yield warning("renewal-overdue", text, _REMEDIES["expired"])


_SET_CLOCKS = "compare both with a time server: timedatectl, chronyc tracking"
_REMEDIES = {
    "expired": "see on its machine why it is not renewed: `featward sidecar status`; what "
    "`featward ca fetch-svid` wrote is renewed by nobody",
    "not-yet-valid": "compare the clocks of this machine, of that one and of the CA",
    "unknown-authority": "compare the roots: it may be of another environment, or one of the two has missed "
    "a root's rotation (`featward ca clients --behind`)",
    "wrong-trust-domain": "each environment has a trust domain of its own: connect to the one that is meant, "
    "or name the other's roots; two domains that are to meet have to federate",
    "out-of-scope": "the key that signed it may not sign this path: if the CA issued it, bring this verifier's "
    "trust up to date; if it did not, treat the authority as stolen: `featward ca compromise`",
    "bad-svid": "it is no X.509-SVID: have an issuer of SPIFFE identities make it, such as `featward ca`",
    "banned": "`featward ca ban list` says why and until when; `featward ca ban remove` lifts it",
    "bad-trust": "correct the roots that were given to judge by",
    "wrong-identity": "compare the address with the manifests: something else listens there",
    "no-certificate": "give it an identity",
}
