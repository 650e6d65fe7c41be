"""Questions to a whole folder of manifests, answered by the engine's own decision.

There is one implementation of the decision, in Rust. What is added here is which snapshots a question is about,
and what a person needs beside the answer: the request to write and the binding that came nearest.
"""

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import lru_cache
from typing import Any

from featward.errors import CompileError, FeatwardError
from featward.identity.spiffe import SpiffeId
from featward.manifests.catalogue import Catalogue, Set
from featward.manifests.loading import Loaded
from featward.manifests.naming import (
    feature_set_called,
    identity_called,
    require_features,
    require_service,
)
from featward.manifests.standing import consent_wanted, end_of, withholds
from featward.policy.compiler import ENGINE_VERSION, Compiler
from featward.policy.index import PolicyIndex
from featward.policy.slices import SliceCompiler
from featward.policy.v1.snapshot_pb2 import Binding, Snapshot
from featward_engine import Policy

__all__ = ["ClusterExplainer", "Explainer"]


class Explainer:
    """Answers for one folder at one moment; raises CompileError when no snapshot can be made of it."""

    def __init__(self, loaded: Loaded, now: int) -> None:
        compiler = Compiler(loaded, now)
        self._answer_from(
            compiler.catalogue, lambda server: compiler.compile(server).snapshot_bytes, now
        )

    def _answer_from(
        self, catalogue: Catalogue, content: Callable[[SpiffeId], bytes], now: int
    ) -> None:
        self._catalogue = catalogue
        self._content = content
        self._now = now
        self._compiled = lru_cache(maxsize=None)(self._compile)

    def decide(
        self,
        identity: str | None,
        feature_set: str,
        features: list[str] | None,
        service: str | None,
        rows: int,
    ) -> dict[str, Any]:
        """The engine's decision on one request, with `identity`, `nearest_binding` and `request` beside it, and
        in `without_approval` the bindings that grant what is missing and lack their business unit's consent.

        Raises FeatwardError for what is not declared. To a caller the engine calls that not granted, so as to
        tell nothing of what there is; who asks here has the manifests.
        """
        wanted = feature_set_called(self._catalogue, feature_set)
        served = self._catalogue.served_by[self._server(wanted)]
        require_features(self._catalogue, served, features or ())
        if service is not None:
            require_service(self._catalogue, served, service)
        caller = identity_called(self._catalogue, identity) if identity is not None else None
        snapshot, policy = self._compiled(self._server(wanted))
        question = {
            "identity": str(caller) if caller else None,
            "features": features,
            "service": service,
            "rows": rows,
            "now": float(self._now),
        }
        decision: dict[str, Any] = json.loads(policy.decide(json.dumps(question).encode()))
        decision["identity"] = question["identity"]
        decision["nearest_binding"] = self._nearest(snapshot, decision["nearest"])
        names = features or [service or ""]
        withheld = self._without_approval(caller, served, decision["missing"]) if caller else []
        decision["without_approval"] = withheld
        # Where a binding grants it already, another would not help.
        decision["request"] = None if withheld else _request(wanted, caller, names, decision)
        return decision

    def readers(self, feature: str, feature_set: str | None = None) -> list[dict[str, Any]]:
        """Who can read a feature, each with its binding. Raises FeatwardError when nobody serves it."""
        sets = list(self._catalogue.feature_sets.values())
        if feature_set is not None:
            sets = [feature_set_called(self._catalogue, feature_set)]
        require_features(self._catalogue, sets, [feature])
        serving = [
            one for one in sets if any(feature == known.name for known in one.model.spec.features)
        ]
        found: list[dict[str, Any]] = []
        for server in self._servers(serving):
            found += json.loads(self._compiled(server)[1].readers(feature, self._now))
        return found

    def grants(self, identity: str) -> list[dict[str, Any]]:
        """What an identity can read, of every feature set, each with the binding that grants it."""
        caller = str(identity_called(self._catalogue, identity))
        found: list[dict[str, Any]] = []
        for server in sorted(self._catalogue.served_by):
            found += json.loads(self._compiled(server)[1].grants(caller, self._now))
        return found

    def _nearest(self, snapshot: Snapshot, name: str | None) -> dict[str, Any] | None:
        for compiled in snapshot.bindings:
            if f"{compiled.namespace}/{compiled.name}" == name:
                binding = self._catalogue.bindings[compiled.namespace, compiled.name]
                wanted = consent_wanted(self._catalogue, binding)
                approval = self._catalogue.approval_of(binding) if wanted else None
                return _shown(compiled) | {"ends_by": end_of(self._catalogue, binding, approval).by}
        return None

    def _without_approval(
        self, caller: SpiffeId, served: Iterable[Set], missing: list[str]
    ) -> list[str]:
        asked = set(missing)
        for one in served:
            services = self._catalogue.listing_of(one).services
            asked.update(*(services.get(name, ()) for name in missing))
        bindings = [
            binding
            for one in served
            for binding in self._catalogue.bindings_of.get(
                (one.model.metadata.namespace, one.model.metadata.name), ()
            )
        ]
        return [one.name for one in bindings if withholds(self._catalogue, one, caller, asked)]

    def _compile(self, server: SpiffeId) -> tuple[Snapshot, Policy]:
        content = self._content(server)
        return Snapshot.FromString(content), Policy(content)

    def _server(self, feature_set: Set) -> SpiffeId:
        server = self._catalogue.server_of(feature_set)
        if server is None:
            raise FeatwardError(f"nothing declared serves {feature_set.name}: run featward check")
        return server

    def _servers(self, sets: Iterable[Set]) -> list[SpiffeId]:
        return sorted({self._server(feature_set) for feature_set in sets})


