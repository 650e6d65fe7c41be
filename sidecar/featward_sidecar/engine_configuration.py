"""Our configuration in the engine's words: the JSON that `Proxy` takes."""

import json
import os
from dataclasses import asdict

from featward_sidecar.configuration import Configuration, Outbound

__all__ = ["proxy_configuration"]


def proxy_configuration(configuration: Configuration) -> bytes:
    """The JSON in UTF-8. A UNIX socket of an app lets in our own user only, where no other is named."""
    agent, server = configuration.agent, configuration.server
    return json.dumps(
        {
            "serve": asdict(server) if server else None,
            "outbound": [_outbound(each) for each in configuration.outbound],
            "health": agent.health,
            "admin": str(agent.admin) if agent.admin else None,
            "hold": agent.hold,
            "record": str(agent.record) if agent.record else None,
            "record_bytes": agent.record_bytes,
            "upstream_token": str(agent.upstream_token_file) if agent.upstream_token_file else None,
            "workers": agent.workers,
            "limits": asdict(configuration.limits),
        }
    ).encode()


def _outbound(outbound: Outbound) -> dict[str, object]:
    told: dict[str, object] = {"feature_set": outbound.feature_set, "listen": outbound.listen}
    if outbound.listen.startswith("unix:"):
        told["peer_uid"] = os.getuid() if outbound.peer_uid is None else outbound.peer_uid
    return told
