"""The schema as plain SQL, one folder a database and one file a version."""

import re
from importlib import resources

from featward_ca.errors import ConfigurationError


def since(have: int, dialect: str, where: str) -> list[tuple[int, str]]:
    """The files that a store at version `have` still needs, in order. Raises ConfigurationError
    when the store is newer than all of them.
    """
    folder = resources.files(__package__).joinpath(dialect)
    scripts = {int(re.sub(r"\D", "", path.name)): path for path in folder.iterdir()}
    if have > max(scripts):
        raise ConfigurationError(
            f"the store {where} was written by a newer featward (schema {have}); use that version"
        )
    return [(number, scripts[number].read_text()) for number in sorted(scripts) if number > have]