class ClusterExplainer(Explainer):
    """Answers for a cluster as its operator sees it: Overrides count, and one bad document costs only what is
    below it. Raises CompileError where there is no snapshot of the server that is asked about.
    """

    def __init__(self, index: PolicyIndex, now: int) -> None:
        slices = SliceCompiler(index)

        def content(server: SpiffeId) -> bytes:
            outcome = slices.compile(server, (), ENGINE_VERSION, now)
            if outcome.compiled is None:
                first = f": {outcome.held[0]}" if outcome.held else ""
                raise CompileError(f"there is no policy for {server}{first}", outcome.held)
            return outcome.compiled.snapshot_bytes

        self._answer_from(index.catalogue, content, now)

    def grants(self, identity: str) -> list[dict[str, Any]]:
        """As of a folder; servers of which there is no policy are left out."""
        caller = str(identity_called(self._catalogue, identity))
        found: list[dict[str, Any]] = []
        for server in sorted(self._catalogue.served_by):
            with suppress(CompileError):
                found += json.loads(self._compiled(server)[1].grants(caller, self._now))
        return found


def _shown(binding: Binding) -> dict[str, Any]:
    return {
        "name": f"{binding.namespace}/{binding.name}",
        "subjects": [subject.value for subject in binding.subjects],
        "features": list(binding.features),
        "purpose": binding.purpose,
        "rows_per_request": binding.rows_per_request or None,
        "expires": binding.expires,
    }


def _request(
    wanted: Set, caller: SpiffeId | None, names: list[str], decision: dict[str, Any]
) -> str | None:
    """The command that prints the binding to ask for; None where a binding would not help."""
    missing = decision["missing"] or decision["stripped"]
    if caller is None or not missing:
        return None
    known = {one.name for one in wanted.model.spec.features}
    known |= {one.name for one in wanted.model.spec.services}
    asked = [name for name in names if name in known and (name in missing or ":" not in name)]
    if not asked:
        return None
    services = [name for name in asked if ":" not in name]
    named = f"--service {services[0]}" if services else f"--features {','.join(asked)}"
    return f"featward request --identity {caller} --feature-set {wanted.name} {named}"
