"""Where a store is, as it is written on the command line."""

from sqlalchemy import URL, make_url
from sqlalchemy.exc import ArgumentError

from featward_ca.errors import ConfigurationError


def parsed(address: str) -> URL:
    """A store's address in its parts. Raises ConfigurationError."""
    try:
        url = make_url(address)
    except (ArgumentError, ValueError) as error:  # the latter for a port that is no number
        raise ConfigurationError(f"the store's address can't be read: {error}") from error
    if "password" in url.query:
        # It would be printed: only the one before the host is left out of messages.
        raise ConfigurationError(
            "the store's address has a password in its query; write USER:PASSWORD@HOST, or keep it"
            " in the file that PGPASSFILE names"
        )
    return url
