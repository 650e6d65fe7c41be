"""What sidecars are made by today, as a short digest: a pod that has another was made by an older template.

It is the digest of what two fixed pods would get, so that it changes with the code and with the settings and
with nothing else, and nobody has to remember to count it up. Each environment has its own.
"""

import json
from dataclasses import asdict
from functools import lru_cache
from hashlib import sha256

from featward_operator.injection.annotations import asked_in
from featward_operator.injection.decision import Kind
from featward_operator.injection.facts import RequestFacts, facts
from featward_operator.injection.names import PREFIX
from featward_operator.injection.settings import InjectionSettings
from featward_operator.injection.sidecar import sidecar

__all__ = ["template"]

_KINDS: dict[Kind, dict[str, str]] = {
    "server": {"feature-sets": "a,b/c", "plain": "true", "upstream": "127.0.0.1:6566"},
    "client": {"feature-sets": "a,b/c", "hold-application": "true"},
}
_DIGITS = 12


@lru_cache(maxsize=64)
def template(settings: InjectionSettings, environment: str) -> str:
    """The digest, or nothing for an environment that is not served here."""
    if environment not in settings.environments:
        return ""
    made = []
    for kind, annotations in _KINDS.items():
        named = {f"{PREFIX}{key}": value for key, value in annotations.items()}
        found = facts({"metadata": {"annotations": named}}, RequestFacts("", "a"), None)
        asked, _, _ = asked_in(found, settings, kind)
        told = settings.environments[environment]
        made.append(asdict(sidecar(kind, asked, told, found, settings)))
    return sha256(json.dumps(made, sort_keys=True).encode()).hexdigest()[:_DIGITS]
