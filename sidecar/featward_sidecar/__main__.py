"""The lean process that `featward sidecar run` becomes: ``python -m featward_sidecar --configuration-fd
N``.

Nothing is parsed or validated here but our own JSON, so that typer, rich and ruamel.yaml, which did that,
are not in the memory of a process that runs for months beside every workload.
"""

import logging
import os
import sys

from featward.descriptors import raise_limit
from featward.logs import Form, Level, fields, set_up
from featward_sidecar.agent import run
from featward_sidecar.configuration import Configuration
from featward_sidecar.errors import StartError

log = logging.getLogger("featward_sidecar")


def main(arguments: list[str]) -> int:
    """Run the agent with the configuration that the command line has left in a file descriptor."""
    if len(arguments) != 2 or arguments[0] != "--configuration-fd" or not arguments[1].isdigit():
        print(
            "error: this is what `featward sidecar run` starts; run that instead", file=sys.stderr
        )
        return 2
    with os.fdopen(int(arguments[1]), encoding="utf-8") as file:
        configuration = Configuration.from_json(file.read())
    set_up(Form(configuration.logging.format), Level(configuration.logging.level))
    logging.getLogger("hpack").setLevel(logging.WARNING)  # its debug lines show every header's bits
    raise_limit()
    try:
        return run(configuration)
    except StartError as error:
        log.error("not started", extra=fields(error=str(error)))
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
