"""What holds right now: the directory and the lifetimes that follow from it, replaced together
at a reload.
"""

from dataclasses import dataclass

from featward_ca.directory import Directory
from featward_ca.errors import ConfigurationError
from featward_ca.settings import Lifetimes


@dataclass
class Situation:
    """The newest directory that could be read, and its lifetimes."""

    directory: Directory
    lifetimes: Lifetimes

    @classmethod
    def of(cls, directory: Directory, *, unsafe_short_lives: bool) -> "Situation":
        """Raises ConfigurationError for lifetimes that can't hold."""
        return cls(directory, _lifetimes(directory, unsafe_short_lives))

    def replace(self, directory: Directory) -> None:
        """Take over an edit. Raises ConfigurationError, and then changes nothing."""
        before = (self.directory.environment, self.directory.trust_domain)
        if (directory.environment, directory.trust_domain) != before:
            raise ConfigurationError(
                f"the environment or its trust domain changed from {before[1]} to"
                f" {directory.trust_domain}; that is another environment, which needs a CA and a"
                " data directory of its own"
            )
        lifetimes = _lifetimes(directory, self.lifetimes.unsafe_short)
        self.directory, self.lifetimes = directory, lifetimes


def _lifetimes(directory: Directory, unsafe_short_lives: bool) -> Lifetimes:
    lifetimes = Lifetimes(
        svid=directory.svid_lifetime,
        business_units=dict(directory.business_units),
        renew_every=directory.renew_every,
        unsafe_short=unsafe_short_lives,
        rotate_every=dict(directory.rotate_every),
    )
    lifetimes.check()
    return lifetimes
