"""What to say when an address can't be listened on: which option gave it, and what to do about it.

Shared by everything that listens, because the system says only "Address already in use".
"""

__all__ = ["not_listening"]

_REMEDIES = (
    (
        "address already in use",
        "another program listens there (`ss -tlnp` names it): end it, or choose another address",
    ),
    (
        "cannot assign requested address",
        "this machine has no such address (`ip address` lists them)",
    ),
    ("permission denied", "ports below 1024 need a right of their own: choose one above"),
)


def not_listening(option: str, reason: str) -> str:
    """One sentence: the option, what the system said, and the remedy."""
    lower = reason.lower()
    remedy = next((do for words, do in _REMEDIES if words in lower), "choose another address")
    return f"{option}: {reason}; {remedy}"
