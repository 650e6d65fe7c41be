"""What the handlers of AuthorityService work with; apart, so that their modules can import it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from featward_ca.core import Core
from featward_ca.service.guard import Call
from featward_ca.service.streams import Streams


@dataclass(frozen=True)
class Office:
    """The CA that is looked after, and the streams of this process."""

    core: Core
    streams: Streams


AdminHandler = Callable[[Office, Any, Call], Awaitable[Any]]
