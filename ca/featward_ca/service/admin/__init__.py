"""AuthorityService: how the CA is looked after, one module for each subject.

Each module gives `HANDLERS`, by method name; here they become one service. It is served on the
admin socket, where whoever can open the socket administers the CA, and beside IdentityService for
the operator, whom the table of calls lets do less.
"""

from collections.abc import Mapping
from functools import partial

from featward_ca.core import Core
from featward_ca.errors import ConfigurationError
from featward_ca.service.admin import (
    backup,
    bans,
    ceremony,
    clients,
    compromise,
    halting,
    rotation,
    show,
    tokens,
    why_expiry,
)
from featward_ca.service.admin.office import AdminHandler, Office
from featward_ca.service.guard import Handler
from featward_ca.service.streams import Streams

_MODULES: tuple[Mapping[str, AdminHandler], ...] = (
    backup.HANDLERS,
    bans.HANDLERS,
    clients.HANDLERS,
    ceremony.HANDLERS,
    compromise.HANDLERS,
    rotation.HANDLERS,
    show.HANDLERS,
    tokens.HANDLERS,
    halting.HANDLERS,
    why_expiry.HANDLERS,
)


def handlers(core: Core, streams: Streams) -> dict[str, Handler]:
    """All handlers, by method name. Raises ConfigurationError when two modules claim a call."""
    office = Office(core, streams)
    found: dict[str, Handler] = {}
    for module in _MODULES:
        if twice := found.keys() & module.keys():
            raise ConfigurationError(f"two modules handle {', '.join(sorted(twice))}")
        found |= {name: partial(handler, office) for name, handler in module.items()}
    return found
