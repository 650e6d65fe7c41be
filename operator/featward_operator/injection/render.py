"""All that one pod gets, as values: what `patch` then lays beside what is there."""

import json
from dataclasses import dataclass
from typing import Any

from featward_operator.injection.decision import Decision, Reason
from featward_operator.injection.facts import Facts
from featward_operator.injection.names import INJECTED, SERVER, STATUS, server_label
from featward_operator.injection.settings import InjectionSettings
from featward_operator.injection.sidecar import sidecar
from featward_operator.injection.template import template

__all__ = ["Rendered", "render"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """What is ours in a pod."""

    container: dict[str, Any]
    volumes: tuple[dict[str, Any], ...]
    mounts: tuple[dict[str, Any], ...]
    env: tuple[tuple[str, str], ...]
    labels: dict[str, str]
    annotations: dict[str, str]


def render(decision: Decision, facts: Facts, settings: InjectionSettings) -> Rendered | None:
    """What a decision comes to; None where nothing is added."""
    if decision.inject is None or decision.asked is None:
        return None
    environment = settings.environments[decision.environment]
    made = sidecar(decision.inject, decision.asked, environment, facts, settings)
    labels: dict[str, str] = {INJECTED: decision.inject}
    if decision.inject == "server":
        labels[SERVER] = server_label(facts.service_account)
    status = {
        "version": settings.version,
        "template": template(settings, decision.environment),
        "reason": Reason.INJECTED.value,
    }
    return Rendered(
        made.container, made.volumes, made.mounts, made.env, labels, {STATUS: json.dumps(status)}
    )
