"""What can go wrong in having an identity.

FeatwardError
└── IdentityRefusedError    the CA gave an identity that is not the one we are, or the token is no token
"""

from featward.errors import FeatwardError

__all__ = ["IdentityRefusedError"]


class IdentityRefusedError(FeatwardError):
    """There is no use in what the CA answered, or nothing to show it; the text says what to correct."""
