"""How fast many clients are made to act at once: changes reach them spread over a moment, and what
all of them have to renew is spread over as long as signing it takes.
"""

# What a small machine writes to streams a second without anything else getting slow.
_PUSHES_PER_SECOND = 2000
# A change that only adds something is needed no sooner: authorities are announced for an hour
# before they sign.
_LONGEST_SPLAY = 5.0
# Half of what one process signs and records a second, so that what falls due anyway has room.
REISSUES_PER_SECOND = 250
# A client that has to be attested again needs a moment for its evidence.
_LEAST_REISSUE_MS = 1000


def splay(streams: int) -> float:
    """Over how many seconds a change that is not urgent is spread."""
    return min(_LONGEST_SPLAY, streams / _PUSHES_PER_SECOND)


def reissue_within(clients: int) -> int:
    """Over how many milliseconds the renewals of so many clients are spread."""
    return max(_LEAST_REISSUE_MS, clients * 1000 // REISSUES_PER_SECOND)
