"""Which packages of an extra are not installed, by what the distribution itself says that it requires: the one
list is in pyproject.toml, and no command has to repeat it.
"""

from importlib.metadata import Distribution, PackageNotFoundError, distribution

__all__ = ["absent"]


def absent(extra: str) -> str | None:
    """The first package that this extra of featward asks for and that is not installed."""
    from packaging.requirements import Requirement  # not needed by commands without an extra

    for line in distribution("featward").requires or []:
        requirement = Requirement(line)
        wanted = requirement.marker is not None and requirement.marker.evaluate({"extra": extra})
        if wanted and _installed(requirement.name) is None:
            return requirement.name
    return None


def _installed(name: str) -> Distribution | None:
    try:
        return distribution(name)
    except PackageNotFoundError:
        return None
