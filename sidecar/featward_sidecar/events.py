"""Turns what the engine says happened into log lines of the agent.

The engine has no log of its own: it queues events, and the agent writes them, so that there is one stream
with one form. The phrase is the event's kind; a kind that this table does not know is logged too, as
information.
"""

import json
import logging

from featward.logs import fields

__all__ = ["log_events"]

log = logging.getLogger("featward_engine")

LEVELS = {
    "lost": logging.WARNING,
    "record-failed": logging.ERROR,  # requests are refused until the disk takes lines again
    "record-not-moved": logging.WARNING,  # it goes on in the full file, and the disk fills up
    "upstream-failed": logging.WARNING,  # refusals send the owner here, by request id
    "policy-applied": logging.DEBUG,  # the agent gave it the policy, and has said so
}
"""Kinds that are not plain information."""


def log_events(drained: bytes) -> None:
    """Log what `Proxy.drain_events` returned, oldest first."""
    for event in json.loads(drained):
        kind = str(event.pop("kind", "event"))
        phrase = kind.replace("-", " ").replace("_", " ")
        log.log(LEVELS.get(kind, logging.INFO), phrase, extra=fields(**event))
