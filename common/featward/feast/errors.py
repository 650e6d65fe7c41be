"""What can go wrong while a Feast repository is read.

FeastError (a FeatwardError)
    RegistryNotFoundError     no registry where the caller or feature_store.yaml says
    RegistryUnreadableError   it is no Feast registry, or holds what a FeatureSet can't say
    FeastNeededError          the registry is no plain file and Feast's own interpreter is missing
    or failed
"""

from featward.errors import FeatwardError

__all__ = ["FeastError", "FeastNeededError", "RegistryNotFoundError", "RegistryUnreadableError"]


class FeastError(FeatwardError):
    """Base of the errors about a Feast repository."""


class RegistryNotFoundError(FeastError):
    """There is no registry at the place named; `feast apply` makes it."""


class RegistryUnreadableError(FeastError):
    """The file is no Feast registry, or no FeatureSet can be made of it as it is."""


class FeastNeededError(FeastError):
    """Only Feast itself can read this registry, and no working Feast was found."""
